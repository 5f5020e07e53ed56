"""Whose a rule is, and what is asked for as rules. Pure.

A rule at the vendor is ours if the vendor's own data prove it (a marker, a generated name, our mark
at the end of its description) or if an apply remembers to have written exactly it. Everything else
is somebody's, and kept where policy keeps what others made.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace
from functools import lru_cache
from operator import is_

from cloudsync.model.memory import Memory
from cloudsync.planning.policy import Desired
from cloudsync.provider.contract import Absent, Asked, Present, VendorRule
from cloudsync.provider.descriptions import OUR_MARK
from cloudsync.provider.spelling import Ports
from cloudsync.rules import Rule, RuleSet
from cloudsync.rules.address_classes import PRIVATE
from cloudsync.rules.families import as_asked
from cloudsync.rules.frozen import dataclass
from cloudsync.rules.networks import NetworkSet
from cloudsync.runtime.last_answers import LastAnswers


def by_family(desired: Desired) -> Desired:
    """`desired` with ICMP cut to the family it travels in."""
    cut = [(wish, as_asked(wish.rules)) for wish in desired.wanted]
    if all(wish.rules is rules and rules for wish, rules in cut):
        return desired
    wanted = tuple(
        wish if wish.rules is rules else replace(wish, rules=rules) for wish, rules in cut if rules
    )
    return replace(
        desired,
        wanted=wanted,
        rules=RuleSet.union(wish.rules for wish in wanted),
    )


def asked_rules(desired: Desired, within: RuleSet) -> tuple[Asked, ...]:
    """The rules that are asked for, as far as they are to be open (`within`)."""
    everything = within.covers(desired.rules)
    return tuple(
        Asked(rule, _described(rule, wish.description, wish.list_id), wish.list_id)
        for wish in desired.wanted
        for rule in wish.rules
        if everything or within.covers(RuleSet.of((rule,)))
    )


def claimed(observed: Present | Absent, memory: Memory | None) -> Present | Absent:
    """The firewall with its own rules marked as such. What it lets in from private networks since
    it filters them (`private`) is never taken for ours: it stays."""
    if isinstance(observed, Absent):
        return observed
    written = memory.written if memory is not None else ()
    question = _Claim(observed.vendor_rules, written, observed.private)
    return replace(observed, objects=CLAIMED.of(observed.id, question, _claimed))


@dataclass(frozen=True, slots=True)
class _Claim:
    """The rules of a firewall, what an apply remembers to have written, and what is never ours."""

    rules: tuple[VendorRule, ...]
    written: tuple[Rule, ...]
    private: RuleSet


def _same(before: _Claim, now: _Claim) -> bool:
    """Whether they are the very same rules: those that are equal may be spelled differently."""
    return (
        len(before.rules) == len(now.rules)
        and all(map(is_, before.rules, now.rules))
        and before.written is now.written
        and before.private is now.private
    )


CLAIMED: LastAnswers[_Claim, tuple[VendorRule, ...]] = LastAnswers(4096, _same)
"""By the vendor's id of the firewall."""


def _claimed(claim: _Claim) -> tuple[VendorRule, ...]:
    """The rules, marked."""
    written: dict[Ports, set[str]] = defaultdict(set)
    for rule in claim.written:
        networks = written[rule.protocol, rule.first, rule.last]
        networks.update(rule.sources.cidrs(), rule.sources.written())

    def ours(rule: VendorRule) -> bool:
        if claim.private and rule.lets_in and claim.private.covers(rule.lets_in):
            return False
        if rule.ours or rule.description.endswith(OUR_MARK):
            return True
        for piece in rule.lets_in:
            networks = written.get((piece.protocol, piece.first, piece.last))
            if networks is None or not networks.issuperset(piece.sources.cidrs()):
                return False
        return bool(rule.lets_in)

    return tuple(
        rule if rule.ours == (own := ours(rule)) else _owned(rule, ours=own) for rule in claim.rules
    )


def _owned(rule: VendorRule, *, ours: bool) -> VendorRule:
    """The rule as ours, or as somebody's: `replace` takes twice as long, of every rule."""
    return VendorRule(
        rule.key,
        rule.lets_in,
        rule.name,
        rule.description,
        ours,
        rule.list_id,
        rule.counted_with,
    )


def still_written(
    memory: Memory | None, observed: Present | Absent, fresh: Iterable[Rule]
) -> tuple[Rule, ...]:
    """What an apply remembers to have written: `fresh`, which it writes now, and what earlier ones
    wrote and is still open."""
    there = observed.rules if isinstance(observed, Present) else RuleSet()
    private = observed.private
    old = memory.written if memory is not None else ()
    everything = there.covers(RuleSet.of(old))
    rules = [rule for rule in old if rule.sources and (everything or there & RuleSet.of((rule,)))]
    rules += [rule for rule in fresh if not private.covers(RuleSet.of((rule,)))]
    return tuple(dict.fromkeys(rules))


@lru_cache(maxsize=1024)
def _is_private(sources: NetworkSet) -> bool:
    """Most rules of a firewall have the sources of another."""
    return PRIVATE.covers(sources)


def _described(rule: Rule, description: str, list_id: str) -> str:
    if list_id and not description.endswith(OUR_MARK):
        return f"{description} {OUR_MARK}".strip()
    if _is_private(rule.sources) and not description.endswith(OUR_MARK):
        return f"{description} {OUR_MARK}".strip()
    return description
