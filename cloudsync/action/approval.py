"""Whether a change set may be applied: it was shown in the pull request that was merged, or its
digest was named, or nobody asks."""

from __future__ import annotations

import time
from collections.abc import Callable

from cloudsync.action import comment
from cloudsync.action.comment import Place
from cloudsync.action.event import Event
from cloudsync.action.github import Comment, GitHub, GitHubError, PullRequest
from cloudsync.action.inputs import Inputs
from cloudsync.rules.frozen import dataclass

_TRIES = 4
_WAIT_SECONDS = 3.0


class NotApproved(Exception):
    """Nobody approved it; one line that says what is missing and what to do. `changed`: something
    else was approved."""

    def __init__(
        self, message: str, *, changed: bool = False, comments: tuple[Comment, ...] = ()
    ) -> None:
        super().__init__(message)
        self.changed, self.comments = changed, comments


@dataclass(frozen=True, slots=True)
class Approved:
    """`comment`: the one that showed the change set, if there is one."""

    comment: Comment | None = None
    remark: str | None = None
    """What could not be checked, for the log."""


def branch_problem(inputs: Inputs, event: Event) -> str | None:
    """Why nothing is applied in this run, whatever was approved; None where it may go on."""
    if inputs.approval != "pull-request":
        return None
    wanted = inputs.branch or event.default_branch
    if event.branch is None or event.branch != wanted:
        return f"apply works on the branch {wanted or '(unknown)'} only, and this run is not on it"
    return None


def approved(
    inputs: Inputs,
    event: Event,
    digest: str,
    github: GitHub | None,
    *,
    sleep: Callable[[float], None] = time.sleep,
) -> Approved:
    """The approval of the change set with this digest. Raises `NotApproved` and `GitHubError`."""
    if inputs.approval == "none":
        return Approved()
    if inputs.approval == "expect":
        if inputs.expect != digest:
            raise NotApproved(
                f"the changes are not the expected ones: their digest is {digest}", changed=True
            )
        return Approved()
    if github is None:
        raise NotApproved("the pull request cannot be asked: the input token is empty")
    pull = _merged(event, github, sleep)
    if pull.from_repository not in (event.repository, None):
        raise NotApproved(
            f"pull request #{pull.number} came from a fork, whose runs may not comment: no comment"
            " in it can be the plan of this repository; look at the plan of this run, and apply it"
            " by hand or with the input expect"
        )
    remark = _refuse_an_old_commit(event, github)
    place = Place(event.repository, pull.number, inputs.label, inputs.approval_secret)
    comments = comment.ours(github, place, github.user())
    seal = comment.shown(comments)
    if seal is None:
        raise NotApproved(
            f"pull request #{pull.number} has no plan of this configuration that could be approved"
            " by merging it; look at the plan of this run, and apply it by hand or with the input"
            " expect",
            comments=tuple(comments),
        )
    if seal == comment.USED:
        raise NotApproved(
            f"the changes shown in pull request #{pull.number} were applied already, and a merge"
            " approves them once: what changed since then needs a plan of its own",
            changed=True,
        )
    if seal != place.seal(digest):
        raise NotApproved(
            f"the changes are not those shown in pull request #{pull.number} any more: their digest"
            f" is {digest} now",
            changed=True,
            comments=tuple(comments),
        )
    return Approved(comments[0], remark)


def _refuse_an_old_commit(event: Event, github: GitHub) -> str | None:
    """A run that is started again later has the commit, and the approval, of then. A token that may
    not ask leaves that to the seal, which is used up by a run that applied: the remark says so."""
    if event.branch is None:
        return None
    try:
        tip = github.tip(event.branch)
    except GitHubError as error:
        if not error.forbidden:
            raise
        return (
            f"whether this is the newest commit of {event.branch} was not checked, give the job"
            f" `contents: read`: {error}"
        )
    if tip == event.sha:
        return None
    raise NotApproved(
        f"the commit {event.sha[:12]} is not the newest of {event.branch} any more, {tip[:12]} is:"
        " what is approved may have been taken back since; the run of the newest commit applies",
        changed=True,
    )


def _merged(event: Event, github: GitHub, sleep: Callable[[float], None]) -> PullRequest:
    """The pull request whose merge made this commit. GitHub may take seconds to know it."""
    for attempt in range(_TRIES):
        if attempt:
            sleep(_WAIT_SECONDS)
        merged = [
            pull_request
            for pull_request in github.pull_requests_of(event.sha)
            if pull_request.base == event.branch and pull_request.merge_commit == event.sha
        ]
        if merged:
            return merged[0]
    raise NotApproved(
        f"the commit {event.sha[:12]} was not made by merging a pull request, so its changes were"
        " never shown to anyone; look at the plan of this run, and apply it by hand or with the"
        " input expect"
    )
