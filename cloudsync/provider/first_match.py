"""What gets in where rules are evaluated in order and may deny: the first rule that matches a
packet decides. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from cloudsync.provider.phrases import first_of
from cloudsync.rules import NOTHING, RuleSet
from cloudsync.rules.frozen import dataclass
from cloudsync.rules.networks import ANY4, ANY6

_SHOWN = 3


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


@dataclass(frozen=True, slots=True)
class Ranked:
    """One rule of a vendor with priorities: the lowest number is evaluated first, and of two rules
    with the same number the denial."""

    name: str
    priority: int
    matches: RuleSet
    """The packets it lets in, or keeps out."""


def passed(
    denials: Sequence[Ranked], allowing: Sequence[Ranked], writing: Sequence[Ranked]
) -> tuple[str, ...]:
    """What denials of others keep out and rules that are written would let in, for
    `Step.passes_denials`: a sentence for every denial and every rule that would come to pass it.
    `allowing`: what lets something in already.

    A denial of everything from everywhere says no more than a default policy that denies, and every
    allow rule is written to be an exception to it: it is not counted.
    """
    return tuple(
        f"{denial.name} (priority {denial.priority}) keeps out {first_of(let_in, _SHOWN)}, "
        f"which {write.name} (priority {write.priority}) would let in"
        for denial in denials
        if not _is_default(denial)
        for write in _before(denial, writing)
        if (let_in := (write.matches & denial.matches) - _let_in(_before(denial, allowing)))
    )


def _before(denial: Ranked, rules: Iterable[Ranked]) -> list[Ranked]:
    return [rule for rule in rules if rule.priority < denial.priority]


def _let_in(rules: Iterable[Ranked]) -> RuleSet:
    return RuleSet.union(rule.matches for rule in rules)


def _is_default(denial: Ranked) -> bool:
    everything = denial.matches.everything_from()
    return everything.covers(ANY4) or everything.covers(ANY6)
