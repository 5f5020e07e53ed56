"""Hetzner's rules and ours. Its `icmp` is ICMP for IPv4 and ICMPv6 for IPv6 networks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cloudsync.provider.answers import printable
from cloudsync.provider.descriptions import fitting
from cloudsync.provider.flat_list import Entry, Grammar, meaning
from cloudsync.rules import RuleSet
from cloudsync_hetzner.answers import Rule

MAX_RULES = 50
MAX_EFFECTIVE = 500
MAX_DESCRIPTION = 255
GRAMMAR = Grammar(
    "Hetzner", ("tcp", "udp", "esp", "gre", "icmp", "icmpv6"), networks=100, rules=MAX_RULES
)


def lets_in(rule: Rule) -> RuleSet:
    """What an inbound rule lets in. Raises `Unsupported` for one that is not understood."""
    ports = "" if rule.port in (None, "any") else str(rule.port)
    return meaning(rule.protocol, ports, rule.source_ips, GRAMMAR)


def written(entries: Sequence[Entry], before: Mapping[str, Rule]) -> tuple[Rule, ...]:
    """The inbound rules of a list. `before`: the rules that are there, by key."""
    return tuple(_written(entry, before) for entry in entries)


def _written(entry: Entry, before: Mapping[str, Rule]) -> Rule:
    description = plain(entry.description)
    if entry.before is not None and entry.lets_in_what_it_did:
        return before[entry.before.key].model_copy(update={"description": description})
    return Rule(
        direction="in",
        protocol=entry.protocol,
        port=entry.ports or None,
        source_ips=entry.networks,
        description=description,
    )


def broken_limit(
    entries: Sequence[Entry],
    before: Mapping[str, Rule],
    outbound: Sequence[Rule],
    foreign_effective: int,
) -> str | None:
    """Which limit of the vendor a list would pass, with the numbers and the way out.

    How effective rules are counted is not written down; here every network of every rule counts
    once, over all firewalls of a server.
    """
    if (problem := GRAMMAR.too_many(len(entries), len(outbound))) is not None:
        return problem
    rules = (*written(entries, before), *outbound)
    effective = foreign_effective + sum(
        len(rule.source_ips) + len(rule.destination_ips) for rule in rules
    )
    if effective <= MAX_EFFECTIVE:
        return None
    others = (
        f" ({foreign_effective} of them by other firewalls of a server)"
        if foreign_effective
        else ""
    )
    return (
        f"{effective} effective rules (networks summed over rules) are needed{others}, Hetzner "
        f"allows {MAX_EFFECTIVE}; name fewer sources"
    )


def plain(description: str) -> str | None:
    """The description without control characters, within the length Hetzner takes."""
    return fitting(printable(description), MAX_DESCRIPTION) or None
