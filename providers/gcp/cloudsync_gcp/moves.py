"""The calls about single VPC rules that lead from what is there to what should be there.

Every write names the whole resource: an update (PUT) replaces all of it, which really clears lists.
What cloudsync has no opinion about (priority, logging, the description of a hand-made rule, fields
that are not known here) is written as it was read.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace
from typing import Any, Literal

from cloudsync.provider.answers import printable
from cloudsync.provider.contract import FirewallSpec, Target, Touched
from cloudsync.rules import NOTHING, RuleSet
from cloudsync.rules.frozen import dataclass
from cloudsync.rules.networks import NetworkSet
from cloudsync_gcp.matching import Fate, Match
from cloudsync_gcp.names import free_name
from cloudsync_gcp.native import Firewall, Owned, Write
from cloudsync_gcp.settings import prefix_of, settings_of
from cloudsync_gcp.vpc_rules import allowed_entries, marked, new_resource


@dataclass(frozen=True, slots=True)
class Move:
    """One call about one VPC rule."""

    write: Write
    before: RuleSet
    """What the rule lets in before it."""
    after: RuleSet
    """What it lets in after it."""
    priority: int
    """Its priority after it."""
    owned: Owned | None = None
    """The rule that exists, None if it is new."""
    touched: Touched | None = None
    """Set if the rule is deleted or loses something."""

    @property
    def gains(self) -> bool:
        """Whether something opens by it."""
        return bool(self.after - self.before)

    @property
    def loses(self) -> bool:
        """Whether something closes by it, in this rule."""
        return self.write.method == "delete" or bool(self.before - self.after)


def moves(firewall: Firewall, matched: Match, target: Target) -> list[Move]:
    """All calls that what lets something in needs, in no order."""
    names = set(firewall.names)
    inserted = []
    for wish in matched.new:
        name = free_name(prefix_of(target.spec), wish.sources, names)
        names.add(name)
        logs = [fate.rule for fate in matched.fates if fate.loses and fate.rule.logs]
        log = next((rule.log_config for rule in logs if rule.matches & wish.allowed), None)
        inserted.append(_insert(name, wish.allowed, target, log))
    return [*(move for fate in matched.fates for move in _of_fate(fate, target)), *inserted]


def apart(move: Move, target: Target, taken: Collection[str]) -> Iterator[Move]:
    """A rule that gains and loses, as two calls: first it gains, then it loses. If its sources
    change too, no single rule lets in what it lets in before and after: a second one takes over."""
    if not (move.gains and move.loses) or move.owned is None:
        yield move
        return
    rule, sources = move.owned.rule, _sources(move.after)
    if rule.sources == sources:
        both = move.before | move.after
        body = _updated(move.owned, both, target)
        write = Write("update", rule.name, body)
        yield replace(move, write=write, after=both, touched=None)
        yield replace(move, before=both)
        return
    name = free_name(prefix_of(target.spec), sources, taken)
    yield _insert(name, move.after, target, rule.log_config or None)
    yield _leaving(move.owned, move.before, target)


def mark(owned: Owned, spec: FirewallSpec) -> Write:
    """The rule as it is, with the marker."""
    description = marked(spec.marker, owned.rule.text)
    return Write("update", owned.name, owned.rule.resource() | {"description": description})


def unmark(owned: Owned) -> Write:
    """The rule as it is, without the marker; what people wrote stays."""
    return Write("update", owned.name, owned.rule.resource() | {"description": owned.rule.text})


def _of_fate(fate: Fate, target: Target) -> Iterator[Move]:
    owned, after, now = fate.owned, fate.after, fate.owned.effect
    if not after and fate.loses:
        yield _leaving(owned, now, target, redundant=fate.redundant)
        return
    put_right = bool(owned.wrong and target.reapply and fate.content)
    if after == fate.content and not put_right:
        return
    priority, loses = _priority(owned, target), bool(now - after)
    narrows = now == fate.content and not after - now
    if put_right and loses and narrows and priority != owned.rule.priority:
        # What closes does so after the denials, and those would stop what stays of the rule.
        body = owned.rule.resource() | {"priority": priority}
        yield Move(Write("update", owned.name, body), now, now, priority, owned)
    touched = _touched(owned, "some of what it lets in closes") if loses else None
    write = Write("update", owned.name, _updated(owned, after, target))
    yield Move(write, now, after, priority, owned, touched)


def _leaving(owned: Owned, before: RuleSet, target: Target, *, redundant: bool = False) -> Move:
    """The rule is deleted; one with tags or service accounts loses its networks only."""
    rule = owned.rule
    reason = "other rules let in the same" if redundant else "what it lets in closes"
    if rule.other_sources:
        body = rule.resource() | {"description": marked(target.spec.marker, rule.text)}
        body.pop("sourceRanges", None)
        write = Write("update", rule.name, body)
        touched = _touched(owned, f"{reason}, except from {', '.join(rule.other_sources)}")
        return Move(write, before, NOTHING, rule.priority, owned, touched)
    if rule.logs:
        reason += "; its logging goes with it"
    touched = _touched(owned, reason, "deletes")
    return Move(Write("delete", rule.name), before, NOTHING, rule.priority, owned, touched)


def _touched(
    owned: Owned, reason: str, effect: Literal["deletes", "rewrites"] = "rewrites"
) -> Touched:
    return Touched(f"rule {owned.name}", effect, reason, owned.name, not owned.generated)


def _insert(name: str, allowed: RuleSet, target: Target, log: dict[str, Any] | None) -> Move:
    settings = settings_of(target.spec)
    priority, description = settings.new_priority, marked(target.spec.marker, _who(allowed, target))
    body = new_resource(name, settings, priority, _sources(allowed).written(), description)
    body["allowed"] = allowed_entries(allowed)
    if log:
        body["logConfig"] = log
    return Move(Write("insert", name, body), NOTHING, allowed, priority)


def _updated(owned: Owned, allowed: RuleSet, target: Target) -> dict[str, Any]:
    """The resource of a rule that exists, letting in `allowed`."""
    rule = owned.rule
    who = _who(allowed, target) if owned.generated else rule.text
    body = rule.resource() | {
        "priority": _priority(owned, target),
        "disabled": False,
        "description": marked(target.spec.marker, who),
    }
    entries = allowed_entries(allowed)
    if rule.denied or entries != allowed_entries(rule.matches):
        body["allowed"] = entries
    if (sources := _sources(allowed)) != rule.sources:
        body["sourceRanges"] = list(sources.written())
    body.pop("denied", None)
    return body


def _priority(owned: Owned, target: Target) -> int:
    """Its own, unless it would stand behind the firewall's denials."""
    settings, priority = settings_of(target.spec), owned.rule.priority
    return settings.new_priority if settings.is_behind_denials(priority) else priority


def _sources(allowed: RuleSet) -> NetworkSet:
    return NetworkSet.union(rule.sources for rule in allowed)


def _who(allowed: RuleSet, target: Target) -> str:
    """Who needs what the rule lets in."""
    words = (word for rule in allowed for word in target.describe(rule).split(", ") if word)
    return printable(", ".join(dict.fromkeys(words)))
