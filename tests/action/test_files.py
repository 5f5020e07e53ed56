"""`action.yml`, the workflows and the page about them say the same, and are as careful as they ask
others to be."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from cloudsync.action.inputs import PREFIX
from cloudsync.action.run import REASONS
from tests.action.conftest import EXAMPLES, Repository
from tests.action.workflow import ROOT
from tests.doubles.github import GitHubDouble

ACTION = yaml.safe_load((ROOT / "action.yml").read_text())
WORKFLOWS = [
    *sorted(EXAMPLES.glob("*.yml")),
    *sorted((ROOT / ".github" / "workflows").glob("*.yml")),
]
PAGE = (ROOT / "docs" / "github-action.md").read_text()


def section(title: str) -> str:
    return PAGE.split(f"\n## {title}\n")[1].split("\n## ")[0]


def rows(text: str) -> list[str]:
    """The names in the first column of the tables in a text."""
    return [
        name
        for line in text.splitlines()
        if line.startswith("| `")
        for name in re.findall(r"`([a-z-]+)`", line.split("|")[1])
    ]


def test_the_page_has_every_input_and_every_output() -> None:
    assert rows(section("Inputs")) == list(ACTION["inputs"])
    outputs, reasons = section("Outputs").split("| `failure-reason` | exit code")
    assert rows(outputs) == list(ACTION["outputs"])
    said = {*REASONS.values(), "inputs", "event", "not-approved", "comment", "findings"} - {""}
    assert set(rows(reasons)) == said
    assert (
        set(
            re.findall(
                r"[a-z]+(?:-[a-z]+)*",
                ACTION["outputs"]["failure-reason"]["description"].split(":")[1],
            )
        )
        == said
    )


def test_the_page_shows_the_defaults() -> None:
    for line in section("Inputs").splitlines():
        if line.startswith("| `"):
            name, default = line.split("|")[1].strip(" `"), line.split("|")[2].strip(" `")
            assert default in (ACTION["inputs"][name]["default"], "the job's")


def test_every_input_reaches_a_variable_and_none_a_script() -> None:
    steps = ACTION["runs"]["steps"]
    handed = " ".join(
        str(value)
        for step in steps
        for value in (*step.get("env", {}).values(), *step.get("with", {}).values())
    )
    assert {name for name in ACTION["inputs"] if f"inputs.{name} " in handed} == set(
        ACTION["inputs"]
    )
    assert not [step for step in steps if "${{" in step.get("run", "")]
    named = {
        name.removeprefix(PREFIX).lower().replace("_", "-")
        for name in next(step for step in steps if step.get("id") == "run")["env"]
        if name.startswith(PREFIX)
    }
    assert named == set(ACTION["inputs"]) - {"version", "extras", "install", "python-version"}


@pytest.mark.parametrize("path", [ROOT / "action.yml", *WORKFLOWS], ids=lambda path: path.name)
def test_every_action_is_pinned_to_a_commit_with_its_version_beside_it(path: Path) -> None:
    used = re.findall(r"(?m)^ +-? ?uses: (.+)", path.read_text())
    assert used
    assert [
        line
        for line in used
        if not re.fullmatch(r"[\w./-]+@[0-9a-f]{40} # v[\w.]+", line)
        and not line.startswith("./ #")
    ] == []


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_every_workflow_has_the_least_permissions_a_concurrency_group_and_an_end(
    path: Path,
) -> None:
    workflow = yaml.safe_load(path.read_text())
    assert workflow["permissions"] == {}
    assert workflow["concurrency"]["group"]
    for job in workflow["jobs"].values():
        assert job["timeout-minutes"] <= 60
        assert {key for key, value in job["permissions"].items() if value == "write"} <= {
            "pull-requests",
            "id-token",
            "packages",
            "security-events",
        }
        assert all(
            step.get("with", {}).get("persist-credentials") is False
            for step in job["steps"]
            if "checkout" in step.get("uses", "")
        )
        assert not [step for step in job["steps"] if "${{" in step.get("run", "")]


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.yml")), ids=lambda path: path.name)
def test_an_apply_is_never_stopped_halfway(path: Path) -> None:
    if "command: apply" in path.read_text():
        assert yaml.safe_load(path.read_text())["concurrency"]["cancel-in-progress"] is False


def test_publishing_needs_no_stored_token() -> None:
    release = yaml.safe_load((ROOT / ".github" / "workflows" / "release.yml").read_text())
    job = release["jobs"]["pypi"]
    assert (job["permissions"], job["environment"]["name"]) == ({"id-token": "write"}, "pypi")
    assert "secrets." not in (ROOT / ".github" / "workflows" / "release.yml").read_text()


def test_ci_uses_the_action_on_the_demo(repository: Repository, github: GitHubDouble) -> None:
    (step,) = [
        s
        for s in yaml.safe_load(WORKFLOWS_CI.read_text())["jobs"]["action"]["steps"]
        if s.get("uses") == "./"
    ]
    job = repository.job("push", {}, sha="c" * 40)
    job.checkout = ROOT
    done = job.action({**step["with"], "install": "none"}, github.token(contents="read"))
    assert (done.code, done.used) == (
        0,
        ["actions/setup-python@a26af69be951a213d495a4c3e4e4022e16d87065"],
    ), done.log
    assert int(done.outputs["opens"]) > 0


WORKFLOWS_CI = ROOT / ".github" / "workflows" / "ci.yml"
