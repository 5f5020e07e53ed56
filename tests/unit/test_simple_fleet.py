"""Firewalls and machines of a vendor whose firewalls only allow."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cloudsync.provider.contract import FirewallSpec
from cloudsync.provider.errors import NotFound, ProviderError, Unsupported
from cloudsync.provider.marker import Marker
from cloudsync.provider.settings import FirewallSettings
from cloudsync.provider.simple_fleet import (
    Acts,
    ListedFirewall,
    ListedInterface,
    ListedMachine,
    fleet_of,
    missing_from,
    named,
)
from cloudsync.rules import NOTHING, RuleSet
from cloudsync.testing.language import meant

SSH = meant("tcp/22 from 203.0.113.0/24")
WEB = ListedFirewall("7", "web", "web", None, kind="group", names_repeat=True)
FAR = "203.0.113.9"
SPEC = FirewallSpec("web", FirewallSettings(), Marker("shop", "web", "c4719afa"))


def lets_in(rule: str) -> RuleSet | ProviderError | None:
    """What the rules of these tests let in, by their names."""
    if rule == "odd":
        raise Unsupported("a rule that is odd")
    known: dict[str, RuleSet | ProviderError | None] = {
        "ssh": SSH,
        "nothing": NOTHING,
        "by a tag": None,
        "by a list": NotFound("there is no list 3"),
    }
    return known[rule]


def test_rules_are_known_kept_or_unknown_each_once() -> None:
    rules = ["ssh", "nothing", "by a tag", "by a tag", "by a list", "odd", "odd"]
    firewall = WEB.letting(rules, lets_in, str)
    assert firewall.rules == ((SSH, "ssh"),)
    assert firewall.kept == ("by a tag",)
    assert firewall.unknown == (
        "the rule by a list, whose list could not be read: there is no list 3",
        "a rule that is odd",
    )


def test_what_is_known_to_be_kept_already_stays_as_it_is() -> None:
    firewall = replace(WEB, kept=("by a tag", "by a tag"), unknown=("one",))
    firewall = firewall.letting(["by a tag", "odd"], lets_in, str)
    assert firewall.kept == ("by a tag", "by a tag", "by a tag")
    assert firewall.unknown == ("one", "a rule that is odd")


@pytest.mark.parametrize(
    ("interface", "protected"),
    [
        (ListedInterface("eth0", (FAR,), {}), False),
        (ListedInterface("eth0", (FAR,), {}, closed=True), True),
        (ListedInterface("eth0", (FAR,), {"7": Acts()}), True),
    ],
    ids=["open", "closed", "under a firewall"],
)
def test_an_interface_without_a_firewall_is_open_unless_the_vendor_closes_it(
    interface: ListedInterface, protected: bool
) -> None:
    machine = ListedMachine.of_interfaces("1", "web-1", "server", [interface])
    assert machine.machine.protected == protected
    fleet = fleet_of({"7": WEB}, [machine], [SPEC], {"web": ["web-1"]}, "there is no server", ())
    (listed,) = fleet.machines[0].interfaces
    assert bool(listed.stages) == protected


def test_sentences_about_a_firewall_say_its_id_if_names_repeat() -> None:
    firewall = WEB.letting(["odd"], lets_in, str)
    interface = ListedInterface("eth0", (FAR,), {"7": Acts()})
    machine = ListedMachine.of_interfaces("1", "web-1", "server", [interface])
    fleet = fleet_of({"7": firewall}, [machine], [SPEC], {}, "there is no server", ())
    assert fleet.machines[0].unknown == ('the group "web" (7) has a rule that is odd',)


def test_what_is_named_is_found_by_name_before_id() -> None:
    first = ListedMachine("1", "2", "server", frozenset(), ())
    second = ListedMachine("2", "web", "server", frozenset(), ())
    assert named([first, second], "2", "there is no server") is first
    assert named([second], 2, "there is no server") is second
    with pytest.raises(Unsupported, match="several servers are named 'web'; give the id"):
        named([second, second], "web", "there is no server")
    assert list(missing_from([first, second], {"shop": ["web", "db"]}, "there is no server")) == [
        "there is no server 'db', which the firewall shop names"
    ]
