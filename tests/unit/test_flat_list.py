"""Lists of rules as flat vendors have them say exactly what is asked for, within the vendor's
limits."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudsync.provider.contract import Asked, FirewallSpec, Refusal, Target
from cloudsync.provider.errors import Unsupported
from cloudsync.provider.flat_list import Entry, Grammar, fewest_entries, meaning, wanted_list
from cloudsync.provider.marker import Marker
from cloudsync.rules import NetworkSet, Rule, RuleSet
from cloudsync_hetzner.settings import HetznerFirewall

SPEC = FirewallSpec("web", HetznerFirewall(), Marker("shop", "web", "0123abcd"))
SSH = RuleSet.of((Rule.of("tcp", "22", NetworkSet.of(["203.0.113.0/24"])),))


def grammar(*, joint: bool, pieces: int) -> Grammar:
    return Grammar("Pebble", ("tcp", "udp", "icmp", "icmpv6"), 8, pieces, joint)


def networks(v4: int, v6: int) -> NetworkSet:
    return NetworkSet.of(
        [f"10.{n}.0.0/24" for n in range(v4)] + [f"2001:db8:{n:x}::/48" for n in range(v6)]
    )


def target(*rules: Rule) -> Target:
    wanted = RuleSet.of(rules) | SSH
    return Target(SPEC, wanted, SSH, asked=tuple(Asked(rule) for rule in wanted))


def says(entries: tuple[Entry, ...], grammar: Grammar) -> RuleSet:
    assert all(0 < len(entry.networks) <= grammar.networks for entry in entries)
    return RuleSet.of(
        rule
        for entry in entries
        for rule in meaning(entry.protocol, entry.ports, entry.networks, grammar)
    )


@given(
    v4=st.integers(0, 20),
    v6=st.integers(0, 20),
    ports=st.lists(st.integers(1, 60).map(lambda n: 1000 + 7 * n), max_size=6),
    joint=st.booleans(),
    pieces=st.sampled_from([1, 4]),
)
def test_a_list_says_what_is_asked_for_however_many_networks_and_ports(
    v4: int, v6: int, ports: list[int], joint: bool, pieces: int
) -> None:
    sources = networks(v4, v6)
    named = [Rule.of("tcp", str(port), sources) for port in ports if sources]
    pings = [
        Rule.of(name, "", sources.family(family))
        for name, family in (("icmp", 4), ("icmpv6", 6))
        if sources.family(family)
    ]
    wish, form = target(*named, *pings), grammar(joint=joint, pieces=pieces)
    fewest = fewest_entries(wish, form)
    assert not isinstance(fewest, Refusal)
    assert says(fewest, form) == wish.rules
    listed = wanted_list((), wish, form, lambda _: None)
    assert not isinstance(listed, Refusal)
    assert says(listed.entries, form) == wish.rules


@pytest.mark.parametrize(("v4", "v6"), [(10, 10), (3, 10), (8, 1), (8, 8)])
def test_pings_from_many_networks_of_both_families_lose_none(v4: int, v6: int) -> None:
    pings = (Rule.of("icmp", "", networks(v4, 0)), Rule.of("icmpv6", "", networks(0, v6)))
    listed = wanted_list((), target(*pings), grammar(joint=True, pieces=1), lambda _: None)
    assert not isinstance(listed, Refusal)
    written = [n for entry in listed.entries if entry.protocol == "icmp" for n in entry.networks]
    assert len(written) == v4 + v6


@pytest.mark.parametrize(
    ("protocol", "ports", "network", "phrase"),
    [
        ("quic", "443", "0.0.0.0/0", "a rule of the protocol 'quic'"),
        ("q\x07uic", "443", "0.0.0.0/0", "a rule of the protocol 'quic'"),
        ("tcp", "https", "0.0.0.0/0", r"a rule that cannot be understood \(tcp\)"),
        ("udp", "53", "the office", r"a rule that cannot be understood \(udp\)"),
    ],
)
def test_a_rule_that_is_not_understood_is_named_and_never_taken_for_nothing(
    protocol: str, ports: str, network: str, phrase: str
) -> None:
    with pytest.raises(Unsupported, match=phrase):
        meaning(protocol, ports, [network], grammar(joint=True, pieces=1))


@pytest.mark.parametrize(
    ("inbound", "outbound", "begins"),
    [
        (5, 3, None),
        (6, 3, "6 inbound rules are needed besides 3 outbound ones, Pebble allows 8 a firewall"),
        (9, 0, "9 rules are needed, Pebble allows 8 a firewall"),
    ],
)
def test_the_limit_of_rules_counts_both_ways(
    inbound: int, outbound: int, begins: str | None
) -> None:
    limited = replace(grammar(joint=True, pieces=1), rules=8)
    problem = limited.too_many(inbound, outbound)
    assert (problem is None) if begins is None else (problem or "").startswith(begins)
