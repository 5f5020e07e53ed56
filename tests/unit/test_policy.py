"""Which required ports are opened, and why the others are not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cloudsync.model.ports import (
    Complete,
    Failed,
    Malformed,
    Origin,
    UnopenedPort,
)
from cloudsync.planning.policy import Desired, desire, unassigned
from cloudsync.rules import NOTHING, Rule, RuleSet
from cloudsync.rules.networks import ANY4, NetworkSet
from tests.world import World, both, ports, required, rules


def judged(world: World) -> Desired:
    return desire(
        world.configuration.firewalls["web"],
        world.configuration,
        world.provider.capabilities,
        world.discoveries,
    )


def opened(world: World) -> RuleSet:
    return judged(world).rules - world.configuration.ssh.rules


def codes(world: World) -> list[tuple[str, str]]:
    return [(f"{one.protocol}/{one.ports}", one.code) for one in judged(world).refused]


def test_ssh_is_wanted_whatever_the_hosts_say(world: World) -> None:
    world.discoveries["web-1"] = Failed("down")
    assert judged(world).rules == rules("tcp/22")


def test_a_published_port_is_opened_to_the_families_it_is_published_on(world: World) -> None:
    world.discoveries["web-1"] = Complete(
        (required("443", address="0.0.0.0"), required("8443", address="::"))
    )
    assert opened(world) == rules("tcp/443 from 0.0.0.0/0", "tcp/8443 from ::/0")


def test_labelled_mode_opens_only_what_a_label_asks_for(world: World) -> None:
    world.policy(expose="labelled")
    world.discoveries["web-1"] = Complete((*both("443", asked=True), *both("80")))
    assert opened(world) == rules("tcp/443")
    assert codes(world) == [("tcp/80", "not-labelled")]


def test_a_port_labelled_for_another_firewall_is_not_opened_here(world: World) -> None:
    world.discoveries["web-1"] = Complete((*both("443", firewalls=frozenset({"other"})),))
    assert opened(world) == NOTHING


def test_a_denied_port_is_refused_and_cut_out_of_a_range(world: World) -> None:
    world.policy(deny=ports("8003"))
    world.needs("8000-8005")
    assert opened(world) == rules("tcp/8000-8002", "tcp/8004-8005")
    assert codes(world) == [("tcp/8003", "denied")]


def test_deny_also_refuses_what_the_configuration_itself_declares(world: World) -> None:
    world.policy(deny=ports("8080"))
    world.allow("tcp/8080", "tcp/8081")
    assert opened(world) == rules("tcp/8081")


def test_deny_never_touches_ssh(world: World) -> None:
    world.policy(deny=ports("22"))
    assert judged(world).rules == rules("tcp/22")
    assert judged(world).denied == NOTHING


@pytest.mark.parametrize("text", ["5432/tcp", "2375/tcp", "11211/udp", "27018/tcp"])
def test_a_sensitive_port_is_not_opened_to_the_world(world: World, text: str) -> None:
    world.needs(text)
    assert opened(world) == NOTHING
    assert [code for _, code in codes(world)] == ["sensitive"]


def test_a_sensitive_container_port_behind_another_host_port_is_refused(world: World) -> None:
    world.needs("15000", behind=5432)
    assert codes(world) == [("tcp/15000", "sensitive")]


def test_only_the_sensitive_ports_of_a_range_are_cut(world: World) -> None:
    world.needs("5430-5434")
    assert opened(world) == rules("tcp/5430-5431", "tcp/5433-5434")
    assert codes(world) == [("tcp/5432", "sensitive")]


def test_a_sensitive_port_is_opened_to_a_narrow_source(world: World) -> None:
    world.discoveries["web-1"] = Complete((required("5432", sources=["203.0.113.0/24"]),))
    assert opened(world) == rules("tcp/5432 from 203.0.113.0/24")


def test_two_halves_of_the_internet_are_the_world(world: World) -> None:
    world.discoveries["web-1"] = Complete((required("5432", sources=["0.0.0.0/1", "128.0.0.0/1"]),))
    assert opened(world) == NOTHING


@pytest.mark.parametrize(("sources", "is_open"), [("10.0.0.0/8", True), ("10.0.0.0/7", False)])
def test_a_network_shorter_than_8_is_the_world(world: World, sources: str, is_open: bool) -> None:
    world.discoveries["web-1"] = Complete((required("5432", sources=[sources]),))
    assert bool(opened(world)) is is_open


@pytest.mark.parametrize(
    ("sources", "is_open"),
    [
        (["10.0.0.0/8", "11.0.0.0/32"], False),
        ([f"{n}.0.0.0/8" for n in range(0, 256, 2)], False),
        ([f"11.{n}.0.0/16" for n in range(256)], True),
        (["2001::/20"], True),
        (["2001::/20", "2002::/128"], False),
        (["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"], True),
    ],
    ids=["one more", "every second", "a whole one", "a whole six", "one more six", "private"],
)
def test_the_world_is_counted_in_addresses(world: World, sources: list[str], is_open: bool) -> None:
    address = "::" if ":" in sources[0] else "0.0.0.0"
    world.discoveries["web-1"] = Complete((required("5432", sources=sources, address=address),))
    assert bool(opened(world)) is is_open


EVEN = [f"{n}.0.0.0/8" for n in range(0, 256, 2)]
ODD = [f"{n}.0.0.0/8" for n in range(1, 256, 2)]


@pytest.mark.parametrize("other", ["web-1", "web-2"])
def test_a_sensitive_port_is_judged_by_all_who_ask_for_it(world: World, other: str) -> None:
    """Neither of them is the world; both together are."""
    world.firewall(hosts=("web-1", "web-2"))
    halves = [
        required("2375", sources=EVEN, container="a"),
        required("2375", sources=ODD, container="b", host=other),
    ]
    world.discoveries["web-1"] = Complete(tuple(p for p in halves if p.origin.host == "web-1"))
    world.discoveries["web-2"] = Complete(tuple(p for p in halves if p.origin.host == "web-2"))
    assert opened(world) == NOTHING
    assert {code for _, code in codes(world)} == {"sensitive"}


def test_what_the_configuration_opens_counts_among_all_who_ask(world: World) -> None:
    world.allow("tcp/6379 from 11.0.0.0/8")
    world.discoveries["web-1"] = Complete((required("6379", sources=["12.0.0.0/8"]),))
    assert opened(world) == rules("tcp/6379 from 11.0.0.0/8")


def test_a_container_that_asks_for_what_the_configuration_opens_is_not_refused(
    world: World,
) -> None:
    world.allow("tcp/6379")
    world.discoveries["web-1"] = Complete((required("6379", sources=["12.0.0.0/8"]),))
    assert codes(world) == []


def test_another_port_behind_the_same_number_does_not_close_a_web_server(world: World) -> None:
    """A container on one host that hides a database behind 443 costs nobody else their 443."""
    world.firewall(hosts=("web-1", "web-2"))
    world.discoveries["web-1"] = Complete(both("443", container="web"))
    world.discoveries["web-2"] = Complete(
        (required("443", behind=5432, sources=["203.0.113.0/24"], host="web-2", container="db"),)
    )
    assert opened(world) == rules("tcp/443")
    assert [
        (c, o.container) for r in judged(world).refused for c, o in [(r.code, r.origins[0])]
    ] == [("sensitive", "db")]


def test_an_image_does_not_lift_a_refusal_by_narrowing(world: World) -> None:
    """`LABEL cloudsync.sources=198.51.100.7/32` on an image whose port is published to the
    world."""
    world.discoveries["web-1"] = Complete(
        (required("5432", sources=["198.51.100.7/32"]),),
        narrowed=(replace(required("5432"), sources=ANY4 - NetworkSet.of(["198.51.100.7/32"])),),
    )
    assert opened(world) == NOTHING


def test_what_an_image_takes_away_from_one_makes_no_room_for_another(world: World) -> None:
    half = [f"11.{n}.0.0/16" for n in range(200)]
    other = [f"12.{n}.0.0/16" for n in range(100)]
    world.discoveries["web-1"] = Complete(
        (required("2375", sources=other, container="b"),),
        narrowed=(required("2375", sources=half, container="a"),),
    )
    assert opened(world) == NOTHING


def test_thousands_of_ports_cost_one_decision_a_container(world: World) -> None:
    """32,000 ports of one container took 18 seconds; a group is judged as a whole."""
    published = tuple(port for n in range(1, 8001, 2) for port in both(str(n)))
    world.discoveries["web-1"] = Complete(published)
    verdict = judged(world)
    assert len([w for w in verdict.wanted if w.origins]) == 2, "one for each address"
    assert len(tuple(verdict.rules)) > 3900


def test_allow_sensitive_names_the_host_port(world: World) -> None:
    world.policy(allow_sensitive=ports("15000"))
    world.discoveries["web-1"] = Complete((*both("15000", behind=5432), *both("5432")))
    assert opened(world) == rules("tcp/15000")
    assert codes(world) == [("tcp/5432", "sensitive")]


def test_a_declared_sensitive_port_is_opened_with_a_warning(world: World) -> None:
    world.discoveries["web-1"] = Complete((required("5432", address=None, declared=True),))
    assert opened(world) == rules("tcp/5432")
    assert any("5432" in text for text in judged(world).warnings)


def test_an_admin_port_is_opened_and_remarked_on(world: World) -> None:
    world.needs("9000")
    assert opened(world) == rules("tcp/9000")
    assert any("9000" in text for text in judged(world).warnings)


@pytest.mark.parametrize(
    "address", ["10.1.2.3", "192.168.1.1", "fd00::1", "100.64.0.1", "169.254.1.1", "fe80::1"]
)
def test_a_port_on_an_address_the_internet_does_not_reach_is_refused(
    world: World, address: str
) -> None:
    world.discoveries["web-1"] = Complete((required("443", address=address),))
    assert codes(world) == [("tcp/443", "private-address")]


def test_a_private_address_is_public_where_the_provider_maps_it(world: World) -> None:
    world.provider.capabilities = replace(world.provider.capabilities, private_is_public=True)
    world.discoveries["web-1"] = Complete(
        (required("443", address="10.1.2.3"), required("444", address="100.64.0.1"))
    )
    assert opened(world) == rules("tcp/443 from 0.0.0.0/0")


@pytest.mark.parametrize("address", ["198.51.100.10", "203.0.113.9", "2001:db8::10", "8.8.8.8"])
def test_documentation_addresses_count_as_public(world: World, address: str) -> None:
    world.discoveries["web-1"] = Complete((required("443", address=address),))
    assert opened(world)


def test_a_loopback_port_is_never_opened(world: World) -> None:
    world.discoveries["web-1"] = Complete(
        (required("443", address="127.0.0.2"), required("444", address="::1"))
    )
    assert opened(world) == NOTHING


def test_what_the_provider_cannot_express_is_refused_by_name(world: World) -> None:
    world.allow("sctp/3868", "tcp/443", "icmp/8")
    assert opened(world) == rules("tcp/443")
    assert sorted(codes(world)) == [("icmp/8", "unexpressible"), ("sctp/3868", "unexpressible")]


def test_ping_is_refused_where_single_icmp_types_cannot_be_expressed(world: World) -> None:
    world.policy(icmp="echo")
    assert sorted(codes(world)) == [("icmp/8", "unexpressible"), ("icmpv6/128", "unexpressible")]


def test_all_icmp_can_be_asked_for(world: World) -> None:
    world.policy(icmp="all")
    assert opened(world) == rules("icmp from any4", "icmpv6 from any6")


def test_a_malformed_container_adds_nothing_and_is_named(world: World) -> None:
    origin = Origin("web-1", container="bad")
    world.discoveries["web-1"] = Complete(
        malformed=(Malformed(origin, "cloudsync.exposed: unknown label", both("8080")),)
    )
    assert opened(world) == NOTHING
    assert judged(world).doubtful == rules("tcp/8080")
    assert codes(world) == [("tcp/8080", "malformed")]


def test_nobody_knows_what_a_malformed_host_network_container_needs(world: World) -> None:
    world.discoveries["web-1"] = Complete(malformed=(Malformed(Origin("web-1"), "bad", None),))
    assert judged(world).doubtful is None


def test_what_the_source_could_not_open_is_listed(world: World) -> None:
    world.discoveries["web-1"] = Complete(
        unopened=(UnopenedPort("tcp", "49153", Origin("web-1"), "random-port", "picked"),)
    )
    assert codes(world) == [("tcp/49153", "random-port")]


def test_one_published_port_is_refused_once_for_both_families(world: World) -> None:
    world.needs("5432")
    (only,) = judged(world).refused
    assert only.sources == ("0.0.0.0/0", "::/0")


def test_every_part_of_every_required_port_ends_as_opened_or_refused(world: World) -> None:
    world.policy(deny=ports("8003"), allow_sensitive=ports("9100"))
    world.discoveries["web-1"] = Complete(
        (*both("8000-9300"), required("5432", address="10.0.0.1"), required("22"))
    )
    verdict = judged(world)
    asked = RuleSet.of(
        Rule(p.protocol, p.first, p.last, p.sources) for p in world.discoveries["web-1"].required
    )  # type: ignore[union-attr]
    refused = RuleSet.of(
        Rule.of(r.protocol, r.ports, NetworkSet.of(r.sources)) for r in verdict.refused
    )
    assert (verdict.rules | refused).covers(asked)


def test_ports_of_a_host_that_feeds_no_firewall_are_unassigned(world: World) -> None:
    world.discoveries["stray"] = Complete(both("443", host="stray"))
    (only,) = unassigned(world.configuration, world.discoveries)
    assert (only.ports, only.code) == ("443", "unassigned")
