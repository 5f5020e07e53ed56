"""Rules as vendors number them: the kit's selectors, both ways."""

from __future__ import annotations

import pytest

from cloudsync.provider.contract import FirewallSpec, Target, VendorRule
from cloudsync.provider.everything import with_everything
from cloudsync.provider.init import Credential, credentials
from cloudsync.provider.marker import Marker
from cloudsync.provider.selectors import (
    WITHOUT_OTHER_PORTS,
    beyond,
    numbers_of,
    rule_of_numbers,
    single_networks,
    single_selectors,
)
from cloudsync.provider.settings import FirewallSettings
from cloudsync.provider.spelling import spell
from cloudsync.rules import ANY, Rule
from tests.world import rules


@pytest.mark.parametrize(
    ("rule", "numbers"),
    [
        ("tcp/80", (80, 80)),
        ("udp/8000-8010", (8000, 8010)),
        ("tcp/1-65535", (None, None)),
        ("icmp", (None, None)),
        ("icmp/8", (8, None)),
        ("icmpv6/1/4", (1, 4)),
        ("esp", (None, None)),
        ("all", (None, None)),
    ],
)
def test_numbers_and_rules_are_each_others_reverse(
    rule: str, numbers: tuple[int | None, int | None]
) -> None:
    protocol, _, selector = rule.partition("/")
    meant = Rule.of(protocol, selector, ANY)
    assert numbers_of(meant) == numbers
    assert rule_of_numbers(protocol, *numbers, ANY) == meant


@pytest.mark.parametrize("protocol", ["esp", "all", "99"])
def test_a_protocol_without_ports_heeds_no_numbers(protocol: str) -> None:
    assert rule_of_numbers(protocol, 22, 22, ANY) == Rule.of(protocol, "", ANY)


@pytest.mark.parametrize(("first", "last"), [(0, 80), (90, 80), (1, 65536)])
def test_numbers_that_are_no_ports_are_refused(first: int, last: int) -> None:
    with pytest.raises(ValueError, match=r"port|range|selector"):
        rule_of_numbers("tcp", first, last, ANY)


def test_every_single_selector_has_its_numbers() -> None:
    wide = Rule("icmp", 3 * 256 + 4, 5 * 256 + 255, ANY)
    pieces = list(single_selectors(wide))
    assert {numbers_of(piece) for piece in pieces} >= {(3, 4), (3, 255), (4, None), (5, None)}
    assert [rule_of_numbers("icmp", *numbers_of(piece), ANY) for piece in pieces] == pieces


def test_networks_are_taken_one_by_one_as_they_are_written() -> None:
    rule = Rule.of("tcp", "80", ["10.0.0.0/9", "10.128.0.0/9", "2001:db8::/32"])
    written = [single.sources.written() for single in single_networks(rule)]
    assert written == [("10.0.0.0/9",), ("10.128.0.0/9",), ("2001:db8::/32",)]


def test_only_ports_of_other_protocols_are_beyond_a_vendor_with_two() -> None:
    wanted = rules("tcp/80", "esp", "icmp/8", "sctp/3868")
    assert beyond(wanted, WITHOUT_OTHER_PORTS) == rules("sctp/3868")
    assert not beyond(rules("all"), WITHOUT_OTHER_PORTS)


def test_what_is_left_of_everything_is_written_as_everything() -> None:
    spec = FirewallSpec("web", FirewallSettings(), Marker("shop", "web", "0123abcd"))
    target = Target(spec, rules("all from 203.0.113.0/24", "tcp/443"))
    there = VendorRule("1", rules("tcp/80 from 203.0.113.0/24"))
    spelling = spell((there,), target)
    assert sum(len(list(single_selectors(each.rule))) for each in spelling.writing) > 200
    written = [str(each.rule) for each in with_everything(spelling, target)]
    assert written == ["tcp/443 from 0.0.0.0/0, ::/0", "all from 203.0.113.0/24"]


def test_credentials_are_variables_and_files_below_home() -> None:
    assert credentials("TOKEN", "~/.aws/config") == (
        Credential("TOKEN"),
        Credential(file=".aws/config"),
    )
