"""Machines of a vendor whose firewalls are evaluated one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from cloudsync.planning.exposure import Filtered, evaluate
from cloudsync.provider.answers import NotUnderstood
from cloudsync.provider.contract import FirewallSpec
from cloudsync.provider.errors import (
    Forbidden,
    NotFound,
    ProviderError,
    RateLimited,
    Transient,
    Unsupported,
)
from cloudsync.provider.machines import ActingFirewall, Action, Fleet, StageRule
from cloudsync.provider.marker import Marker
from cloudsync.provider.ordered_fleet import (
    Layer,
    LayeredInterface,
    LayeredMachine,
    Layers,
    Party,
    fleet_of,
    read_or_said,
)
from cloudsync.provider.settings import FirewallSettings
from cloudsync.rules.networks import NOWHERE, NetworkSet
from tests.world import rules

SPARED = NetworkSet.of(["198.51.100.0/24"])
OURS = ActingFirewall("shop-web", "shop-web", of="web")
POLICY = ActingFirewall("7", "company", "policy")


def spec(name: str, *hosts: str) -> FirewallSpec:
    return FirewallSpec(name, FirewallSettings(), Marker("shop", name, "0123abcd"), hosts)


def rule(firewall: ActingFirewall, text: str, action: Action = Action.ALLOW) -> StageRule:
    return StageRule(firewall, rules(text), text, action)


def layers(
    first: Sequence[tuple[StageRule, Party]] = (), last: Sequence[tuple[StageRule, Party]] = ()
) -> Layers:
    return Layers((Layer("policies", first), Layer("rules", last)))


def machine(
    *interfaces: LayeredInterface, name: str = "web-1", acting: frozenset[str] = frozenset({"web"})
) -> LayeredMachine:
    return LayeredMachine("7", name, "instance", frozenset({"tag"}), acting, lambda: interfaces)


def interface(acts: Layers, *firewalls: ActingFirewall, name: str = "nic0") -> LayeredInterface:
    return LayeredInterface(name, ("203.0.113.7",), acts, firewalls)


def fleet(*machines: LayeredMachine, exist: Sequence[str] = ()) -> Fleet:
    return fleet_of(machines, [spec("web", "web-1")], exist, ("routes",), SPARED)


def test_a_machine_has_the_rules_that_name_it_and_those_for_everybody() -> None:
    tag, other = frozenset({"tag", "more"}), frozenset({"other"})
    acts = layers(
        [(rule(POLICY, "tcp/1"), frozenset()), (rule(POLICY, "tcp/2"), tag)],
        [(rule(OURS, "tcp/3"), other), (rule(OURS, "tcp/4"), tag)],
    )
    (observed,) = fleet(machine(interface(acts))).machines
    stages = observed.interfaces[0].stages
    assert [[each.text for each in stage.rules] for stage in stages] == [
        ["tcp/1", "tcp/2"],
        ["tcp/4"],
    ]
    verdict = evaluate(stages)
    assert isinstance(verdict, Filtered)
    assert verdict.rules == rules("tcp/1", "tcp/2", "tcp/4")


def test_a_layer_hands_on_what_it_does_not_match_and_the_last_one_denies_it() -> None:
    denied = rule(POLICY, "tcp/80", Action.DENY)
    acts = layers([(denied, frozenset())], [(rule(OURS, "tcp/80-81"), frozenset())])
    (observed,) = fleet(machine(interface(acts))).machines
    stages = observed.interfaces[0].stages
    assert [stage.otherwise for stage in stages] == [Action.NEXT, Action.DENY]
    verdict = evaluate(stages)
    assert isinstance(verdict, Filtered)
    assert verdict.rules == rules("tcp/81")


def test_where_no_layer_is_nothing_filters() -> None:
    (observed,) = fleet(machine(interface(Layers(())))).machines
    assert observed.interfaces[0].stages == ()


def test_a_firewall_acts_by_a_rule_in_effect_and_ours_without_rules_too() -> None:
    disabled = replace(rule(ActingFirewall("8", "off"), "tcp/1"), disabled=True)
    handing_on = rule(ActingFirewall("9", "on"), "tcp/1", Action.NEXT)
    acts = layers([(each, frozenset()) for each in (disabled, handing_on, rule(POLICY, "tcp/1"))])
    (observed,) = fleet(machine(interface(acts, OURS))).machines
    assert observed.interfaces[0].firewalls == (POLICY, OURS)


def test_only_machines_that_the_configuration_is_about_are_read() -> None:
    def never() -> Sequence[LayeredInterface]:
        raise AssertionError

    other = replace(machine(name="db-1", acting=frozenset()), interfaces=never)
    named = machine(interface(layers()), acting=frozenset())
    observed = fleet(other, named)
    assert [(each.name, each.concerns) for each in observed.machines] == [
        ("web-1", frozenset({"web"}))
    ]
    assert observed.not_evaluated == ("routes",)


def test_a_firewall_that_exists_and_acts_on_no_machine_is_said() -> None:
    assert fleet(machine(acting=frozenset()), exist=["web"]).unattached == {"web"}
    assert fleet(machine(), exist=["web"]).unattached == frozenset()
    assert fleet(machine(acting=frozenset())).unattached == frozenset(), "it does not exist"


def test_what_our_denials_spare_is_said_only_where_one_is_in_effect() -> None:
    def spared(by: StageRule) -> NetworkSet:
        (observed,) = fleet(machine(interface(layers([(by, frozenset())])))).machines
        return observed.spared

    ours = rule(OURS, "all", Action.DENY)
    assert spared(ours) == SPARED
    assert spared(replace(ours, disabled=True)) == NOWHERE
    assert spared(rule(OURS, "tcp/1")) == NOWHERE
    assert spared(rule(POLICY, "all", Action.DENY)) == NOWHERE


def test_what_is_unknown_is_said_by_interface_and_what_is_kept_once() -> None:
    layer = Layer("rules", kept=["tcp/1 from the tag db"], unknown=["a rule is strange"])
    acts = Layers((layer,), ("the policies could not be read",))
    (observed,) = fleet(machine(interface(acts), interface(acts, name="nic1"))).machines
    assert observed.unknown == (
        "nic0: the policies could not be read",
        "nic0: a rule is strange",
        "nic1: the policies could not be read",
        "nic1: a rule is strange",
    )
    assert observed.kept == ("tcp/1 from the tag db",)


@pytest.mark.parametrize("kind", [Forbidden, NotFound, Unsupported, NotUnderstood])
def test_what_the_vendor_refuses_for_good_is_said_and_ends_nothing(
    kind: type[ProviderError],
) -> None:
    def look() -> str:
        raise kind("no such policy")

    assert read_or_said("the policies on lan", look) == (
        None,
        ("the policies on lan could not be read, and may let in more: no such policy",),
    )
    assert read_or_said("the policies on lan", lambda: "two") == ("two", ())


@pytest.mark.parametrize("kind", [RateLimited, Transient])
def test_what_trying_again_may_read_is_an_error(kind: type[ProviderError]) -> None:
    def look() -> str:
        raise kind("later")

    with pytest.raises(kind):
        read_or_said("the policies on lan", look)
