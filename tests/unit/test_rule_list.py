"""A firewall that is one list: every rule that fits stays at its place and as it is (law 4)."""

from __future__ import annotations

from cloudsync.provider.contract import Asked, FirewallSpec, Target, VendorRule
from cloudsync.provider.marker import Marker
from cloudsync.provider.rule_list import Line, keyed, lines
from cloudsync.provider.settings import FirewallSettings
from cloudsync.provider.spelling import spell
from tests.world import rules

SPEC = FirewallSpec("web", FirewallSettings(), Marker("shop", "web", "0badcafe"))


def listed(there: list[tuple[str, str]], asked: list[str], ours: str = "") -> tuple[Line, ...]:
    """`there`: rules with their descriptions."""
    objects = [
        VendorRule(text, rules(text), description=description, ours=text == ours)
        for text, description in there
    ]
    wanted = tuple(Asked(rule, f"for {text}") for text in asked for rule in rules(text))
    target = Target(SPEC, rules(*asked), asked=wanted)
    return lines(objects, spell(objects, target), target)


def shown(found: tuple[Line, ...]) -> list[tuple[str, str]]:
    return [
        (str(line.rule) if line.rule else line.at.key if line.at else "?", line.description)
        for line in found
    ]


def test_what_fits_stays_at_its_place_and_what_is_new_comes_last() -> None:
    there = [("tcp/443", "Anna"), ("tcp/22", "Bert")]
    assert shown(listed(there, ["tcp/22", "tcp/80", "tcp/443"])) == [
        *there,
        ("tcp/80 from 0.0.0.0/0, ::/0", "for tcp/80"),
    ]


def test_a_rule_that_lacks_a_family_or_a_network_gains_it_under_its_description() -> None:
    (line,) = listed([("tcp/443 from 0.0.0.0/0", "shop")], ["tcp/443"])
    assert (str(line.rule), line.description) == ("tcp/443 from 0.0.0.0/0, ::/0", "shop")
    asked = ["tcp/443 from 203.0.113.0/24,198.51.100.0/24"]
    (line,) = listed([("tcp/443 from 203.0.113.0/24", "")], asked)
    assert str(line.rule) == "tcp/443 from 198.51.100.0/24, 203.0.113.0/24"
    assert line.description == f"for {asked[0]}"


def test_a_narrower_rule_of_somebody_else_is_not_swallowed() -> None:
    there = [("tcp/443 from 203.0.113.7/32", "Anna at home")]
    assert shown(listed(there, ["tcp/443"])) == [
        *there,
        ("tcp/443 from 0.0.0.0/0, ::/0", "for tcp/443"),
    ]


def test_a_rule_that_loses_a_network_keeps_its_place_and_description() -> None:
    there = [("tcp/443 from 203.0.113.0/24,198.51.100.0/24", "offices"), ("tcp/22", "")]
    assert shown(listed(there, ["tcp/443 from 203.0.113.0/24", "tcp/22"])) == [
        ("tcp/443 from 203.0.113.0/24", "offices"),
        ("tcp/22", ""),
    ]


def test_a_rule_of_ours_says_who_needs_it_now() -> None:
    there = [("tcp/443", "shop/old"), ("tcp/22", "Bert")]
    assert shown(listed(there, ["tcp/443", "tcp/22"], ours="tcp/443")) == [
        ("tcp/443", "for tcp/443"),
        ("tcp/22", "Bert"),
    ]


def test_equal_rules_of_a_vendor_without_ids_are_told_apart_by_their_order() -> None:
    twice = keyed([("tcp/443", rules("tcp/443"), "a"), ("tcp/443", rules("tcp/443"), "b")])
    assert [rule.key for rule in twice] == ["tcp/443", "tcp/443 #2"]
