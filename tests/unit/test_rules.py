"""One rule and its text; rule sets as people meet them. The algebra at large is in
`test_rules_algebra.py`."""

from __future__ import annotations

import random

import pytest

from cloudsync.rules import NOTHING, Rule, RuleSet
from cloudsync.rules.networks import (
    ANY,
    ANY4,
    NOWHERE,
    NetworkSet,
)
from tests.growth import growth

OFFICE = NetworkSet.of(["203.0.113.0/24"])


def texts(rules: RuleSet | tuple[Rule, ...]) -> list[str]:
    return [str(rule) for rule in rules]


@pytest.mark.parametrize(
    ("protocol", "canonical"),
    [
        ("tcp", "tcp"),
        ("TCP", "tcp"),
        ("6", "tcp"),
        ("17", "udp"),
        ("132", "sctp"),
        ("33", "dccp"),
        ("136", "udplite"),
        ("1", "icmp"),
        ("58", "icmpv6"),
        ("icmp6", "icmpv6"),
        ("ipv6-icmp", "icmpv6"),
        ("ICMPv6", "icmpv6"),
        ("50", "esp"),
        ("51", "ah"),
        ("47", "gre"),
        ("4", "ipip"),
        ("2", "igmp"),
        ("41", "ipv6"),
        ("89", "ospf"),
        ("112", "vrrp"),
        ("143", "143"),
        ("255", "255"),
        ("all", "all"),
        ("ALL", "all"),
        ("0-255", "all"),
        ("7-255", "7-255"),
        ("6-6", "tcp"),
    ],
)
def test_a_protocol_has_one_spelling(protocol: str, canonical: str) -> None:
    assert Rule.of(protocol, "", ANY).protocol == canonical
    assert Rule.of(canonical, "", ANY) == Rule.of(protocol, "", ANY)


@pytest.mark.parametrize(
    "protocol",
    [
        "",
        "tpc",
        "256",
        "-1",
        "+6",
        " tcp",
        "tcp ",
        "06",
        "６",
        "7-",
        "-7",
        "9-7",
        "0-256",
        "tcp-udp",
        "any",
        "1-2-3",
        "6\n",
    ],
)
def test_an_unknown_protocol_is_refused_by_name(protocol: str) -> None:
    with pytest.raises(ValueError, match="protocol") as refused:
        Rule.of(protocol, "", ANY)
    assert repr(protocol) in str(refused.value)


@pytest.mark.parametrize(
    ("protocol", "ports", "first", "last", "canonical"),
    [
        ("tcp", "443", 443, 443, "443"),
        ("udp", "8000-8010", 8000, 8010, "8000-8010"),
        ("tcp", "443-443", 443, 443, "443"),
        ("sctp", "", 1, 65535, "1-65535"),
        ("dccp", "1-65535", 1, 65535, "1-65535"),
        ("udplite", "65535", 65535, 65535, "65535"),
        ("icmp", "", 0, 65535, ""),
        ("icmp", "0-255", 0, 65535, ""),
        ("icmp", "8", 2048, 2303, "8"),
        ("icmp", "8/0", 2048, 2048, "8/0"),
        ("icmpv6", "255/255", 65535, 65535, "255/255"),
        ("icmp", "8-11", 2048, 3071, "8-11"),
        ("icmp", "8/0-8/255", 2048, 2303, "8"),
        ("icmp", "3/4-5/0", 772, 1280, "3/4-5/0"),
        ("esp", "", 0, 0, ""),
        ("143", "", 0, 0, ""),
        ("7-255", "", 0, 65535, ""),
        ("all", "", 0, 65535, ""),
    ],
)  # fmt: skip
def test_ports_are_read_and_written_in_one_form(
    protocol: str, ports: str, first: int, last: int, canonical: str
) -> None:
    rule = Rule.of(protocol, ports, ANY)
    assert (rule.first, rule.last, rule.ports) == (first, last, canonical)
    assert Rule.of(rule.protocol, rule.ports, rule.sources) == rule


