"""The exit codes of decision 0007, and which one a plan or an apply ends with: the first row that
applies, from the top."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cloudsync.model.outcome import Report
    from cloudsync.model.plan import Plan, ReadStatus

USAGE = 64
LOCKED = 5
NOT_APPROVED = 4
PARTLY = 6
GUARD = 3
FAILED = 1
TRY_AGAIN = 75
CHANGES = 2
DONE = 0
MEANINGS = (
    (USAGE, "usage or configuration error"),
    (LOCKED, "another run holds the lock of these firewalls (the message names it)"),
    (NOT_APPROVED, "not the approved plan any more; nothing was applied"),
    (PARTLY, "partly applied: a write failed, or it is unknown whether it took effect"),
    (GUARD, "a guard refused something; the rest was done"),
    (
        FAILED,
        (
            "something failed that trying again will not fix: credentials, permission, not found, a"
            " malformed label or file; the rest was done, nothing closed because of it"
        ),
    ),
    (
        TRY_AGAIN,
        (
            "something could not be read for now: try again; the rest was done, nothing closed"
            " because of it"
        ),
    ),
    (CHANGES, "changes pending (`plan --detailed-exitcode` only)"),
    (DONE, "done, or nothing to do"),
)
"""In words, in the order in which they apply: the first that fits."""


def of_plan(plan: Plan, *, detailed: bool = False) -> int:
    """What an apply of this plan would meet; with `detailed`, whether there is anything to do."""
    if plan.guards:
        return GUARD
    read = FAILED if plan.malformed else of_reading(plan)
    if read != DONE:
        return read
    return CHANGES if detailed and plan.has_changes else DONE


def of_reading(plan: Plan) -> int:
    """For commands that only tell what was read: whether all of it could be."""
    return of_statuses(
        (
            *(status for _, status in plan.hosts),
            *(firewall.read for firewall in plan.firewalls),
            *(network.status for network in plan.networks),
        )
    )


def of_exposure(plan: Plan) -> int:
    """What `cloudsync exposure` ends with: whether all of it is known, and with policy.foreign =
    "fail" whether it is wanted."""
    if any(guard.id == "foreign" for guard in plan.guards):
        return GUARD
    return of_statuses(
        error for f in plan.firewalls for error in (f.read, f.standing.read) if error is not None
    )


def of_report(report: Report) -> int:
    """How an apply ended. A person who said no ends it like a failure: nothing was done."""
    if report.busy:
        return LOCKED
    if report.moved is not None:
        return NOT_APPROVED
    if report.declined:
        return FAILED
    if any(outcome.status in ("failed", "unknown") for outcome in report.outcomes):
        return PARTLY
    if report.interrupted is not None and any(outcome.stopped for outcome in report.outcomes):
        return (
            PARTLY
            if any(outcome.status == "done" for outcome in report.outcomes)
            else 128 + report.interrupted
        )
    if _left_undone(report):
        return PARTLY
    return of_plan(report.plan)


def _left_undone(report: Report) -> bool:
    """Whether the time was over before the first step of a firewall that was read: what was to be
    written was not, and no guard or error says so."""
    complete = {f.name for f in report.plan.firewalls if f.read.status == "complete"}
    return any(
        outcome.status == "not-begun" and outcome.firewall in complete
        for outcome in report.outcomes
    )


def of_statuses(statuses: Iterable[ReadStatus]) -> int:
    """Whether everything was read, and if not, whether trying again may help."""
    unread = [status for status in statuses if status.status != "complete"]
    if any(not status.temporary for status in unread):
        return FAILED
    return TRY_AGAIN if unread else DONE
