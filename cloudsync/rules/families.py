"""ICMP by address family: ICMP travels in IPv4 and ICMPv6 in IPv6 only.

A rule such as "everything from 0.0.0.0/0" also names ICMPv6 from IPv4 networks. No packet is like
that, so what remains of such a rule must not be written as if there were one: vendors refuse it, or
take it and it does nothing.
"""

from __future__ import annotations

from cloudsync.rules import protocols
from cloudsync.rules.networks import ANY4, ANY6
from cloudsync.rules.ruleset import Rule, RuleSet

NO_PACKET = RuleSet.of((Rule.of("icmp", "", ANY6), Rule.of("icmpv6", "", ANY4)))
"""What no packet can match: ICMP from IPv6 addresses, ICMPv6 from IPv4 addresses."""


def may_match_nothing(rules: RuleSet) -> bool:
    """Whether some of `rules` may be what no packet matches: only ICMP can be, and ranges of
    protocols with it. Looks at protocols alone."""
    return any(
        region.low < region.high or region.low in protocols.WITH_TYPES for region in rules.regions
    )


def meaningful(rules: RuleSet) -> RuleSet:
    """The part of `rules` that a packet can match."""
    return rules - NO_PACKET if may_match_nothing(rules) else rules


def as_asked(rules: RuleSet) -> RuleSet:
    """`rules` with ICMP asked for by name cut to its family; what asks for every protocol at once
    stays whole, since a rule that says so exists at the vendors."""
    if not may_match_nothing(rules):
        return rules
    every = rules.where(rules.everything_from())
    return meaningful(rules - every) | every
