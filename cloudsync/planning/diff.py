"""The differences between a firewall as it is and as it should be, as changes with who needs them
and why.

Changes speak in rules (law 4): one `open` for each rule that is written, with the networks no rule
lets in yet; one `close` for each of the vendor's rules that goes, or the part of it that does, both
address families together; one `rewrite` for every other vendor object that a step deletes,
retargets, rewrites or renames (law 8). In sum they are the exact difference of the rule sets:
`before` and what opens, without what closes, is what holds afterwards.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from cloudsync.model.plan import Change, Refused
from cloudsync.model.ports import Origin
from cloudsync.planning.holds import Holding
from cloudsync.planning.policy import Desired, Wanted
from cloudsync.provider.contract import (
    Absent,
    Attachment,
    Kept,
    Pending,
    Present,
    Step,
    Touched,
    VendorRule,
)
from cloudsync.provider.phrases import count
from cloudsync.provider.spelling import Spelling
from cloudsync.rules import NOTHING, Rule, RuleSet
from cloudsync.rules.families import meaningful
from cloudsync.rules.frozen import dataclass
from cloudsync.rules.index import RuleIndex
from cloudsync.rules.networks import ANY

ASKED_BY_NOTHING = "no container and no configuration asks for it"
"""Why a rule closes that nothing of the policy is about."""
_FEW = 3


@dataclass(frozen=True, slots=True)
class Around:
    """What happens to a firewall apart from its rules."""

    adopt: str | None = None
    """Why the marker is written, or rewritten; None if it is right."""
    attach: tuple[Attachment, ...] = ()
    """The attachments that are missing."""
    reapply: tuple[Pending, ...] = ()
    """What is pending at the vendor and takes effect now."""


def changes_of(
    observed: Present | Absent,
    desired: Desired,
    holding: Holding,
    spelling: Spelling,
    around: Around,
) -> tuple[Change, ...]:
    """All changes of one firewall but rewrites, in the order of the plan document."""
    changes: list[Change] = []
    if isinstance(observed, Absent):
        changes.append(Change("create", "the firewall does not exist yet"))
    elif around.adopt is not None:
        changes.append(Change("adopt", around.adopt))
    changes.extend(_attachments(around.attach))
    changes.extend(
        Change("reapply", pending.reason, target=pending.target, opens_now=pending.lifts)
        for pending in around.reapply
    )
    changes.extend(_opening(observed, desired, holding, spelling))
    if isinstance(observed, Present):
        changes.extend(_closing(observed, desired, holding.closing))
    return tuple(changes)


def rewrites(
    observed: Present | Absent, closing: RuleSet, steps: Sequence[Step]
) -> tuple[Touched, ...]:
    """The vendor objects that `steps` touch without a port closing by it, each once."""
    closes: set[str] = set()
    if isinstance(observed, Present) and closing:
        closes = {rule.key for rule in observed.vendor_rules if rule.lets_in & closing}
    touched: dict[str, Touched] = {}
    for step in steps:
        for vendor_object in step.touches:
            if not vendor_object.key or vendor_object.key not in closes:
                touched.setdefault(vendor_object.target, vendor_object)
    return tuple(touched.values())


def rewriting(touched: Iterable[Touched]) -> tuple[Change, ...]:
    """Those as changes."""
    return tuple(
        Change("rewrite", vendor_object.reason, target=vendor_object.target)
        for vendor_object in touched
    )


def no_room(desired: Desired, unopened: RuleSet) -> tuple[Refused, ...]:
    """What is asked for and not opened since the vendor cannot take all of it."""
    wanted = RuleIndex((wish.rules, wish) for wish in desired.wanted)
    return tuple(
        Refused(
            rule.protocol,
            rule.ports,
            rule.sources.cidrs(),
            "no-room",
            "the vendor cannot take all that is asked for, see the guard unsupported",
            _wanting(wanted.overlapping(rule))[1],
        )
        for rule in unopened
    )


def _opening(
    observed: Present | Absent, desired: Desired, holding: Holding, spelling: Spelling
) -> list[Change]:
    before = observed.rules if isinstance(observed, Present) else NOTHING
    missing = meaningful(holding.final) - before
    if not (missing or any(written.list_id for written in spelling.writing)):
        return []
    wanted = RuleIndex((wish.rules, wish) for wish in desired.wanted)
    rules_wanted = RuleIndex(
        (single, (wish, single))
        for wish in desired.wanted
        for single in (RuleSet.of((rule,)) for rule in wish.rules)
    )
    kept = observed.kept if isinstance(observed, Present) else ()
    opening: list[Change] = []
    for written in spelling.writing:
        rule = RuleSet.of((written.rule,))
        if not (rule & missing or written.list_id):
            continue
        asked_for = _asked_for(rules_wanted.overlapping(written.whole), written.whole)
        overlapping = wanted.overlapping(written.rule)
        asking = [wish for wish in overlapping if id(wish) in asked_for]
        reasons, origins = _wanting(asking or overlapping)
        if today := _today(written.rule, kept, before):
            reasons = f"{reasons}; {today}" if reasons else today
        opening.append(Change("open", reasons, written.rule, origins, list_id=written.list_id))
    if isinstance(observed, Absent):
        opening.sort(key=lambda change: not _is_ssh(change, desired))
    return opening


def _is_ssh(change: Change, desired: Desired) -> bool:
    ports = RuleSet.of(Rule(rule.protocol, rule.first, rule.last, ANY) for rule in desired.ssh)
    return change.rule is not None and ports.covers(RuleSet.of((change.rule,)))


def _asked_for(near: Iterable[tuple[Wanted, RuleSet]], whole: Rule) -> frozenset[int]:
    """The ids of the wishes that asked for the rule, or for a part of it; what merely overlaps has
    another rule of its own. `near`: rules that overlap it, each with its wish."""
    written = RuleSet.of((whole,))
    return frozenset(id(wish) for wish, single in near if written.covers(single))


def _today(rule: Rule, kept: Sequence[Kept], before: RuleSet) -> str:
    """Who reaches a port today that opens to networks for the first time (a load balancer's group,
    say)."""
    opening = RuleSet.of((rule,))
    ports = RuleSet.of((Rule(rule.protocol, rule.first, rule.last, ANY),))
    if ports & before:
        return ""
    sources = dict.fromkeys(
        other.source for other in kept if other.source and other.reaches & opening
    )
    if not sources:
        return ""
    return (
        f"today only {', '.join(sources)} can reach it; the label cloudsync.expose=false keeps it "
        f"so"
    )


def _closing(observed: Present, desired: Desired, closing: RuleSet) -> Iterable[Change]:
    """What closes, rule by rule of the vendor; what is no rule of the vendor by itself last."""
    if not closing:
        return
    together: dict[str, list[VendorRule]] = {}
    for rule in observed.vendor_rules:
        if rule.lets_in & closing:
            together.setdefault(rule.counted_with or rule.key, []).append(rule)
    parts: dict[Rule, str] = {}
    for rules in together.values():
        whole = RuleSet.union(rule.lets_in for rule in rules)
        title = _title(whole, rules)
        for piece in whole & closing:
            parts.setdefault(piece, title)
    for piece in closing - RuleSet.of(parts):
        parts[piece] = ""
    for piece, title in _families_together(parts).items():
        yield Change("close", _why_closing(piece, desired), piece, vendor_rule=title)


def _families_together(parts: Mapping[Rule, str]) -> Mapping[Rule, str]:
    """IPv4 and IPv6 of the same ports as one, if the vendor has a rule for each."""
    joined: list[tuple[Rule, str]] = []
    waiting: dict[tuple[str, str, bool], int] = {}
    for piece, title in parts.items():
        only4, only6 = not piece.sources.v6, not piece.sources.v4
        at = waiting.pop((piece.protocol, piece.ports, only4), None) if only4 or only6 else None
        if at is None:
            if only4 or only6:
                waiting[piece.protocol, piece.ports, only6] = len(joined)
            joined.append((piece, title))
            continue
        other, called = joined[at]
        both = Rule(piece.protocol, piece.first, piece.last, other.sources | piece.sources)
        joined[at] = (both, "; ".join(dict.fromkeys(filter(None, (called, title)))))
    return dict(joined)


def _title(whole: RuleSet, rules: Sequence[VendorRule]) -> str:
    """One rule of the vendor for people, with what it is called if that is not too much."""
    titles = dict.fromkeys(rule.title for rule in rules if rule.title)
    called = ", ".join(titles) if len(titles) <= _FEW else ""
    return " ".join(filter(None, ("; ".join(map(str, whole)), called)))


def _attachments(attachments: Sequence[Attachment]) -> Iterable[Change]:
    """Each target once: a selector may cover a server that is named too, or that another one
    covers."""
    named = {attachment.target for attachment in attachments}
    shown: set[str | None] = set()
    for attachment in attachments:
        for change in _attaching(attachment):
            again = change.target != attachment.target and change.target in named
            if change.target not in shown and not again:
                shown.add(change.target)
                yield change


def _attaching(attachment: Attachment) -> Iterable[Change]:
    """The attachment itself, and for a selector every machine that newly comes under the firewall
    by it."""
    if attachment.reason is not None:
        yield Change(
            "attach",
            attachment.reason,
            target=attachment.target,
            opens_now=True,
            in_place=attachment.in_place,
        )
        return
    machines = attachment.newly_covered
    direct = len(machines) == 1 and attachment.target == machines[0].target
    if direct:
        yield _attach(attachment.target, machines[0].name, not machines[0].protected)
        return
    open_now = any(not machine.protected for machine in machines)
    yield Change(
        "attach",
        f"covers {count(len(machines), 'more machine')} now",
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
    reasons = dict.fromkeys(wish.reason for wish in wanting)
    origins = dict.fromkeys(origin for wish in wanting for origin in wish.origins)
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
    return ASKED_BY_NOTHING
