"""ICMP by address family: ICMP travels in IPv4 and ICMPv6 in IPv6 only.

A rule such as "everything from 0.0.0.0/0" also names ICMPv6 from IPv4 networks. No packet is like
that, so what remains of such a rule must not be written as if there were one: vendors refuse it, or
take it and it does nothing.
"""

from __future__ import annotations

from cloudsync.rules.networks import ANY4, ANY6
from cloudsync.rules.ruleset import Rule, RuleSet

NO_PACKET = RuleSet.of((Rule.of("icmp", "", ANY6), Rule.of("icmpv6", "", ANY4)))
"""What no packet can match: ICMP from IPv6 addresses, ICMPv6 from IPv4 addresses."""


def meaningful(rules: RuleSet) -> RuleSet:
    """The part of `rules` that a packet can match."""
    return rules - NO_PACKET


def as_asked(rules: RuleSet) -> RuleSet:
    """`rules` with ICMP asked for by name cut to its family; what asks for every protocol at once
    stays whole, since a rule that says so exists at the vendors."""
    if all(rule.has_ports for rule in rules):
        return rules  # no ICMP among them
    every = rules.where(rules.everything_from())
    return meaningful(rules - every) | every
