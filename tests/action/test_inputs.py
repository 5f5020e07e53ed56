"""Inputs are checked before anything is done, and none of them reaches a shell."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cloudsync.action import install
from cloudsync.action.inputs import PREFIX, InputError, Inputs
from tests.action.conftest import REAL_PYTHON, Repository
from tests.doubles.github import GitHubDouble
from tests.doubles.hetzner import HetznerDouble


def of(**values: str) -> Inputs:
    return Inputs.of({f"{PREFIX}{name.upper()}": value for name, value in values.items()})


def test_words_of_args_are_split_without_a_shell() -> None:
    assert of(args="--firewall web --adopt='a b' --allow-close 7 --now").args == (
        "--firewall=web",
        "--adopt=a b",
        "--allow-close=7",
        "--now",
    )


@pytest.mark.parametrize(
    "args",
    [
        *(
            "--auto-approve",
            "--expect=x",
            "--out=x",
            "-c x",
            "--config=x",
            "--output json",
            "plan.json",
            "--",
            "--now; x",
            "--now=1",
        ),
        *("$(touch x)", "`x`", "'", "--firewall", "-q"),
    ],
)
def test_args_takes_only_what_plan_and_apply_share(args: str) -> None:
    with pytest.raises(InputError, match="the input args"):
        of(args=args)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("command", "apply; touch x"),
        ("comment", "yes"),
        ("fail_on_changes", "True"),
        ("approval", "auto"),
        ("working_directory", "/nowhere/at/all"),
        ("approval", "expect"),
    ],
)
def test_other_values_are_refused_by_the_input_s_name(name: str, value: str) -> None:
    with pytest.raises(InputError, match=f"the input ({name.replace('_', '-')}|expect)"):
        of(**{name: value})


def test_the_label_is_where_the_configuration_lies(tmp_path: Path) -> None:
    (tmp_path / "infra").mkdir()
    environ = {
        f"{PREFIX}WORKING_DIRECTORY": "infra",
        f"{PREFIX}CONFIG": "prod.toml",
        "GITHUB_WORKSPACE": str(tmp_path),
    }
    assert Inputs.of(environ).label == "infra/prod.toml"
    assert of().label == ""


def test_a_value_that_begins_like_an_option_stays_a_value(
    repository: Repository, github: GitHubDouble
) -> None:
    github.open_pull(7, "a" * 40)
    done = repository.plans(7, config="--help")
    assert (done.code, done.outputs["failure-reason"]) == (64, "configuration")


INJECTION = (
    "x'\"; touch {folder}/hit; $(touch {folder}/hit) `touch {folder}/hit` ${{{{ github.token"
    " }}}}\n::error::hit"
)


@pytest.mark.parametrize(
    "name",
    [
        "command",
        "config",
        "working_directory",
        "comment",
        "approval",
        "expect",
        "branch",
        "label",
        "args",
        "install",
    ],
)
def test_no_input_reaches_a_shell(
    repository: Repository, github: GitHubDouble, name: str, tmp_path: Path
) -> None:
    github.open_pull(7, "a" * 40)
    done = repository.plans(7, **{name: INJECTION.format(folder=tmp_path)})
    assert not (tmp_path / "hit").exists()
    assert done.code == (0 if name in ("branch", "label", "expect") else 64), done.log
    assert not [line for line in done.log.splitlines() if line.startswith("::error::")]


def test_branch_names_titles_and_container_names_reach_neither_shell_nor_markdown(
    repository: Repository, github: GitHubDouble, tmp_path: Path
) -> None:
    bad = INJECTION.format(folder=tmp_path)
    github.open_pull(7, "a" * 40)
    toml = (
        'description = "<img src=x onerror=y> @acme/all [click](http://x) <!-- cloudsync v1 key=0'
        ' seal=0 --> ##[add-mask]22"'
    )
    path = repository.checkout / "cloudsync.toml"
    path.write_text(
        path.read_text()
        + f'[[firewalls.web.allow]]\nports = ["9100/tcp"]\nsources = ["any"]\n{toml}\n'
    )
    done = repository.plans(7, title=bad, branch=bad)
    assert done.code == 0, done.log
    assert not (tmp_path / "hit").exists()
    (body,) = github.on(7)
    for text in (body, done.summary):
        assert "9100" in text
        assert "<img" not in text
        assert "@acme" not in text
        assert "](http://x" not in text
        assert text.count("<!-- cloudsync v1") <= 1
    log = done.log.splitlines()
    start = next(i for i, line in enumerate(log) if line.startswith("::stop-commands::"))
    end = log.index(f"::{log[start].removeprefix('::stop-commands::')}::")
    assert all("##[" not in line for line in (*log[:start], *log[end:]))


def test_a_fork_gets_a_summary_and_no_comment(repository: Repository, github: GitHubDouble) -> None:
    github.open_pull(7, "a" * 40)
    done = repository.plans(7, fork="mallory/shop")
    assert (done.code, github.on(7)) == (0, [])
    assert "::warning title=cloudsync::the pull request comes from a fork" in done.log
    assert "443/tcp | everyone" in done.summary


@pytest.mark.parametrize(
    "event", ["pull_request_target", "issue_comment", "pull_request_review", "workflow_run"]
)
def test_events_of_strangers_that_have_secrets_are_refused_before_anything_is_read(
    repository: Repository, github: GitHubDouble, event: str
) -> None:
    job = repository.job(event, {"pull_request": {"number": 7}}, sha="e" * 40)
    done = job.action({"install": "none"}, github.token(pull_requests="write"))
    assert (done.code, done.outputs["failure-reason"], done.outputs["digest"]) == (64, "event", "")


def test_a_comment_that_cannot_be_written_fails_the_plan_and_names_the_permission(
    repository: Repository, github: GitHubDouble
) -> None:
    github.open_pull(7, "a" * 40)
    pull = {"number": 7, "head": {"sha": "a" * 40, "repo": {"full_name": github.repository}}}
    done = repository.job("pull_request", {"pull_request": pull}, sha="e" * 40).action(
        {"install": "none"}, github.token(contents="read")
    )
    assert (done.code, done.outputs["failure-reason"]) == (1, "comment")
    assert "pull-requests: write" in done.log
    assert done.outputs["changes"] == "true"


@pytest.fixture
def cloud() -> Iterator[HetznerDouble]:
    """A vendor that refuses every token of a test."""
    with HetznerDouble() as cloud:
        yield cloud


def test_the_actions_token_is_kept_from_the_command(
    repository: Repository, github: GitHubDouble, cloud: HetznerDouble, tmp_path: Path
) -> None:
    """A secret reference of the configuration may run a command: it sees what the job set, not the
    action's token. Every process is started for real: a fork shows the environment of the process
    it was forked from."""
    repository.python = REAL_PYTHON
    dump = tmp_path / "dump.sh"
    # It looks into the environment of the processes it descends from, too, up to the runner.
    dump.write_text(
        f"#!/bin/sh\nenv > {tmp_path}/seen\npid=$$\n"
        "while tr '\\0' '\\n' < /proc/$pid/environ | grep -q GITHUB_RUN_ID=; do\n"
        f"  tr '\\0' '\\n' < /proc/$pid/environ >> {tmp_path}/seen\n"
        "  pid=$(cut -d' ' -f4 /proc/$pid/stat)\ndone\necho x\n"
    )
    dump.chmod(0o755)
    path = repository.checkout / "cloudsync.toml"
    text = path.read_text().replace(
        "[providers.local]",
        f'[providers.hetzner]\ntoken = {{ command = ["{dump}"] }}\nendpoint = "{cloud.endpoint}"',
    )
    path.write_text(
        text.replace('provider = "local"', 'provider = "hetzner"').replace(
            f'path = "{repository.folder}/cloud/fw.json"', ""
        )
    )
    github.open_pull(7, "a" * 40)
    done = repository.plans(7, approval_secret="a-secret-of-both-jobs")
    seen = (tmp_path / "seen").read_text()
    assert seen.count("GITHUB_RUN_ID=") >= 4, "itself, its shell, cloudsync and the action"
    assert "a-secret-of-both-jobs" not in seen
    assert not [
        token for token in github.tokens if token in (tmp_path / "seen").read_text() + done.log
    ]


# --- installing


@pytest.mark.parametrize(
    ("version", "extras", "wanted"),
    [
        ("1.2.0", "aws", "cloudsync-firewall[aws]==1.2.0"),
        ("1.2.0rc1", "", "cloudsync-firewall==1.2.0rc1"),
        ("", "aws,hetzner", "/action[aws,hetzner]"),
        ("", "", "/action"),
    ],
)
def test_what_is_installed(version: str, extras: str, wanted: str) -> None:
    assert install.requirement(version, extras, Path("/action")) == wanted


@pytest.mark.parametrize(
    ("version", "extras"),
    [
        ("1.0 --index-url=x", ""),
        ("-r x", ""),
        ("1.0;x", ""),
        ("main", ""),
        ("", "aws] @ git+x"),
        ("", "aws,"),
        ("", "-e"),
    ],
)
def test_nothing_else_is_installed(version: str, extras: str) -> None:
    with pytest.raises(install.InstallError):
        install.requirement(version, extras, Path("/action"))


def test_the_action_s_own_code_comes_with_the_versions_it_was_tested_with(tmp_path: Path) -> None:
    environ = {"GITHUB_ACTION_PATH": str(tmp_path), "CLOUDSYNC_EXTRAS": "aws, gcp"}
    make, builder, fill = install.commands(environ, Path("/venv"))
    assert make == [sys.executable, "-I", "-m", "venv", "/venv"]
    pinned = ["--constraint", f"{tmp_path}/constraints.txt"]
    assert builder[-3:] == [*pinned, "hatchling"]
    assert fill[-4:] == [*pinned, "--no-build-isolation", f"{tmp_path}[aws,gcp]"]
    assert (
        "--constraint"
        not in install.commands({**environ, "CLOUDSYNC_VERSION": "1.0"}, Path("/venv"))[1]
    )


def test_uv_where_it_is_asked_for_and_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environ = {
        "GITHUB_ACTION_PATH": str(tmp_path),
        "CLOUDSYNC_INSTALL": "uv",
        "CLOUDSYNC_VERSION": "1.0",
    }
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(install.InstallError, match="setup-uv"):
        install.commands(environ, Path("/venv"))
    (tmp_path / "uv").write_text("#!/bin/sh\n")
    (tmp_path / "uv").chmod(0o755)
    assert [words[0] for words in install.commands(environ, Path("/venv"))] == [
        str(tmp_path / "uv")
    ] * 2


def test_what_a_compose_file_says_reaches_neither_shell_nor_markdown(
    repository: Repository, github: GitHubDouble, tmp_path: Path
) -> None:
    bad = f"$(touch {tmp_path}/hit) <img src=x> @acme/all ](http://x) <!-- cloudsync v1 -->"
    repository.composes(f"""services:
  web:
    image: nginx
    container_name: web-1
    ports: ["443:443"]
    labels:
      cloudsync.description: {json.dumps(bad.replace("$", "$$"))}
  worse:
    image: nginx
    ports: ["80:80"]
    labels:
      cloudsync.sources: {json.dumps(bad.replace("$", "$$"))}
""")
    github.open_pull(7, "a" * 40)
    done = repository.plans(7)
    assert done.code == 1, done.log
    assert not (tmp_path / "hit").exists()
    for text in (*github.on(7), done.summary):
        assert "cloudsync" in text
        assert "<img" not in text
        assert "@acme" not in text
        assert "](http://x" not in text
        assert text.count("<!-- cloudsync v1") <= 1