@pytest.mark.parametrize(
    ("protocol", "ports"),
    [
        ("tcp", "0"),
        ("tcp", "65536"),
        ("tcp", "0-80"),
        ("tcp", "80-65536"),
        ("tcp", "90-80"),
        ("tcp", "-80"),
        ("tcp", "80-"),
        ("tcp", "+1"),
        ("tcp", "１"),
        ("tcp", " 80"),
        ("tcp", "80 "),
        ("tcp", "80\n"),
        ("tcp", "080"),
        ("tcp", "80,81"),
        ("tcp", "http"),
        ("tcp", "8_0"),
        ("tcp", "1-2-3"),
        ("tcp", "8/0"),
        ("tcp", "9" * 5000),
        ("tcp", "*"),
        ("udp", "-"),
        ("icmp", "256"),
        ("icmp", "8/256"),
        ("icmp", "8/"),
        ("icmp", "/0"),
        ("icmp", "8/0/0"),
        ("icmp", "-1"),
        ("icmp", "9-8"),
        ("icmp", "08"),
        ("esp", "0"),
        ("gre", "80"),
        ("143", "1"),
        ("all", "80"),
        ("all", "0"),
        ("7-255", "1-65535"),
        ("6-17", "443"),
    ],
)
def test_ports_that_are_none_are_refused(protocol: str, ports: str) -> None:
    with pytest.raises(
        ValueError, match=r"neither a port|not a range|neither an ICMP type|has no ports"
    ) as refused:
        Rule.of(protocol, ports, ANY)
    assert repr(ports) in str(refused.value)


@pytest.mark.parametrize(
    ("protocol", "first", "last"),
    [
        ("tcp", 0, 80),
        ("tcp", 80, 79),
        ("tcp", 1, 65536),
        ("icmp", 0, 65536),
        ("esp", 0, 1),
        ("all", 0, 0),
        ("7-255", 1, 65535),
        ("TCP", 1, 2),
        ("6", 1, 2),
        ("5-5", 0, 0),
    ],
)
def test_a_rule_that_cannot_be_is_not_made(protocol: str, first: int, last: int) -> None:
    with pytest.raises(ValueError, match=r"selector|written"):
        Rule(protocol, first, last, ANY)


def test_sources_are_words_or_a_network_set() -> None:
    assert Rule.of("tcp", "443", ["any"]) == Rule.of("tcp", "443", ANY)
    with pytest.raises(ValueError, match="host bits"):
        Rule.of("tcp", "443", ["10.0.0.1/8"])


@pytest.mark.parametrize("protocol", ["tcp", "udp", "sctp", "dccp", "udplite"])
def test_a_protocol_with_ports_says_so(protocol: str) -> None:
    assert Rule.of(protocol, "443", ANY).has_ports


@pytest.mark.parametrize("protocol", ["icmp", "icmpv6", "esp", "143", "all", "6-17"])
def test_a_protocol_without_ports_says_so(protocol: str) -> None:
    assert not Rule.of(protocol, "", ANY).has_ports


def test_a_rule_reads_as_text() -> None:
    assert str(Rule.of("tcp", "443", ["any"])) == "tcp/443 from 0.0.0.0/0, ::/0"
    assert str(Rule.of("icmp", "", ["any4"])) == "icmp from 0.0.0.0/0"
    assert str(Rule.of("icmp", "8/0", OFFICE)) == "icmp/8/0 from 203.0.113.0/24"
    assert str(Rule.of("esp", "", NOWHERE)) == "esp from nowhere"


