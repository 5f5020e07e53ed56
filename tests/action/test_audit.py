"""`command: audit`: the Compose files of a checkout, to code scanning."""

from __future__ import annotations

import json
from pathlib import Path

import yaml

from tests.action.conftest import EXAMPLES, Repository
from tests.action.workflow import Job, Ran
from tests.doubles.github import GitHubDouble

DATABASE = "services: {db: {image: 'postgres:16', ports: ['5432:5432']}}\n"


def audited(repository: Repository, **changed: str) -> tuple[Ran, Job]:
    """The example workflow."""
    job = repository.job("pull_request", {"pull_request": {"number": 7}}, sha="a" * 40)
    return job.run(EXAMPLES / "cloudsync-audit.yml", "audit", **changed), job


def sarif(ran: Ran) -> dict[str, object]:
    (run,) = json.loads(Path(ran.outputs["sarif-path"]).read_text())["runs"]
    return dict(run)


def places(ran: Ran) -> list[tuple[str, int]]:
    results = sarif(ran)["results"]
    assert isinstance(results, list)
    found = (result["locations"][0]["physicalLocation"] for result in results)
    return [(place["artifactLocation"]["uri"], place["region"]["startLine"]) for place in found]


def test_every_project_is_audited_and_the_findings_go_to_code_scanning(
    repository: Repository, github: GitHubDouble
) -> None:
    for folder in ("shop", "tools/db", "node_modules/x", ".hidden"):
        (repository.checkout / folder).mkdir(parents=True)
        (repository.checkout / folder / "compose.yaml").write_text(DATABASE)
    ran, job = audited(repository)
    assert (ran.code, ran.outputs["failure-reason"], ran.outputs["findings"]) == (
        3,
        "findings",
        "2",
    )
    assert sorted(places(ran)) == [("shop/compose.yaml", 1), ("tools/db/compose.yaml", 1)]
    assert ran.used[-1].startswith("github/codeql-action/upload-sarif@")
    assert job.given[-1]["sarif_file"] == ran.outputs["sarif-path"]
    assert "CS002" in ran.summary


def test_nothing_to_complain_about_is_uploaded_too(
    repository: Repository, github: GitHubDouble
) -> None:
    """Or alerts that are mended would stay."""
    (repository.checkout / "compose.yaml").write_text(DATABASE.replace("5432:", "127.0.0.1:5432:"))
    ran, _ = audited(repository)
    assert (ran.code, ran.outputs["findings"]) == (0, "0")
    assert ran.used[-1].startswith("github/codeql-action/upload-sarif@")


def test_what_is_named_alone_is_audited_and_the_severity_is_chosen(
    repository: Repository, github: GitHubDouble
) -> None:
    (repository.checkout / "a.yaml").write_text(DATABASE)
    (repository.checkout / "compose.yaml").write_text("services: no\n")
    ran, _ = audited(repository, compose="a.yaml", fail_on="critical", upload="false")
    assert (ran.code, ran.outputs["findings"]) == (0, "1")
    assert not any("upload-sarif" in action for action in ran.used)


def test_law1_a_file_that_cannot_be_read_fails_and_is_said(
    repository: Repository, github: GitHubDouble
) -> None:
    (repository.checkout / "compose.yaml").write_text("services: no\n")
    ran, _ = audited(repository)
    assert (ran.code, ran.outputs["failure-reason"]) == (1, "failed")
    assert "could not be looked at" in ran.summary


def test_a_checkout_without_compose_files_is_said(
    repository: Repository, github: GitHubDouble
) -> None:
    ran, _ = audited(repository)
    assert (ran.code, ran.outputs["failure-reason"]) == (64, "inputs")


def test_a_name_with_backticks_stays_in_its_block(
    repository: Repository, github: GitHubDouble
) -> None:
    hostile = DATABASE.replace("postgres:16", "postgres:16````\\n# title")
    (repository.checkout / "compose.yaml").write_text(hostile)
    ran, _ = audited(repository)
    fence = ran.summary.split("text\n")[0].rpartition("\n")[2]
    assert ran.summary.rstrip().endswith(fence)
    assert ran.summary.count(fence) == 2


def test_the_upload_may_write_alerts_only() -> None:
    workflow = yaml.safe_load((EXAMPLES / "cloudsync-audit.yml").read_text())
    permissions = workflow["jobs"]["audit"]["permissions"]
    assert permissions == {"contents": "read", "security-events": "write"}
