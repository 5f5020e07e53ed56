"""The life of a pull request, with the example workflows carried out by the offline runner against
a double of GitHub. The first test is the life from end to end, with every process started for real;
the others fork theirs (`tests/stand_in.py`).
"""

from __future__ import annotations

import sys
from collections.abc import Mapping

import pytest

from cloudsync.action import run
from cloudsync.action.inputs import PREFIX, Inputs
from cloudsync.action.runner import Runner
from cloudsync.state import history
from tests.action.conftest import EXAMPLES, REAL_PYTHON, Repository
from tests.doubles.github import GitHubDouble

MERGE = "c0ffee" + "0" * 34


def test_a_plan_is_shown_updated_by_the_next_push_and_applied_by_the_merge(
    repository: Repository, github: GitHubDouble
) -> None:
    repository.python = REAL_PYTHON
    github.open_pull(7, "a" * 40)
    first = repository.plans(7)
    assert (first.code, first.outputs["changes"], first.outputs["opens"]) == (0, "true", "2"), (
        first.log
    )
    (body,) = github.on(7)
    assert "443/tcp | everyone" in body
    assert first.outputs["digest"] in body
    assert "443/tcp | everyone" in first.summary

    repository.needs("443/tcp", "25/tcp")
    second = repository.plans(7, head="b" * 40)
    (body,) = github.on(7)
    assert "25/tcp | everyone" in body
    assert "bbbbbbbbbbbb" in body
    assert second.outputs["digest"] != first.outputs["digest"]

    github.merge(7, MERGE)
    done = repository.applies(MERGE)
    assert done.code == 0, done.log
    assert (done.outputs["failure-reason"], done.outputs["digest"]) == (
        "",
        second.outputs["digest"],
    )
    assert repository.open == {"22/tcp", "25/tcp", "443/tcp"}
    (body,) = github.on(7)
    assert "✅ **Applied**" in body
    assert "25/tcp | everyone" in body
    assert "web: created; opened 22, 25, 443/tcp" in done.summary


def test_law6_what_changed_since_it_was_shown_is_not_applied(
    repository: Repository, github: GitHubDouble
) -> None:
    github.open_pull(7, "a" * 40)
    repository.plans(7)
    repository.needs("443/tcp", "25/tcp")  # the host needs more by the time of the merge
    github.merge(7, MERGE)
    done = repository.applies(MERGE)
    assert (done.code, done.outputs["failure-reason"]) == (4, "plan-changed")
    assert repository.open == set()
    (body,) = github.on(7)
    assert "**Nothing was applied** (plan-changed)" in body
    assert "25/tcp | everyone" in done.summary


def test_law6_a_cloud_that_changed_since_it_was_shown_is_not_touched(
    repository: Repository, github: GitHubDouble
) -> None:
    github.open_pull(7, "a" * 40)
    repository.plans(7)
    github.merge(7, MERGE)
    assert repository.applies(MERGE).code == 0
    repository.needs("443/tcp", "25/tcp")
    github.open_pull(8, "b" * 40)
    repository.plans(8, head="b" * 40)
    path = repository.folder / "cloud" / "fw.json"
    path.write_text(path.read_text().replace('"443"', '"444"'))  # by hand, at the vendor
    github.merge(8, "d" * 40)
    done = repository.applies("d" * 40)
    assert done.outputs["failure-reason"] == "plan-changed"
    assert repository.open == {"22/tcp", "444/tcp"}


def test_a_second_run_of_the_same_merge_has_nothing_to_do(
    repository: Repository, github: GitHubDouble
) -> None:
    github.open_pull(7, "a" * 40)
    repository.plans(7)
    github.merge(7, MERGE)
    repository.applies(MERGE)
    again = repository.applies(MERGE)
    assert (again.code, again.outputs["changes"]) == (0, "false")


def test_a_comment_copied_from_another_pull_request_approves_nothing(
    repository: Repository, github: GitHubDouble
) -> None:
    github.open_pull(7, "a" * 40)
    repository.plans(7)
    github.open_pull(8, "b" * 40)
    github.says("github-actions[bot]", 8, github.on(7)[0])
    github.merge(8, MERGE)
    done = repository.applies(MERGE)
    assert done.outputs["failure-reason"] == "plan-changed"
    assert repository.open == set()


def test_another_branch_than_the_default_one_is_not_applied(
    repository: Repository, github: GitHubDouble
) -> None:
    github.open_pull(7, "a" * 40)
    repository.plans(7)
    github.merge(7, MERGE)
    done = repository.applies(MERGE, ref="refs/heads/release")
    assert done.outputs["failure-reason"] == "not-approved"
    assert "main only" in done.log
    assert repository.open == set()


