"""What counts as the approval of a change set, asked of a double of GitHub."""

from __future__ import annotations

from pathlib import Path

import pytest

from cloudsync.action import comment
from cloudsync.action.approval import NotApproved, approved
from cloudsync.action.comment import Place
from cloudsync.action.event import Event
from cloudsync.action.github import GitHub
from cloudsync.action.inputs import Inputs
from tests.doubles.github import GitHubDouble

MERGE, DIGEST = "c0ffee" + "0" * 34, "sha256:" + "1" * 64
PLACE = Place("acme/shop", 7, "")


def inputs(**changed: object) -> Inputs:
    values = {
        "command": "apply",
        "config": None,
        "directory": Path(),
        "comment": True,
        "fail_on_changes": False,
        "approval": "pull-request",
        "expect": None,
        "branch": None,
        "label": "",
        "args": (),
        "token": "x",
    }
    return Inputs(**{**values, **changed})  # type: ignore[arg-type]


def event(sha: str = MERGE) -> Event:
    return Event(
        "push",
        "acme/shop",
        sha,
        "main",
        "main",
        None,
        None,
        fork=False,
        run_url="https://github.com/acme/shop/actions/runs/1",
    )


def client(github: GitHubDouble, login: str = "github-actions[bot]", **permissions: str) -> GitHub:
    permissions = {"contents": "read", **(permissions or {"pull_requests": "write"})}
    token = github.token(login, **permissions)
    return GitHub(
        github.endpoint, f"{github.endpoint}/graphql", "acme/shop", token, sleep=lambda _: None
    )


def shown(
    github: GitHubDouble, number: int = 7, digest: str = DIGEST, place: Place | None = None
) -> None:
    comment.put(
        client(github),
        place or Place("acme/shop", number, ""),
        comment.body(place or PLACE, digest, "the plan"),
    )


def refusal(
    github: GitHubDouble, waits: list[float] | None = None, digest: str = DIGEST
) -> NotApproved:
    with pytest.raises(NotApproved) as caught:
        approved(
            inputs(),
            event(),
            digest,
            client(github),
            sleep=(waits if waits is not None else []).append,
        )
    return caught.value


def test_the_digest_shown_in_the_pull_request_that_was_merged(github: GitHubDouble) -> None:
    github.open_pull(7, "a" * 40)
    shown(github)
    github.merge(7, MERGE)
    assert approved(inputs(), event(), DIGEST, client(github)).comment is not None


def test_reading_it_needs_no_right_to_write(github: GitHubDouble) -> None:
    github.open_pull(7, "a" * 40)
    shown(github)
    github.merge(7, MERGE)
    assert (
        approved(inputs(), event(), DIGEST, client(github, pull_requests="read")).comment
        is not None
    )


def test_law6_another_digest_is_another_plan(github: GitHubDouble) -> None:
    github.open_pull(7, "a" * 40)
    shown(github)
    github.merge(7, MERGE)
    assert refusal(github, digest="sha256:" + "2" * 64).changed


def test_an_open_pull_request_approves_nothing(github: GitHubDouble) -> None:
    github.open_pull(7, MERGE)  # its own commit was pushed to main by hand
    shown(github)
    waits: list[float] = []
    assert "was not made by merging" in str(refusal(github, waits))
    assert len(waits) == 3  # GitHub may take seconds to know a merge


def test_githubs_test_merge_of_an_open_pull_request_is_no_merge(github: GitHubDouble) -> None:
    github.open_pull(7, "a" * 40).commits.append("f" * 40)
    shown(github)
    with pytest.raises(NotApproved, match="was not made by merging"):
        approved(inputs(), event("f" * 40), DIGEST, client(github), sleep=lambda _: None)


def test_a_merge_that_github_knows_of_late_is_waited_for(github: GitHubDouble) -> None:
    github.open_pull(7, "a" * 40)
    shown(github)
    found = approved(
        inputs(), event(), DIGEST, client(github), sleep=lambda _: github.merge(7, MERGE)
    )
    assert found.comment is not None


def test_a_merge_into_another_branch_approves_nothing(github: GitHubDouble) -> None:
    github.open_pull(7, "a" * 40, base="feature")
    shown(github)
    github.merge(7, MERGE)
    assert not refusal(github).changed


