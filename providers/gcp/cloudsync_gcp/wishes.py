"""The VPC rules to write: what was asked for and the rules that stay do not let in yet.

A VPC rule has sources of one family, at most 256, and all ports for them together. It is written as
it was asked for, never as the difference to what is open already (law 4).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from cloudsync.provider.contract import Target
from cloudsync.provider.selectors import by_family
from cloudsync.rules import Rule, RuleSet, protocols
from cloudsync.rules.frozen import dataclass
from cloudsync.rules.networks import NetworkSet
from cloudsync_gcp import provider

MAX_RANGES = 256


@dataclass(frozen=True, slots=True)
class Wish:
    """One VPC rule as it should be."""

    sources: NetworkSet
    """One family, at most 256 networks."""
    allowed: RuleSet
    """What it lets in, all of it from all of `sources`."""
    priority: int


def wishes(target: Target, covered: RuleSet) -> tuple[Wish, ...]:
    """What has to be written besides rules that stay and let in `covered`, one wish a source
    set."""
    missing = list(_asked(target, covered))
    rest = target.rules - covered - RuleSet.of(missing)
    missing += [piece for rule in _fewest(rest) for piece in by_family(rule)]
    return in_vpc_rules(missing, provider.settings_of(target.spec).new_priority)


def in_vpc_rules(rules: Iterable[Rule], priority: int) -> tuple[Wish, ...]:
    """Rules of one address family each, as VPC rules with this priority: one a source set."""
    chunks: dict[NetworkSet, list[Rule]] = {}
    for rule in sorted(rules, key=lambda each: bool(each.sources.v6)):
        cidrs = rule.sources.written()
        for start in range(0, len(cidrs), MAX_RANGES):
            sources = NetworkSet.of(cidrs[start : start + MAX_RANGES])
            chunks.setdefault(sources, []).append(
                Rule(rule.protocol, rule.first, rule.last, sources)
            )
    return tuple(Wish(each, RuleSet.of(several), priority) for each, several in chunks.items())


def asked_rules(target: Target) -> Iterator[Rule]:
    """What was asked for, one family a rule."""
    for asked in target.asked:
        yield from by_family(asked.rule)


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


def _asked(target: Target, covered: RuleSet) -> Iterator[Rule]:
    for rule in asked_rules(target):
        wanted = RuleSet.of((rule,))
        if not covered.covers(wanted):
            # A part of it may be refused, or mean nothing in this family.
            yield from (rule,) if target.rules.covers(wanted) else wanted & target.rules


def _fewest(rules: RuleSet) -> list[Rule]:
    everything = rules.everything_from()
    apart = rules.apart_from_everything(everything)
    return [*apart, *([Rule.of("all", "", everything)] if everything else [])]
