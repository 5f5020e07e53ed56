"""The differences between a firewall as it is and as it should be, as changes with who needs them
and why.

Changes are exact: `open` and `close` are the canonical rules of a set difference (decision 0006),
so that two spellings of one meaning are no change. A new firewall has one `create`, one `attach`
per machine or selector, and one `open` per rule.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from cloudsync.model.plan import Change
from cloudsync.model.ports import Origin
from cloudsync.planning.holds import Holding
from cloudsync.planning.policy import Desired, Wanted
from cloudsync.provider.contract import Absent, Attachment, Pending, Present
from cloudsync.rules import NOTHING, Rule, RuleSet
from cloudsync.rules.index import RuleIndex


def changes_of(
    observed: Present | Absent,
    desired: Desired,
    holding: Holding,
    attach: Iterable[Attachment],
    *,
    adopt: str | None,
    reapply: Iterable[Pending],
) -> tuple[Change, ...]:
    """All changes of one firewall, in the order of the plan document. `adopt`: why the marker is
    (re)written, or None. `reapply`: what is pending and comes into force now."""
    before = observed.rules if isinstance(observed, Present) else NOTHING
    changes: list[Change] = []
    if isinstance(observed, Absent):
        changes.append(Change("create", "the firewall does not exist yet"))
    elif adopt is not None:
        changes.append(Change("adopt", adopt))
    for attachment in attach:
        changes.extend(_attaching(attachment))
    changes.extend(
        Change("reapply", one.reason, target=one.target, opens_now=one.lifts) for one in reapply
    )
    if opening := holding.final - before:
        wanted = RuleIndex((one.rules, one) for one in desired.wanted)
        for rule in opening:
            reasons, origins = _wanting(wanted.overlapping(rule))
            changes.append(Change("open", reasons, rule, origins))
    changes.extend(Change("close", _why_closing(rule, desired), rule) for rule in holding.closing)
    return tuple(changes)


def _attaching(attachment: Attachment) -> Iterable[Change]:
    """The attachment itself, and for a selector every machine that newly comes under the firewall
    by it."""
    if attachment.reason is not None:
        yield Change("attach", attachment.reason, target=attachment.target, opens_now=True)
        return
    machines = attachment.newly_covered
    direct = len(machines) == 1 and attachment.target == machines[0].target
    if direct:
        yield _attach(attachment.target, machines[0].name, not machines[0].protected)
        return
    open_now = any(not machine.protected for machine in machines)
    yield Change(
        "attach",
        f"covers {len(machines)} more machines now",
        target=attachment.target,
        opens_now=open_now,
    )
    for machine in machines:
        yield _attach(
            machine.target, f"{machine.name}, by {attachment.target}", not machine.protected
        )


def _attach(target: str, name: str, open_now: bool) -> Change:
    state = (
        "is under no firewall: everything on it is open now"
        if open_now
        else "is under another firewall now"
    )
    return Change("attach", f"{name} {state}", target=target, opens_now=open_now)


def _wanting(wanting: Sequence[Wanted]) -> tuple[str, tuple[Origin, ...]]:
    reasons = dict.fromkeys(one.reason for one in wanting)
    origins = dict.fromkeys(origin for one in wanting for origin in one.origins)
    return "; ".join(reasons), tuple(sorted(origins, key=_by_name))


def _by_name(origin: Origin) -> tuple[str, ...]:
    return (
        origin.host,
        origin.project or "",
        origin.service or "",
        origin.container or "",
        origin.file or "",
        str(origin.line or 0),
    )


def _why_closing(rule: Rule, desired: Desired) -> str:
    if desired.denied & RuleSet.of((rule,)):
        return "policy.deny names it"
    return "no container and no configuration asks for it"
