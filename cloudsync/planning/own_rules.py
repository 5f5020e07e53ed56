"""Whose a rule is, and what is asked for as rules. Pure.

A rule at the vendor is ours if the vendor's own data prove it (a marker, a generated name, our mark
at the end of its description) or if an apply remembers to have written exactly it. Everything else
is somebody's, and kept where policy keeps what others made.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace

from cloudsync.model.memory import Memory
from cloudsync.planning.policy import Desired
from cloudsync.provider.contract import Absent, Asked, Present, VendorRule
from cloudsync.provider.descriptions import OUR_MARK
from cloudsync.provider.spelling import Ports
from cloudsync.rules import Rule, RuleSet
from cloudsync.rules.address_classes import PRIVATE
from cloudsync.rules.families import as_asked


def by_family(desired: Desired) -> Desired:
    """`desired` with ICMP cut to the family it travels in."""
    wanted = tuple(replace(wish, rules=as_asked(wish.rules)) for wish in desired.wanted)
    wanted = tuple(wish for wish in wanted if wish.rules)
    return replace(
        desired,
        wanted=wanted,
        rules=RuleSet.of(rule for wish in wanted for rule in wish.rules),
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
    written: dict[Ports, set[str]] = defaultdict(set)
    for rule in memory.written if memory is not None else ():
        networks = written[rule.protocol, rule.first, rule.last]
        networks.update(rule.sources.cidrs(), rule.sources.written())

    def ours(rule: VendorRule) -> bool:
        if rule.lets_in and observed.private.covers(rule.lets_in):
            return False
        if rule.ours or rule.description.endswith(OUR_MARK):
            return True
        return bool(rule.lets_in) and all(
            written[piece.protocol, piece.first, piece.last].issuperset(piece.sources.cidrs())
            for piece in rule.lets_in
        )

    rules = tuple(replace(rule, ours=ours(rule)) for rule in observed.vendor_rules)
    return replace(observed, objects=rules)


def still_written(
    memory: Memory | None, observed: Present | Absent, fresh: Iterable[Rule]
) -> tuple[Rule, ...]:
    """What an apply remembers to have written: `fresh`, which it writes now, and what earlier ones
    wrote and is still open."""
    there = observed.rules if isinstance(observed, Present) else RuleSet()
    private = observed.private
    old = memory.written if memory is not None else ()
    rules = [rule for rule in old if there & RuleSet.of((rule,))]
    rules += [rule for rule in fresh if not private.covers(RuleSet.of((rule,)))]
    return tuple(dict.fromkeys(rules))


def _described(rule: Rule, description: str, list_id: str) -> str:
    if list_id and not description.endswith(OUR_MARK):
        return f"{description} {OUR_MARK}".strip()
    if PRIVATE.covers(rule.sources) and not description.endswith(OUR_MARK):
        return f"{description} {OUR_MARK}".strip()
    return description
