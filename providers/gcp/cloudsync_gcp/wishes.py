"""The VPC rules to write: what the kit's `spell` says is missing, as Google's rules can say it.

A VPC rule has sources of one family, at most 256, and all ports for them together.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from cloudsync.provider.spelling import Written
from cloudsync.rules import Rule, RuleSet, protocols
from cloudsync.rules.frozen import dataclass
from cloudsync.rules.networks import NetworkSet

MAX_RANGES = 256


@dataclass(frozen=True, slots=True)
class Wish:
    """One VPC rule as it should be."""

    sources: NetworkSet
    """One family, at most 256 networks."""
    allowed: RuleSet
    """What it lets in, all of it from all of `sources`."""


def wishes(writing: Iterable[Written]) -> tuple[Wish, ...]:
    """One wish a source set, those for IPv4 first."""
    pieces = sorted(_pieces(writing), key=lambda rule: bool(rule.sources.v6))
    chunks: dict[NetworkSet, list[Rule]] = {}
    for rule in pieces:
        chunks.setdefault(rule.sources, []).append(rule)
    return tuple(Wish(sources, RuleSet.of(rules)) for sources, rules in chunks.items())


def _pieces(writing: Iterable[Written]) -> Iterator[Rule]:
    """Rules whose sources one VPC rule takes."""
    for rule in (written.rule for written in writing):
        for family in (rule.sources.family(4), rule.sources.family(6)):
            cidrs = family.written()
            for start in range(0, len(cidrs), MAX_RANGES):
                sources = NetworkSet.of(cidrs[start : start + MAX_RANGES])
                yield replace(rule, sources=sources)


def inexpressible(rules: RuleSet) -> RuleSet:
    """The part that VPC rules cannot express: ICMP types, and ports of another protocol than tcp
    and udp. All of a protocol they can."""
    apart = rules - rules.where(rules.everything_from())
    return RuleSet.of(
        rule
        for rule in apart
        if rule.ports
        and rule.protocol not in ("tcp", "udp")
        and not (rule.has_ports and (rule.first, rule.last) == protocols.EVERY_PORT)
    )