def test_a_plan_that_failed_withdraws_the_approval_of_an_older_one(
    repository: Repository, github: GitHubDouble
) -> None:
    github.open_pull(7, "a" * 40)
    repository.plans(7)
    good = (repository.checkout / "cloudsync.toml").read_text()
    (repository.checkout / "cloudsync.toml").write_text(good + "\nnonsense = 1\n")
    broken = repository.plans(7, head="b" * 40)
    assert (broken.code, broken.outputs["failure-reason"]) == (64, "configuration")
    (body,) = github.on(7)
    assert "There is no plan" in body
    assert "nonsense" in body
    (repository.checkout / "cloudsync.toml").write_text(good)
    github.merge(7, MERGE)
    assert repository.applies(MERGE).outputs["failure-reason"] == "not-approved"
    assert repository.open == set()


def test_a_named_digest_is_an_approval_and_another_is_not(
    repository: Repository, github: GitHubDouble
) -> None:
    github.open_pull(7, "a" * 40)
    digest = repository.plans(7, comment="false").outputs["digest"]
    other = repository.applies(MERGE, expect="sha256:" + "0" * 64)
    assert (other.code, other.outputs["failure-reason"]) == (4, "plan-changed")
    assert repository.applies(MERGE, expect=digest).code == 0
    assert repository.open == {"22/tcp", "443/tcp"}


def test_without_approval_what_is_planned_now_is_applied(repository: Repository) -> None:
    assert repository.applies(MERGE, approval="none", ref="refs/heads/anything").code == 0
    assert repository.open == {"22/tcp", "443/tcp"}


def test_drift_fails_the_scheduled_check_and_comments_nowhere(
    repository: Repository, github: GitHubDouble
) -> None:
    drift = EXAMPLES / "cloudsync-drift.yml"
    done = repository.job("schedule", {}, sha=MERGE).run(drift, "drift")
    assert (done.code, done.outputs["failure-reason"], done.outputs["changes"]) == (
        2,
        "changes",
        "true",
    )
    repository.applies(MERGE, approval="none")
    done = repository.job("schedule", {}, sha=MERGE).run(drift, "drift")
    assert (done.code, done.outputs["changes"]) == (0, "false")
    assert github.calls == []


@pytest.mark.parametrize("cloud", ["aws", "gcp"])
def test_the_oidc_workflows_have_a_plan_and_an_apply(
    repository: Repository, github: GitHubDouble, cloud: str
) -> None:
    github.open_pull(7, "a" * 40)
    pull = {"number": 7, "head": {"sha": "a" * 40, "repo": {"full_name": github.repository}}}
    workflow = EXAMPLES / f"cloudsync-{cloud}.yml"
    shown = repository.job(
        "pull_request", {"pull_request": pull}, sha="e" * 40, ref="refs/pull/7/merge"
    )
    assert shown.run(workflow, "plan").code == 0
    assert shown.run(workflow, "apply").log == "skipped"
    github.merge(7, MERGE)
    merged = repository.job("push", {}, sha=MERGE)
    assert merged.run(workflow, "plan").log == "skipped"
    assert merged.run(workflow, "apply").code == 0
    assert repository.open == {"22/tcp", "443/tcp"}


def test_two_configurations_have_two_comments(repository: Repository, github: GitHubDouble) -> None:
    github.open_pull(7, "a" * 40)
    (repository.checkout / "other.toml").write_text(
        (repository.checkout / "cloudsync.toml").read_text()
    )
    repository.plans(7)
    repository.plans(7, config="other.toml")
    repository.plans(7, config="other.toml")
    assert len(github.on(7)) == 2