def test_all_minus_one_port_is_exact() -> None:
    rest = RuleSet.of([Rule.of("all", "", ["any"])]) - RuleSet.of([Rule.of("tcp", "22", ["any"])])
    assert texts(rest) == [
        "0-5 from 0.0.0.0/0, ::/0",
        "tcp/1-21 from 0.0.0.0/0, ::/0",
        "tcp/23-65535 from 0.0.0.0/0, ::/0",
        "7-255 from 0.0.0.0/0, ::/0",
    ]
    assert texts(rest | RuleSet.of([Rule.of("tcp", "22", ["any"])])) == ["all from 0.0.0.0/0, ::/0"]


def test_every_protocol_by_itself_is_all() -> None:
    one_by_one = RuleSet.of(Rule.of(str(number), "", OFFICE) for number in range(256))
    assert one_by_one == RuleSet.of([Rule.of("all", "", OFFICE)])
    assert texts(one_by_one) == ["all from 203.0.113.0/24"]


def test_ports_that_touch_are_one_rule_and_a_gap_is_never_bridged() -> None:
    rules = RuleSet.of(
        [Rule.of("tcp", "80", ANY4), Rule.of("tcp", "81-90", ANY4), Rule.of("tcp", "92", ANY4)]
    )
    assert texts(rules) == ["tcp/80-90 from 0.0.0.0/0", "tcp/92 from 0.0.0.0/0"]
    assert rules.fewest() == tuple(rules)


def test_rules_are_in_order_of_protocol_number_and_port() -> None:
    rules = RuleSet.of(
        Rule.of(protocol, ports, ANY)
        for protocol, ports in [
            ("esp", ""),
            ("udp", "53"),
            ("tcp", "443"),
            ("icmp", "8"),
            ("tcp", "22"),
        ]
    )
    assert [(rule.protocol, rule.ports) for rule in rules] == [
        ("icmp", "8"),
        ("tcp", "22"),
        ("tcp", "443"),
        ("udp", "53"),
        ("esp", ""),
    ]


def test_overlapping_rules_become_disjoint_ones() -> None:
    rules = RuleSet.of(
        [Rule.of("tcp", "1-100", ["10.0.0.0/8"]), Rule.of("tcp", "50-200", ["11.0.0.0/8"])]
    )
    assert texts(rules) == [
        "tcp/1-49 from 10.0.0.0/8",
        "tcp/50-100 from 10.0.0.0/7",
        "tcp/101-200 from 11.0.0.0/8",
    ]
    assert texts(rules.fewest()) == ["tcp/1-100 from 10.0.0.0/8", "tcp/50-200 from 11.0.0.0/8"]


def test_the_fewest_rules_keep_all_protocols_in_one_rule() -> None:
    rules = RuleSet.of([Rule.of("all", "", ["10.0.0.0/8"]), Rule.of("tcp", "22", ["any4"])])
    assert len(list(rules)) == 5
    assert texts(rules.fewest()) == ["all from 10.0.0.0/8", "tcp/22 from 0.0.0.0/0"]


def test_the_fewest_rules_are_the_canonical_ones_where_overlap_saves_nothing() -> None:
    rules = RuleSet.of([Rule.of("tcp", "80-81", OFFICE), Rule.of("tcp", "80", ["any6"])])
    assert (
        texts(rules.fewest())
        == texts(rules)
        == ["tcp/80 from 203.0.113.0/24, ::/0", "tcp/81 from 203.0.113.0/24"]
    )


def test_overlapping_rules_do_not_lend_each_other_their_sources() -> None:
    asked = (
        Rule.of("tcp", "1-100", ["10.0.0.0/8"]),
        Rule.of("tcp", "50-200", ["11.0.0.0/8"]),
        Rule.of("tcp", "60-70", ["12.0.0.0/8"]),
    )
    assert texts(RuleSet.of(asked).fewest()) == [
        "tcp/1-100 from 10.0.0.0/8",
        "tcp/50-200 from 11.0.0.0/8",
        "tcp/60-70 from 10.0.0.0/7, 12.0.0.0/8",
    ]


