"""Rules as vendors say them that know one protocol a rule, and of ICMP all types, one type, or one
code of a type. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from cloudsync.rules import NetworkSet, Rule, RuleSet, protocols

CODES = 256
"""Codes of an ICMP type: type and code are one number in `Rule.first` and `Rule.last`."""

WITHOUT_OTHER_PORTS = frozenset(
    name
    for number in range(256)
    if (name := protocols.name(number, number)) not in ("dccp", "sctp", "udplite")
)
"""Every protocol but those with ports besides tcp and udp: what a vendor can say exactly whose
rules have ports for these two only, and let in all of any other protocol."""


def beyond(rules: RuleSet, sayable: Iterable[str]) -> RuleSet:
    """The part that no rule of a vendor says without letting more in. `sayable`: the protocols that
    its rules name; everything as a whole they say too."""
    return rules - rules.of_protocols(*sorted(sayable)) - rules.where(rules.everything_from())


def single_selectors(rule: Rule) -> Iterator[Rule]:
    """The rule as several, each with one protocol (`all` is one too) and one selector."""
    if not rule.is_one_protocol and rule.protocol != "all":
        low, high = protocols.numbers(rule.protocol)
        for number in range(low, high + 1):
            yield Rule.of(protocols.name(number, number), "", rule.sources)
        return
    if not rule.ports or rule.protocol not in ("icmp", "icmpv6"):
        yield rule
        return
    first = rule.first
    while first <= rule.last:
        whole_type = first % CODES == 0 and first + CODES - 1 <= rule.last
        last = first + CODES - 1 if whole_type else first
        yield replace(rule, first=first, last=last)
        first = last + 1


def single_networks(rule: Rule) -> Iterator[Rule]:
    """The rule as several, each with one of its networks as it is written."""
    for cidr in rule.sources.written():
        yield replace(rule, sources=NetworkSet.of((cidr,)))


def by_family(rule: Rule) -> Iterator[Rule]:
    """The rule for IPv4 and the rule for IPv6, as far as it has such sources."""
    for sources in (rule.sources.family(4), rule.sources.family(6)):
        if sources:
            yield replace(rule, sources=sources)


def type_and_code(rule: Rule) -> tuple[int | None, int | None]:
    """Of a rule for ICMP, one of `single_selectors`; None for all of them."""
    if not rule.ports:
        return None, None
    return rule.first // CODES, None if rule.first < rule.last else rule.first % CODES


def numbers_of(rule: Rule) -> tuple[int | None, int | None]:
    """How vendors number one of `single_selectors`: its first and last port, or its ICMP type and
    code; None for all of them."""
    if not rule.has_ports:
        return type_and_code(rule)
    if (rule.first, rule.last) == protocols.EVERY_PORT:
        return None, None
    return rule.first, rule.last


def rule_of_numbers(
    protocol: str, first: int | None, last: int | None, sources: NetworkSet
) -> Rule:
    """The rule that such numbers stand for; a protocol that has neither ports nor types heeds none.
    Raises `ValueError`."""
    whole = Rule.of(protocol, "", sources)
    if whole.has_ports and first is not None and last is not None:
        return Rule.of(protocol, f"{first}-{last}", sources)
    if whole.protocol in ("icmp", "icmpv6") and first is not None:
        return Rule.of(protocol, f"{first}" if last is None else f"{first}/{last}", sources)
    return whole
