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
from cloudsync.provider.contract import Target, Touched
from cloudsync.rules import NOTHING, RuleSet
from cloudsync.rules.networks import NetworkSet
from cloudsync_gcp import provider
from cloudsync_gcp.matching import Fate, Match
from cloudsync_gcp.names import free_name
from cloudsync_gcp.native import Firewall, Owned, Write
from cloudsync_gcp.vpc_rules import MARKER, allowed_entries, new_resource
from cloudsync_gcp.wishes import Wish


def writes_of(firewall: Firewall, matched: Match, target: Target) -> list[Write]:
    """All calls that what lets something in needs, in no order."""
    writes: list[Write] = []
    names = set(firewall.names)
    for fate in matched.fates:
        calls = list(_of_fate(fate, firewall, target, names))
        names.update(call.name for call in calls)
        writes += calls
    logging = [fate.rule for fate in matched.fates if fate.loses and fate.rule.logs]
    for wish in matched.new:
        name = free_name(firewall.prefix, wish.sources, names)
        names.add(name)
        log = next((rule.log_config for rule in logging if rule.matches & wish.allowed), None)
        writes.append(_insert(name, wish, target, log))
    return writes


def apart(write: Write, target: Target, taken: Collection[str]) -> Iterator[Write]:
    """A rule that gains and loses, as two calls: first it gains, then it loses. If its sources
    change too, no single rule lets in what it lets in before and after: a second one takes over."""
    if not (write.gains and write.loses) or write.owned is None:
        yield write
        return
    rule, sources = write.owned.rule, _sources(write.after)
    if rule.sources == sources:
        both = write.before | write.after
        body = _updated(write.owned, both, target)
        yield replace(write, body=body, after=both, touched=None)
        yield replace(write, before=both)
        return
    name = free_name(provider.identity(target.spec), sources, taken)
    wish = Wish(sources, write.after, write.priority)
    yield _insert(name, wish, target, rule.log_config or None)
    yield _leaving(write.owned, write.before, target)


def described(owned: Owned, description: str) -> Write:
    """The rule as it is, with another description."""
    body = owned.rule.resource() | {"description": description}
    return _update(owned, body, owned.effect)


def _of_fate(
    fate: Fate, firewall: Firewall, target: Target, taken: Collection[str]
) -> Iterator[Write]:
    owned, after, now = fate.owned, fate.after, fate.owned.effect
    if not after and fate.loses:
        yield _leaving(owned, now, target, redundant=fate.redundant)
        return
    put_right = bool(owned.wrong and target.reapply and fate.content)
    if after == fate.content and not put_right:
        return
    body = _updated(owned, after, target)
    loses = bool(now - after)
    narrows = loses and now == fate.content and not after - now
    if put_right and narrows and body["priority"] != owned.rule.priority:
        # What closes does so after the denials, and those would stop what stays of the rule. What
        # denials stop of it now must not open meanwhile.
        between = firewall.stopped(owned.rule.priority, body["priority"], for_now=True)
        if between & (now - after):
            wish = Wish(_sources(after), after, body["priority"])
            name = free_name(firewall.prefix, wish.sources, taken)
            yield _insert(name, wish, target, owned.rule.log_config or None)
            yield _leaving(owned, now, target)
            return
        yield _update(owned, owned.rule.resource() | {"priority": body["priority"]}, now)
    touched = _touched(owned, "some of what it lets in closes") if loses else None
    yield _update(owned, body, after, touched)


def _leaving(owned: Owned, before: RuleSet, target: Target, *, redundant: bool = False) -> Write:
    """The rule is deleted; one with tags or service accounts loses its networks only."""
    rule = owned.rule
    reason = "other rules let in the same" if redundant else "what it lets in closes"
    if rule.other_sources:
        body = rule.resource() | {"description": MARKER.write(target.spec.marker, rule.text)}
        body.pop("sourceRanges", None)
        touched = _touched(owned, f"{reason}, except from {', '.join(rule.other_sources)}")
        return Write("update", rule.name, body, before, owned=owned, touched=touched)
    if rule.logs:
        reason += "; its logging goes with it"
    touched = _touched(owned, reason, "deletes")
    return Write("delete", rule.name, None, before, owned=owned, touched=touched)


def _touched(
    owned: Owned, reason: str, effect: Literal["deletes", "rewrites"] = "rewrites"
) -> Touched:
    return Touched(f"rule {owned.name}", effect, reason, owned.name, not owned.generated)


def _update(
    owned: Owned, body: dict[str, Any], after: RuleSet, touched: Touched | None = None
) -> Write:
    priority = body.get("priority", owned.rule.priority)
    return Write("update", owned.name, body, owned.effect, after, priority, owned, touched)


def _insert(name: str, wish: Wish, target: Target, log: dict[str, Any] | None) -> Write:
    settings = provider.settings_of(target.spec)
    description = MARKER.write(target.spec.marker, _who(wish.allowed, target))
    body = new_resource(name, settings, wish.priority, wish.sources.written(), description)
    body["allowed"] = allowed_entries(wish.allowed)
    if log:
        body["logConfig"] = log
    return Write("insert", name, body, NOTHING, wish.allowed, wish.priority)


def _updated(owned: Owned, allowed: RuleSet, target: Target) -> dict[str, Any]:
    """The resource of a rule that exists, letting in `allowed`. It keeps its priority, unless it
    would stand behind the firewall's denials."""
    rule, settings = owned.rule, provider.settings_of(target.spec)
    behind = settings.is_behind_denials(rule.priority)
    who = _who(allowed, target) if owned.generated else rule.text
    body = rule.resource() | {
        "priority": settings.new_priority if behind else rule.priority,
        "disabled": False,
        "description": MARKER.write(target.spec.marker, who),
    }
    entries = allowed_entries(allowed)
    if rule.denied or entries != allowed_entries(rule.matches):
        body["allowed"] = entries
    if (sources := _sources(allowed)) != rule.sources:
        body["sourceRanges"] = list(sources.written())
    body.pop("denied", None)
    return body


def _sources(allowed: RuleSet) -> NetworkSet:
    return NetworkSet.union(rule.sources for rule in allowed)


def _who(allowed: RuleSet, target: Target) -> str:
    """Who needs what the rule lets in."""
    words = (word for rule in allowed for word in target.describe(rule).split(", ") if word)
    return printable(", ".join(dict.fromkeys(words)))