def test_a_staircase_of_sources_stays_as_it_is() -> None:
    rules = RuleSet.of(
        Rule.of("tcp", ports, [network])
        for ports, network in [("80-82", "10.0.0.0/8"), ("81-82", "172.16.0.0/12"), ("82", "any6")]
    )
    assert rules.fewest() == tuple(rules)


def test_the_fewest_rules_never_bridge_a_closed_protocol() -> None:
    rules = RuleSet.of(
        [
            Rule.of("5", "", OFFICE),
            Rule.of("7", "", OFFICE),
            Rule.of("8", "", ["203.0.113.0/24", "any6"]),
        ]
    )
    assert texts(rules.fewest()) == [
        "5 from 203.0.113.0/24",
        "7 from 203.0.113.0/24",
        "8 from 203.0.113.0/24, ::/0",
    ]


def test_the_fewest_rules_mix_the_families_in_one_source_set() -> None:
    rules = RuleSet.of([Rule.of("tcp", "443", ["any4"]), Rule.of("tcp", "443", ["any6"])])
    assert texts(rules.fewest()) == ["tcp/443 from 0.0.0.0/0, ::/0"]


def test_a_rule_without_sources_lets_nothing_in() -> None:
    assert RuleSet.of([Rule.of("all", "", NOWHERE)]) == NOTHING
    assert not NOTHING
    assert list(NOTHING) == []
    assert NOTHING.fewest() == ()


def test_where_keeps_the_part_from_those_sources() -> None:
    rules = RuleSet.of([Rule.of("all", "", ["10.0.0.0/8"]), Rule.of("tcp", "22", ["any4"])])
    assert texts(rules.where(OFFICE)) == ["tcp/22 from 203.0.113.0/24"]
    assert rules.where(NOWHERE) == NOTHING


def test_everything_from_are_the_sources_no_protocol_and_no_port_is_closed_to() -> None:
    but_one_port = [
        Rule.of("all", "", ["10.0.0.0/8"]),
        Rule.of("0-5", "", ["any4"]),
        Rule.of("7-255", "", ["any4"]),
    ]
    assert RuleSet.of(but_one_port).everything_from() == NetworkSet.of(["10.0.0.0/8"])
    whole = RuleSet.of([*but_one_port, Rule.of("tcp", "", OFFICE)])
    assert whole.everything_from() == NetworkSet.of(["10.0.0.0/8", "203.0.113.0/24"])
    assert RuleSet.of([Rule.of("tcp", "", ANY)]).everything_from() == NOWHERE


def test_apart_from_everything_is_what_one_rule_for_all_leaves_to_say() -> None:
    rules = RuleSet.of([Rule.of("all", "", OFFICE), Rule.of("tcp", "22", ["198.51.100.0/24"])])
    assert texts(rules.apart_from_everything(OFFICE)) == ["tcp/22 from 198.51.100.0/24"]
    assert rules.apart_from_everything(NOWHERE) == rules
    assert RuleSet.of([Rule.of("all", "", OFFICE)]).apart_from_everything(OFFICE) == NOTHING


def test_apart_from_everything_overlaps_only_where_that_is_fewer_networks() -> None:
    office_and_world = RuleSet.of([Rule.of("all", "", OFFICE), Rule.of("tcp", "22", ANY4)])
    assert texts(office_and_world.apart_from_everything(OFFICE)) == ["tcp/22 from 0.0.0.0/0"], (
        "one network instead of 24"
    )
    beside = NetworkSet.of(["203.0.112.0/24"])
    half = RuleSet.of([Rule.of("all", "", beside), Rule.of("tcp", "22", ["203.0.112.0/23"])])
    assert texts(half.apart_from_everything(beside)) == ["tcp/22 from 203.0.113.0/24"], (
        "one network either way: not wider than needed"
    )


def test_of_protocols_keeps_the_part_of_those_protocols() -> None:
    rules = RuleSet.of([Rule.of("all", "", OFFICE), Rule.of("tcp", "22", ANY)])
    assert texts(rules.of_protocols("icmp", "58")) == [
        "icmp from 203.0.113.0/24",
        "icmpv6 from 203.0.113.0/24",
    ]
    assert rules.of_protocols("all") == rules
    assert rules.of_protocols() == NOTHING


