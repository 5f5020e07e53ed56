"""Values of an engine that do not fit harm the container or the host they are about, never the run
(law 1). Whoever starts a container may write most of them: a real 20.10 takes `80/TCP`, `80/foo`
and `HostIp: fe80::1%eth0`."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cloudsync.planning.policy import desire
from cloudsync.sources.docker.answers import Unexpected
from cloudsync.sources.docker.containers import container_of, counts
from cloudsync.sources.docker.needs import needs_of
from cloudsync.sources.docker.swarm import cluster_of
from tests.unit.test_containers import NETWORKS, SCOPE, answer, codes, needs, ports
from tests.world import World


@pytest.mark.parametrize(
    "bound",
    [
        ("80/foo", "0.0.0.0", "8080"),
        ("80/143", "0.0.0.0", "8080"),
        ("80/icmp", "0.0.0.0", "8000"),
        ("80/all", "0.0.0.0", "8080"),
        ("0/tcp", "0.0.0.0", "8080"),
        ("65536/tcp", "0.0.0.0", "8080"),
        ("٨٠/tcp", "0.0.0.0", "8080"),
        ("80/tcp", "0.0.0.0", "70000"),
        ("80/tcp", "0.0.0.0", "9" * 5000),
        ("80/tcp", "0.0.0.0", "8080-8070"),
        ("80/tcp", "localhost", "8080"),
        ("80/tcp", "::%eth0", "8080"),
        ("80/tcp", "0.0.0.0.0", "8080"),
    ],
)
def test_what_is_bound_has_to_make_sense(bound: tuple[str, str, str]) -> None:
    with pytest.raises(Unexpected):
        container_of(answer(("80/tcp", "", "8080"), bound=(bound,)))


def test_a_protocol_is_the_same_in_capitals() -> None:
    found = needs(answer(("80/TCP", "", "8080"), bound=(("80/TCP", "0.0.0.0", "8080"),)))
    assert ports(found) == {("8080/tcp", "0.0.0.0", None)}


def test_the_zone_of_a_link_local_address_is_dropped() -> None:
    found = needs(answer(("80/tcp", "fe80::1%eth0", "8080")))
    assert ports(found) == {("8080/tcp", "fe80::1", None)}


STRANGE = [
    ("80/tcp", "localhost", "8080"),
    ("80/tcp", "fe80::1%eth0", "8080"),
    ("80/tcp", "127.0.0.01", "8080"),
]


@pytest.mark.parametrize("asked", STRANGE)
def test_what_was_asked_for_does_not_matter_while_something_is_bound(
    asked: tuple[str, str, str],
) -> None:
    """The engine binds every address when it does not understand one (seen on 20.10)."""
    found = needs(answer(asked, bound=(("80/tcp", "0.0.0.0", "8080"),)))
    assert ports(found) == {("8080/tcp", "0.0.0.0", None)}
    assert found.malformed == ()


@pytest.mark.parametrize("asked", STRANGE)
def test_a_crash_loop_with_an_address_that_is_none_is_held_by_name(
    asked: tuple[str, str, str],
) -> None:
    found = needs(answer(asked, state="restarting"))
    assert found.required == ()
    (bad,) = found.malformed
    assert bad.origin.container == "app"
    assert {port.first for port in bad.ports or ()} == {8080}


@pytest.mark.parametrize("asked", [("80/foo", "", "8080"), ("80/tcp", "", "70000")])
def test_a_crash_loop_with_a_port_that_is_none_is_held_by_name(asked: tuple[str, str, str]) -> None:
    found = needs(answer(("81/tcp", "", "8081"), asked, state="restarting"))
    assert found.required == ()
    assert {port.first for port in found.malformed[0].ports or ()} == {8081}


def test_ports_are_the_same_port_however_they_are_written() -> None:
    rows = (("80/tcp", "", "08080"), ("81/tcp", "", "8091-8091"))
    bound = (("80/tcp", "0.0.0.0", "8080"), ("81/tcp", "0.0.0.0", "8091"))
    assert {port for port, _, _ in ports(needs(answer(*rows, bound=bound)))} == {
        "8080/tcp",
        "8091/tcp",
    }


@pytest.mark.parametrize("image", ["../../info", "sha256:1\r\nHost: x", "x" * 1000, "a b", "é"])
def test_an_image_becomes_part_of_a_path_only_if_it_can(image: str) -> None:
    value = answer()
    value["Image"] = image
    with pytest.raises(Unexpected):
        container_of(value)


@pytest.mark.parametrize(
    "port",
    [
        {"Protocol": "foo", "TargetPort": 80, "PublishedPort": 8080},
        {"Protocol": "tcp", "TargetPort": 80, "PublishedPort": 99999},
        {"Protocol": "tcp", "TargetPort": True, "PublishedPort": 8080},
        {"Protocol": "tcp", "TargetPort": -1, "PublishedPort": 8080},
    ],
)
def test_a_services_port_has_to_be_one(port: dict[str, Any]) -> None:
    service = {"ID": "s", "Spec": {"Name": "s"}, "Endpoint": {"Ports": [port]}}
    with pytest.raises(Unexpected):
        cluster_of([service], [], [])


words = st.sampled_from(
    ["80/tcp", "80", "80/TCP", "80/foo", "x", "0/udp", "65536", "80/sctp", "443/icmp", "1/tcp/2"]
)
addresses = st.sampled_from(
    ["", "0.0.0.0", "::", "::1", "fe80::1%e", "::ffff:10.0.0.1", "localhost", "255.255.255.255"]
)
numbers = st.sampled_from(["", "0", "80", "70000", "9" * 400, "-1", "7-9", "9-7", "٨", " 80"])
tables = st.dictionaries(
    words,
    st.none() | st.lists(st.fixed_dictionaries({"HostIp": addresses, "HostPort": numbers})),
    max_size=4,
)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(tables, tables, st.sampled_from(["running", "restarting", "created"]))
def test_whatever_ports_an_engine_shows_the_run_goes_on(
    asked: dict[str, Any], bound: dict[str, Any], state: str
) -> None:
    value = answer(state=state, labels={"com.docker.compose.replace": "x"})
    value["HostConfig"]["PortBindings"] = asked
    value["NetworkSettings"]["Ports"] = bound
    try:
        container = container_of(value)
    except Unexpected:
        return
    if counts(container):
        for port in needs_of("web-1", container, NETWORKS, {}, SCOPE).required:
            assert port.protocol in ("tcp", "udp", "sctp")
            assert 1 <= port.first <= port.last <= 65535


def test_a_refused_port_keeps_its_number() -> None:
    assert codes(needs(answer(("80/tcp", "", "0"), bound=(("80/tcp", "::", "49153"),)))) == {
        ("49153", "random-port")
    }


def test_policy_judges_whatever_a_source_lets_through(world: World) -> None:
    found = needs(answer(("80/tcp", "fe80::1%eth0", "8080"), ("81/sctp", "", "8081")))
    from cloudsync.model.ports import Complete

    world.discoveries["web-1"] = Complete(found.required)
    verdict = desire(
        world.configuration.firewalls["web"],
        world.configuration,
        world.provider.capabilities,
        world.discoveries,
    )
    assert {one.code for one in verdict.refused} == {"private-address", "unexpressible"}
