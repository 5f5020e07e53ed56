"""What gets in where rules are evaluated in order and may deny: the first rule that matches a
packet decides. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from cloudsync.rules import NOTHING, RuleSet
from cloudsync.rules.frozen import dataclass


@dataclass(frozen=True, slots=True)
class Ordered:
    """One rule, at its place in the vendor's order."""

    matches: RuleSet
    """The packets it is about."""
    allows: bool


@dataclass(frozen=True, slots=True)
class Effective:
    """What the rules come to."""

    lets_in: RuleSet
    """What gets in, by all rules together; the default policy is not in it."""
    denied: RuleSet
    """What rules keep out; the default policy is not in it."""
    by_rule: tuple[RuleSet, ...]
    """For each rule that allows, what it lets in by itself: all it matches that no denial before it
    does. Together they are `lets_in`; and if one is taken away, the others still say theirs. Empty
    for denials."""


def first_match(rules: Iterable[Ordered]) -> Effective:
    """Evaluate rules in the vendor's order. What no rule matches is in neither set: the default
    policy decides about it."""
    lets_in, denials = NOTHING, NOTHING
    by_rule: list[RuleSet] = []
    for rule in rules:
        own = rule.matches - denials if rule.allows else NOTHING
        by_rule.append(own)
        lets_in = lets_in | own
        denials = denials if rule.allows else denials | rule.matches
    return Effective(lets_in, denials - lets_in, tuple(by_rule))