def test_covers_asks_for_every_point() -> None:
    web = RuleSet.of([Rule.of("tcp", "80-443", ANY4)])
    assert web.covers(RuleSet.of([Rule.of("tcp", "443", OFFICE)]))
    assert not web.covers(RuleSet.of([Rule.of("tcp", "443", ANY)]))
    assert not web.covers(RuleSet.of([Rule.of("tcp", "443-444", OFFICE)]))
    assert not web.covers(RuleSet.of([Rule.of("udp", "443", OFFICE)]))
    assert web.covers(NOTHING)


def many_rules(count: int, width: int, networks: int) -> list[Rule]:
    chance = random.Random(count)
    sources = [
        NetworkSet.of([f"{chance.randint(1, 223)}.{chance.randint(0, 255)}.0.0/16"])
        for _ in range(networks)
    ]
    firsts = [chance.randint(1, 65535 - width) for _ in range(count)]
    return [
        Rule("tcp", first, first + chance.randint(0, width), chance.choice(sources))
        for first in firsts
    ]


@pytest.mark.parametrize(("width", "networks"), [(0, 5000), (300, 40), (20000, 4)])
def test_four_times_the_rules_take_not_much_more_than_four_times_the_work(
    width: int, networks: int
) -> None:
    rules = {count: many_rules(count, width, networks) for count in (500, 2_000)}
    assert growth(lambda count: RuleSet.of(rules[count])) < 10


def test_rules_with_sources_of_their_own_too() -> None:
    rules = [Rule.of("tcp", "1-65535", [f"10.{n >> 8}.{n & 255}.0/28"]) for n in range(2_000)]
    assert len(list(RuleSet.of(rules))) == 1
    assert growth(lambda count: RuleSet.of(rules[:count])) < 10


def test_combining_and_making_few_too() -> None:
    pairs = {
        count: (RuleSet.of(many_rules(count, 0, 5000)), RuleSet.of(many_rules(count - 1, 0, 5000)))
        for count in (500, 2_000)
    }
    assert (
        growth(lambda count: (pairs[count][0] | pairs[count][1], pairs[count][0] & pairs[count][1]))
        < 10
    )
    assert growth(lambda count: pairs[count][0] - pairs[count][1]) < 10
    assert growth(lambda count: pairs[count][0].fewest()) < 10


@pytest.mark.parametrize(
    ("outer", "inner", "covered"),
    [
        (["1-3", "5-10"], ["1-10"], False),
        (["1-3", "5-10"], ["2-3", "6-7"], True),
        (["1-3", "5-10"], ["4"], False),
        (["1-3", "5-10"], ["11"], False),
        (["1-20"], ["1", "3", "20"], True),
        (["1-20"], ["20-21"], False),
    ],
)
def test_ports_in_a_gap_are_not_covered(outer: list[str], inner: list[str], covered: bool) -> None:
    of = (RuleSet.of(Rule.of("tcp", ports, ANY) for ports in listed) for listed in (outer, inner))
    wide, narrow = of
    assert wide.covers(narrow) is covered


def test_a_union_of_sets_is_the_set_of_all_their_rules() -> None:
    a, b, c = (
        RuleSet.of([Rule.of("tcp", ports, NetworkSet.of([cidr]))])
        for ports, cidr in (("1-3", "10.0.0.0/8"), ("3-5", "10.0.0.0/8"), ("2", "192.0.2.0/24"))
    )
    assert RuleSet.union(()) == NOTHING
    assert RuleSet.union((a,)) == a
    assert RuleSet.union((a, b, c)) == a | b | c == RuleSet.union((c, b, a, b))
    assert RuleSet.union((a, b)) == a | b != RuleSet.union((a, c))
