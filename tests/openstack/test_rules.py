"""Neutron's rules and ours, both ways, without a server."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cloudsync.provider.errors import Unsupported
from cloudsync.provider.single_rules import single_rules
from cloudsync.rules import ANY, Rule, RuleSet, protocols
from cloudsync.testing.language import meant, spelled
from cloudsync_openstack.answers import GroupRule
from cloudsync_openstack.rules import (
    INEXPRESSIBLE,
    body_of,
    from_vendor,
    inexpressible,
    meaning_of,
)
from tests.openstack.cloud import lets_in

networks = st.lists(
    st.sampled_from(
        ["0.0.0.0/0", "::/0", "203.0.113.0/24", "203.0.113.7/32", "2001:db8::/32", "10.0.0.0/8"]
    ),
    min_size=1,
    max_size=4,
    unique=True,
)
selectors = st.one_of(
    st.tuples(
        st.sampled_from(["tcp", "udp", "sctp", "dccp", "udplite"]),
        st.integers(1, 65535),
        st.integers(1, 65535),
    ).map(lambda one: (one[0], f"{min(one[1:])}-{max(one[1:])}")),
    st.tuples(st.sampled_from(["icmp", "icmpv6"]), st.integers(0, 255), st.integers(0, 255)).map(
        lambda one: (one[0], f"{min(one[1:])}-{max(one[1:])}")
    ),
    st.tuples(st.sampled_from(["icmp", "icmpv6"]), st.integers(0, 65535), st.integers(0, 700)).map(
        lambda one: (one[0], _codes(one[1], min(one[1] + one[2], 65535)))
    ),
    st.integers(0, 255).map(lambda number: (protocols.name(number, number), "")),
    st.just(("all", "")),
)


def _codes(first: int, last: int) -> str:
    return f"{first // 256}/{first % 256}-{last // 256}/{last % 256}"


rules = st.builds(lambda selector, sources: Rule.of(*selector, sources), selectors, networks)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(rules, min_size=1, max_size=5))
def test_law7_what_is_written_means_what_was_asked_for_or_is_refused(asked: list[Rule]) -> None:
    wanted = RuleSet.of(asked)
    written = [new for rule in asked for new in single_rules(rule)]
    bodies = [
        {"remote_group_id": None, "remote_address_group_id": None, **body_of(new, "g")}
        for new in written
    ]
    refused = inexpressible(wanted)
    if not refused:
        assert lets_in({"security_group_rules": bodies}) - INEXPRESSIBLE == wanted - INEXPRESSIBLE
        read = [GroupRule(id=str(number), **body) for number, body in enumerate(bodies)]
        objects, kept = from_vendor(read)
        assert kept == ()
        everything = RuleSet.of(rule for one in objects for rule in one.lets_in)
        assert everything - INEXPRESSIBLE == wanted - INEXPRESSIBLE
    else:
        assert wanted.covers(refused)
        assert INEXPRESSIBLE.covers(refused)


def test_everything_is_one_rule_a_family_and_is_not_refused() -> None:
    wanted = meant("all")
    assert not inexpressible(wanted)
    assert [body_of(new, "g")["protocol"] for new in single_rules(Rule.of("all", "", ANY))] == [
        None,
        None,
    ]


@pytest.mark.parametrize(
    ("rule", "refused"),
    [
        ("hopopt from 203.0.113.0/24", "hopopt from 203.0.113.0/24"),
        ("icmp", "icmp from ::/0"),
        ("icmpv6", "icmpv6 from 0.0.0.0/0"),
        ("ipv6", "ipv6 from 0.0.0.0/0"),
    ],
)
def test_law7_only_the_part_that_cannot_be_said_is_named(rule: str, refused: str) -> None:
    assert inexpressible(meant(rule)) == meant(refused)


def test_a_range_of_icmp_types_is_a_rule_for_each_type() -> None:
    asked = spelled("icmp/8-11 from 0.0.0.0/0")
    rule = Rule.of(asked.protocol, asked.ports, asked.sources)
    bodies = [body_of(new, "g") for new in single_rules(rule)]
    assert [(body["port_range_min"], body["port_range_max"]) for body in bodies] == [
        (8, None),
        (9, None),
        (10, None),
        (11, None),
    ]


def test_a_description_is_printable_and_short_enough() -> None:
    rule = Rule.of("tcp", "22", ANY)
    new = next(single_rules(rule, "a\x1b[31m\n" + "b" * 300))
    description = body_of(new, "g")["description"]
    assert len(description) == 255
    assert description.isprintable()


@pytest.mark.parametrize(
    "odd",
    [
        {"ethertype": "IPv7"},
        {"protocol": "carrier-pigeon"},
        {"protocol": "300"},
        {"protocol": "tcp", "port_range_min": 0, "port_range_max": 70000},
        {"protocol": "tcp", "port_range_min": 9, "port_range_max": 1},
        {"remote_ip_prefix": "everywhere"},
    ],
)
def test_law1_a_rule_that_cannot_be_understood_is_never_guessed(odd: dict[str, object]) -> None:
    rule = {"id": "1", "direction": "ingress", "ethertype": "IPv4", **odd}
    with pytest.raises(Unsupported):
        meaning_of(GroupRule.model_validate(rule))
