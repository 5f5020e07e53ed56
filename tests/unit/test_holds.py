"""The truth table of what stays open alalthough nothing requires it."""

from __future__ import annotations

from cloudsync.model.ports import Complete, Malformed, Origin
from cloudsync.planning.holds import Holding, hold
from cloudsync.planning.policy import desire
from cloudsync.provider.contract import Present
from cloudsync.rules import NOTHING, Rule
from cloudsync.rules.networks import NetworkSet
from tests.world import World, both, ports, rules


def holding(
    world: World,
    *observed: str,
    unknown: dict[str, str] | None = None,
    listed: tuple[Rule, ...] = (),
) -> Holding:
    desired = desire(
        world.configuration.firewalls["web"],
        world.configuration,
        world.provider.capabilities,
        world.discoveries,
    )
    present = Present("1", rules("tcp/22", *observed), None, listed=listed)
    return hold(present, desired, world.configuration.policy, unknown or {})


def test_what_nobody_wants_closes(world: World) -> None:
    assert holding(world, "tcp/8080").closing == rules("tcp/8080")


def test_only_the_part_that_nobody_wants_closes(world: World) -> None:
    world.needs("8001")
    found = holding(world, "tcp/8000-8002")
    assert found.closing == rules("tcp/8000", "tcp/8002")
    assert found.final == rules("tcp/22", "tcp/8001")


def test_nothing_closes_while_a_host_is_unknown(world: World) -> None:
    found = holding(world, "tcp/8080", "esp", unknown={"web-1": "down"})
    assert found.closing == NOTHING
    assert {held.reason for held in found.held} == {"unknown-host"}
    assert "down" in found.held[0].detail


def test_a_denied_port_closes_even_while_a_host_is_unknown(world: World) -> None:
    world.policy(deny=ports("8080"))
    assert holding(world, "tcp/8079-8081", unknown={"web-1": "down"}).closing == rules("tcp/8080")


def test_additive_mode_closes_nothing_not_even_denied_ports(world: World) -> None:
    world.policy(mode="additive", deny=ports("8080"))
    found = holding(world, "tcp/8080", "tcp/9000")
    assert found.closing == NOTHING
    assert {held.reason for held in found.held} == {"additive"}


def test_observed_icmp_stays_by_default_and_closes_when_told(world: World) -> None:
    assert holding(world, "icmp").kept == ('icmp from 0.0.0.0/0, ::/0 (policy.icmp = "keep")',)
    world.policy(icmp="none")
    assert holding(world, "icmp").closing == rules("icmp")


def test_a_rule_from_private_networks_stays_and_is_listed(world: World) -> None:
    found = holding(world, "tcp/9100 from 10.0.0.0/8,fd00::/8")
    assert found.closing == NOTHING
    assert len(found.kept) == 1


def test_a_private_rule_closes_when_private_networks_are_managed(world: World) -> None:
    world.policy(private="manage")
    assert holding(world, "tcp/9100 from 10.0.0.0/8").closing == rules("tcp/9100 from 10.0.0.0/8")


def test_a_rule_that_is_only_partly_private_closes_whole(world: World) -> None:
    assert holding(world, "tcp/9100 from 10.0.0.0/8,203.0.113.0/24").closing == rules(
        "tcp/9100 from 10.0.0.0/8,203.0.113.0/24"
    )


def test_a_private_rule_beside_a_wide_one_stays_when_the_wide_one_closes(world: World) -> None:
    listed = (
        Rule.of("tcp", "9100", NetworkSet.of(["10.0.0.0/8"])),
        Rule.of("tcp", "9100", NetworkSet.of(["any"])),
    )
    found = holding(world, "tcp/9100", listed=listed)
    assert found.final == rules("tcp/22", "tcp/9100 from 10.0.0.0/8")


def test_open_ports_of_a_container_with_malformed_labels_stay(world: World) -> None:
    world.discoveries["web-1"] = Complete(
        malformed=(Malformed(Origin("web-1"), "bad", both("8080")),)
    )
    found = holding(world, "tcp/8080", "tcp/9000")
    assert found.closing == rules("tcp/9000")
    assert [held.reason for held in found.held] == ["malformed-label"]


def test_nothing_closes_while_a_host_network_container_has_malformed_labels(world: World) -> None:
    world.discoveries["web-1"] = Complete(malformed=(Malformed(Origin("web-1"), "bad", None),))
    assert holding(world, "tcp/8080").closing == NOTHING


def test_final_is_what_was_observed_without_what_closes_and_with_what_is_wanted(
    world: World,
) -> None:
    world.needs("443")
    found = holding(world, "tcp/8080", "icmp", "tcp/9100 from 10.0.0.0/8")
    assert found.final == rules("tcp/22", "tcp/443", "icmp", "tcp/9100 from 10.0.0.0/8")