def test_law6_what_changes_between_the_approval_and_the_first_write_is_not_applied(
    repository: Repository,
    github: GitHubDouble,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    digest = repository.applies(MERGE, expect="sha256:0").outputs["digest"]
    command = run._cloudsync

    def meanwhile(
        inputs: Inputs, environ: Mapping[str, str], runner: Runner, name: str, *options: str
    ):  # type: ignore[no-untyped-def]
        if name == "apply":
            repository.needs("443/tcp", "25/tcp")
        return command(inputs, environ, runner, name, *options)

    monkeypatch.setattr(run, "_cloudsync", meanwhile)
    monkeypatch.setattr(sys, "executable", str(repository.python))
    inputs = {"COMMAND": "apply", "EXPECT": digest}
    environ = {f"{PREFIX}{name}": value for name, value in inputs.items()}
    place = {
        "GITHUB_WORKSPACE": str(repository.checkout),
        "RUNNER_TEMP": str(repository.folder),
        "HOME": str(repository.folder),
    }
    assert run.main({**environ, **place}) == 4
    assert "::error title=cloudsync::plan-changed" in capsys.readouterr().out
    assert repository.open == set()


def test_law1_an_approval_that_cannot_be_read_is_none(
    repository: Repository, github: GitHubDouble
) -> None:
    github.open_pull(7, "a" * 40)
    repository.plans(7)
    github.merge(7, MERGE)
    github.limit("/repos/acme/shop/commits/.*", seconds=1800)
    done = repository.applies(MERGE)
    assert (done.code, done.outputs["failure-reason"]) == (75, "not-approved")
    assert "rate limit" in done.log
    assert repository.open == set()


def test_a_pull_request_that_cannot_be_told_is_a_warning_since_everything_is_done(
    repository: Repository, github: GitHubDouble
) -> None:
    github.open_pull(7, "a" * 40)
    repository.plans(7)
    github.merge(7, MERGE)
    done = repository.job("push", {}, sha=MERGE).action(
        {"command": "apply", "install": "none"}, github.token(pull_requests="read")
    )
    assert (done.code, done.outputs["failure-reason"]) == (0, ""), done.log
    assert "::warning title=cloudsync::the pull request could not be updated" in done.log
    assert repository.open == {"22/tcp", "443/tcp"}


def test_law6_a_compose_file_that_changed_since_it_was_shown_is_not_applied(
    repository: Repository, github: GitHubDouble
) -> None:
    service = 'services:\n  web:\n    image: nginx\n    ports: ["443:443"{more}]\n'
    github.open_pull(7, "a" * 40)
    repository.composes(service.format(more=""))
    shown = repository.plans(7)
    assert shown.code == 0, shown.log
    assert "compose.yaml:4" in github.on(7)[0]
    github.merge(7, MERGE)
    repository.composes(service.format(more=', "25:25"'))
    assert repository.applies(MERGE).outputs["failure-reason"] == "plan-changed"
    assert repository.open == set()
    repository.composes(service.format(more=""))
    assert repository.applies(MERGE).code == 0
    assert repository.open == {"22/tcp", "443/tcp"}


def test_law6_a_run_that_is_started_again_does_not_bring_an_old_plan_back(
    repository: Repository, github: GitHubDouble
) -> None:
    """A merge opens 25, a later one closes it; "Re-run all jobs" on the first has the same commit
    and the same approval, for a month."""
    repository.needs("443/tcp", "25/tcp")
    github.open_pull(7, "a" * 40)
    repository.plans(7)
    github.merge(7, MERGE)
    repository.applies(MERGE)
    assert "25/tcp" in repository.open
    repository.needs("443/tcp")
    later = "d" * 40
    github.open_pull(8, "b" * 40)
    repository.plans(8)
    github.merge(8, later)
    assert repository.applies(later).code == 0
    assert "25/tcp" not in repository.open
    repository.needs("443/tcp", "25/tcp")
    again = repository.applies(MERGE)
    assert (again.code, again.outputs["failure-reason"]) == (4, "plan-changed")
    assert "25/tcp" not in repository.open


def test_law6_a_plan_that_does_not_fit_into_the_comment_is_not_approved_by_merging(
    repository: Repository, github: GitHubDouble
) -> None:
    repository.needs("443/tcp", *(f"{number}/udp" for number in range(20000, 22400, 2)))
    github.open_pull(7, "a" * 40)
    repository.plans(7)
    (text,) = github.on(7)
    assert "merging does not approve it" in text
    assert "Merging approves exactly" not in text
    github.merge(7, MERGE)
    assert repository.applies(MERGE).code == 4
    assert repository.open == set()


def test_law6_the_apply_is_held_to_the_digest_that_was_approved(
    repository: Repository, github: GitHubDouble
) -> None:
    """Not to "whatever is planned by then": the command line says so."""
    github.open_pull(7, "a" * 40)
    planned = repository.plans(7)
    github.merge(7, MERGE)
    applied = repository.applies(MERGE)
    assert applied.code == 0
    (entry,) = history.entries(repository.folder / "state", "shop")
    assert entry["why"] == "apply, --expect"
    assert entry["digest"] == planned.outputs["digest"]
