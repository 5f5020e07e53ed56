"""Rules with one protocol, one range and one source each: what is added and what is removed."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from cloudsync.provider.contract import Asked, FirewallSpec, Target, VendorRule
from cloudsync.provider.marker import Marker
from cloudsync.provider.settings import FirewallSettings
from cloudsync.provider.single_rules import (
    Difference,
    SingleRule,
    difference,
    in_fewest,
    letting_in,
    single_rules,
)
from cloudsync.rules import NetworkSet, Rule
from cloudsync.testing.language import meant

_SPEC = FirewallSpec("web", FirewallSettings(), Marker("shop", "web", "0badcafe"))
_LIST = "pl-1"


def _there(*texts: str, list_id: str = "") -> list[VendorRule]:
    return [VendorRule(f"{list_id}{text}", meant(text), list_id=list_id) for text in texts]


def _target(*texts: str, by_list: str = "") -> Target:
    wanted = tuple(Asked(rule, "web", by_list) for text in texts for rule in meant(text))
    return Target(_SPEC, meant(*texts), asked=wanted)


def _added(change: Difference) -> list[str]:
    return [f"{rule.meaning}{rule.list_id and f' by {rule.list_id}'}" for rule in change.adding]


def _after(rules: list[VendorRule], change: Difference) -> list[SingleRule | VendorRule]:
    gone = {rule.key for rule in change.removing}
    return [*(rule for rule in rules if rule.key not in gone), *change.adding]


def test_a_rule_is_added_for_each_network() -> None:
    assert _added(difference([], _target("tcp/443 from 192.0.2.1, 198.51.100.0/24"))) == [
        "tcp/443 from 192.0.2.1/32",
        "tcp/443 from 198.51.100.0/24",
    ]


def test_of_icmp_types_and_protocols_only_those_that_are_not_there_are_added() -> None:
    rules = _there("icmp/8 from 192.0.2.1", "esp from 192.0.2.1")
    wanted = _target("icmp/7 from 192.0.2.1", "icmp/8 from 192.0.2.1", "50-51 from 192.0.2.1")
    assert _added(difference(rules, wanted)) == ["icmp/7 from 192.0.2.1/32", "ah from 192.0.2.1/32"]


def test_a_part_of_a_range_that_is_there_stays_though_nothing_else_asks_for_it() -> None:
    """It is ours, and the range covers it: removed by its value, as at AWS, it would close."""
    rules = [
        VendorRule("8", meant("icmp/8 from 192.0.2.1"), ours=True),
        VendorRule("9", meant("tcp/9 from 192.0.2.1"), ours=True),
    ]
    change = difference(rules, _target("icmp/7-9 from 192.0.2.1", "tcp/8-9 from 192.0.2.1"))
    assert _added(change) == [
        "icmp/7 from 192.0.2.1/32",
        "icmp/9 from 192.0.2.1/32",
        "tcp/8-9 from 192.0.2.1/32",
    ]
    assert [rule.key for rule in change.removing] == ["9"]
    assert [touched.key for touched in change.touches] == ["9"]


def test_by_a_list_one_rule_is_added_or_one_for_each_family() -> None:
    rule = Rule.of("tcp", "443", NetworkSet.of(["192.0.2.0/24", "2001:db8::/32"]))
    whole, *others = single_rules(rule, "web", _LIST)
    assert (whole.meaning, whole.list_id, others) == (rule, _LIST, [])
    families = single_rules(rule, "web", _LIST, list_families=True)
    assert [str(each.meaning) for each in families] == [
        "tcp/443 from 192.0.2.0/24",
        "tcp/443 from 2001:db8::/32",
    ]


def test_of_a_list_by_families_only_the_family_that_is_not_there_is_added() -> None:
    rules = _there("tcp/443 from 192.0.2.0/24", list_id=_LIST)
    wanted = _target("tcp/443 from 192.0.2.0/24, 2001:db8::/32", by_list=_LIST)
    assert _added(difference(rules, wanted, list_families=True)) == [
        f"tcp/443 from 2001:db8::/32 by {_LIST}"
    ]


def test_a_list_is_added_although_its_networks_are_open_one_by_one() -> None:
    rules = [VendorRule("1", meant("tcp/443 from 192.0.2.0/24"), ours=True)]
    change = difference(rules, _target("tcp/443 from 192.0.2.0/24", by_list=_LIST))
    assert _added(change) == [f"tcp/443 from 192.0.2.0/24 by {_LIST}"]
    assert [rule.key for rule in change.removing] == ["1"]


def test_the_fewest_rules_keep_lists_and_what_is_among_them_already() -> None:
    rules = [
        *_there("tcp/443 from 192.0.2.0/24", list_id=_LIST),
        *_there("tcp/80 from 203.0.113.0/25", "udp/53 from 203.0.113.1", "tcp/9 from 203.0.113.1"),
    ]
    wanted = _target(
        "tcp/443 from 192.0.2.0/24",
        "tcp/80 from 203.0.113.0/25",
        "tcp/80 from 203.0.113.128/25",
        "udp/53 from 203.0.113.1",
    )
    fewest = in_fewest(rules, wanted, difference(rules, wanted))
    assert _added(fewest) == ["tcp/80 from 203.0.113.0/24"]
    assert [(touched.target, touched.reason) for touched in fewest.touches] == [
        ("tcp/80 from 203.0.113.0/25", "there is no room for it: fewer rules say the same"),
        ("tcp/9 from 203.0.113.1/32", "some of what it lets in closes"),
    ]


def test_a_list_that_lets_in_more_than_is_wanted_is_not_among_the_fewest_rules() -> None:
    rules = _there("tcp/443 from 192.0.2.0/24", list_id=_LIST)
    wanted = _target("tcp/443 from 192.0.2.0/25")
    fewest = in_fewest(rules, wanted, difference(rules, wanted))
    assert _added(fewest) == ["tcp/443 from 192.0.2.0/25"]
    assert [rule.list_id for rule in fewest.removing] == [_LIST]


def test_everything_is_one_rule_a_family_among_the_fewest() -> None:
    wanted = _target("all", "tcp/443 from 192.0.2.1")
    fewest = in_fewest([], wanted, difference([], wanted))
    assert _added(fewest) == ["all from 0.0.0.0/0", "all from ::/0"]


networks = st.sampled_from(
    ["192.0.2.1", "192.0.2.0/25", "192.0.2.0/24", "0.0.0.0/0", "2001:db8::/32", "any"]
)
selectors = st.sampled_from(
    ["tcp/22", "tcp/20-30", "tcp/31-40", "tcp/1-65535", "udp/53", "icmp/8", "icmp", "esp", "50-52"]
)
texts = st.builds("{} from {}".format, selectors, networks)
several = st.lists(texts, unique=True, max_size=5)


@given(several, several, several, several, st.booleans())
def test_both_ways_lead_to_the_target_without_one_rule_twice(
    there: list[str], by_list: list[str], wanted: list[str], listed: list[str], ours: bool
) -> None:
    present = [*_there(*there), *_there(*by_list, list_id=_LIST)]
    rules = [replace(rule, ours=ours) for rule in present]
    asked = (*_target(*wanted).asked, *_target(*listed, by_list=_LIST).asked)
    target = Target(_SPEC, meant(*wanted, *listed), asked=asked)
    change = difference(rules, target)
    fewest = in_fewest(rules, target, change)
    for way in (change, fewest):
        after = _after(rules, way)
        assert letting_in(after) == target.rules
        gone = {rule.key for rule in way.removing}
        new = [(rule.list_id, rule.lets_in) for rule in way.adding]
        assert len(set(new)) == len(new)
        assert not {(r.list_id, r.lets_in) for r in rules if r.key not in gone}.intersection(new)
        lost = {(r.list_id, r.lets_in) for r in way.removing}
        assert not lost.intersection(new), "a rule that is removed by its value would close"
        assert {touched.key for touched in way.touches} == {rule.key for rule in way.removing}


@given(several)
def test_single_rules_mean_what_the_rule_means(wanted: list[str]) -> None:
    for rule in meant(*wanted):
        pieces = list(single_rules(rule))
        assert letting_in(pieces) == meant(*map(str, [rule]))
        assert all(len(piece.meaning.sources.written()) == 1 for piece in pieces)