@pytest.mark.parametrize(
    "author", ["mallory", "github-actions", "dependabot[bot]", "GitHub-Actions[bot]"]
)
def test_the_comment_of_anybody_else_counts_for_nothing(github: GitHubDouble, author: str) -> None:
    github.open_pull(7, "a" * 40)
    github.says(author, 7, comment.body(PLACE, DIGEST, "the plan"))
    github.merge(7, MERGE)
    assert "has no plan" in str(refusal(github))


def test_a_marker_that_is_not_the_first_line_counts_for_nothing(github: GitHubDouble) -> None:
    github.open_pull(7, "a" * 40)
    github.says(
        "github-actions[bot]", 7, "mallory wrote:\n" + comment.body(PLACE, DIGEST, "the plan")
    )
    github.merge(7, MERGE)
    assert "has no plan" in str(refusal(github))


def test_a_seal_of_another_pull_request_or_configuration_fits_nothing(github: GitHubDouble) -> None:
    github.open_pull(7, "a" * 40)
    github.merge(7, MERGE)
    github.says(
        "github-actions[bot]", 7, comment.body(Place("acme/shop", 8, ""), DIGEST, "replayed")
    )
    assert refusal(github).changed
    assert PLACE.seal(DIGEST) != Place("acme/shop", 7, "other.toml").seal(DIGEST)


def test_two_comments_that_disagree_approve_nothing(github: GitHubDouble) -> None:
    github.open_pull(7, "a" * 40)
    for digest in (DIGEST, "sha256:" + "2" * 64):
        github.says("github-actions[bot]", 7, comment.body(PLACE, digest, "the plan"))
    github.merge(7, MERGE)
    assert not refusal(github).changed


def test_the_approval_is_found_behind_hundreds_of_other_comments(github: GitHubDouble) -> None:
    github.open_pull(7, "a" * 40)
    for _ in range(230):
        github.says("somebody", 7, "+1")
    shown(github)
    github.merge(7, MERGE)
    assert approved(inputs(), event(), DIGEST, client(github)).comment is not None


def test_a_run_that_is_started_again_does_not_bring_an_old_plan_back(github: GitHubDouble) -> None:
    """GitHub re-runs a job with the commit of then, for thirty days."""
    github.open_pull(7, "a" * 40)
    shown(github)
    github.merge(7, MERGE)
    github.open_pull(8, "b" * 40)
    github.merge(8, "d" * 40)
    refused = refusal(github)
    assert refused.changed
    assert "is not the newest of main any more" in str(refused)


def test_a_token_that_may_not_ask_for_the_newest_commit_is_a_remark(github: GitHubDouble) -> None:
    github.open_pull(7, "a" * 40)
    shown(github)
    github.merge(7, MERGE)
    approval = approved(
        inputs(), event(), DIGEST, client(github, contents="none", pull_requests="write")
    )
    assert approval.comment is not None
    assert "contents: read" in (approval.remark or "")


def test_a_pull_request_of_a_fork_has_no_approval_whatever_is_written_in_it(
    github: GitHubDouble,
) -> None:
    """Some workflow may post a stranger's text as github-actions[bot]."""
    github.open_pull(7, "a" * 40).fork = "mallory/shop"
    shown(github)
    github.merge(7, MERGE)
    assert "came from a fork" in str(refusal(github))


def test_with_a_secret_nobody_else_can_seal_a_comment(github: GitHubDouble) -> None:
    github.open_pull(7, "a" * 40)
    github.merge(7, MERGE)
    secret = Place("acme/shop", 7, "", "a secret of the repository")
    shown(github)  # sealed without it, by a workflow that writes as the same user
    with pytest.raises(NotApproved):
        approved(inputs(approval_secret=secret.secret), event(), DIGEST, client(github))
    comment.put(client(github), secret, comment.body(secret, DIGEST, "the plan"))
    approval = approved(inputs(approval_secret=secret.secret), event(), DIGEST, client(github))
    assert approval.comment is not None
    assert "a secret" not in repr(secret)
    other = Place("acme/shop", 7, "", "another")
    assert other.seal(DIGEST) != secret.seal(DIGEST) != PLACE.seal(DIGEST)


def test_without_a_token_nothing_is_approved() -> None:
    with pytest.raises(NotApproved, match="token is empty"):
        approved(inputs(), event(), DIGEST, None)
