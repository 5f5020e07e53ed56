"""The VPC rules to write: what the kit's `spell` says is missing, as Google's rules can say it.

A VPC rule has sources of one family, at most 256, and all ports for them together.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

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
    whole: RuleSet
    """The same with all the sources that were asked for; some are let in already."""


def wishes(writing: Sequence[Written]) -> tuple[Wish, ...]:
    """One wish a source set, those for IPv4 first."""
    together: dict[NetworkSet, list[Written]] = {}
    for family in (4, 6):
        for written in writing:
            for sources in _chunks(written.rule.sources.family(family)):
                together.setdefault(sources, []).append(written)
    return tuple(
        Wish(
            sources,
            RuleSet.of(from_only(written.rule, sources) for written in several),
            RuleSet.of(written.whole for written in several),
        )
        for sources, several in together.items()
    )


def _chunks(sources: NetworkSet) -> Iterator[NetworkSet]:
    cidrs = sources.written()
    for start in range(0, len(cidrs), MAX_RANGES):
        yield NetworkSet.of(cidrs[start : start + MAX_RANGES])


def from_only(rule: Rule, sources: NetworkSet) -> Rule:
    """The rule for other sources."""
    return Rule(rule.protocol, rule.first, rule.last, sources)


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
