"""A Swarm of one node on a real engine: what its services publish. (Ingress traffic needs IPVS, which is not asked for here.)"""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from cloudsync.networks import NetworkSet
from cloudsync.sources.discovery import Complete, LabelScope
from cloudsync.sources.engine import read_engine
from tests.engine.lab import Lab

pytestmark = pytest.mark.engine
SCOPE = LabelScope({}, frozenset())


class Swarm:
    def __init__(self, engine: Lab) -> None:
        self.engine = engine

    def service(self, name: str, *options: str) -> None:
        self.engine.docker(
            "service", "create", "-d", "--no-resolve-image", "--stop-grace-period", "0s", "--name", name, *options, "bb:1"
        )

    def read(self) -> Complete:
        found = read_engine("web-1", f"unix://{self.engine.socket}", SCOPE, timeout=10, concurrency=4)
        assert isinstance(found, Complete), found
        return found

    def runs(self, name: str) -> None:
        until = time.monotonic() + 30
        while not self.engine.docker("ps", "-q", "--filter", f"name={name}"):
            assert time.monotonic() < until, f"{name} never ran"


@pytest.fixture
def swarm(engine: Lab) -> Iterator[Swarm]:
    engine.docker("swarm", "init", "--advertise-addr", "127.0.0.1", "--listen-addr", "127.0.0.1:2377")
    yield Swarm(engine)
    if services := engine.docker("service", "ls", "-q").split():
        engine.docker("service", "rm", *services)
    engine.docker("swarm", "leave", "--force")


def ports(found: Complete) -> set[tuple[str, int, str]]:
    return {(port.protocol, port.first, str(port.address)) for port in found.required}


def test_ingress_ports_of_services_are_required_on_ipv4_also_without_a_task(swarm: Swarm) -> None:
    swarm.service("web", "--publish", "published=8888,target=80", "-l", "cloudsync.sources=203.0.113.0/24")
    swarm.service("zero", "--replicas", "0", "--publish", "published=8890,target=53,protocol=udp")
    swarm.service("quiet", "--endpoint-mode", "dnsrr")
    found = swarm.read()
    assert ports(found) == {("tcp", 8888, "0.0.0.0"), ("udp", 8890, "0.0.0.0")}
    assert {port.sources for port in found.required if port.first == 8888} == {NetworkSet.of(["203.0.113.0/24"])}
    assert {port.origin.container for port in found.required} == {"web", "zero"}


def test_a_port_that_swarm_picked_is_refused(swarm: Swarm) -> None:
    swarm.service("picked", "--publish", "80")
    swarm.service("picked-host", "--publish", "target=80,mode=host")
    swarm.runs("picked-host")
    found = swarm.read()
    assert found.required == ()
    assert {(one.origin.container, one.code) for one in found.unopened} == {
        ("picked", "random-port"),
        ("picked-host", "random-port"),
    }


def test_a_host_mode_port_comes_with_its_task_and_the_labels_of_the_service_are_its_own(swarm: Swarm) -> None:
    swarm.service("node", "--publish", "published=8889,target=80,mode=host", "-l", "cloudsync.sources=203.0.113.0/24")
    swarm.service("hidden", "--publish", "published=8892,target=80,mode=host", "-l", "cloudsync.expose=false")
    swarm.runs("node")
    swarm.runs("hidden")
    found = swarm.read()
    assert {port.first for port in found.required} == {8889}
    assert {port.sources for port in found.required} == {NetworkSet.of(["203.0.113.0/24"])}
    assert {(one.ports, one.code) for one in found.unopened} == {("8892", "labelled-out")}
    assert {port.origin.container for port in found.required} == {"node"}


def test_a_service_that_crashes_keeps_its_host_mode_port_between_its_tasks(swarm: Swarm) -> None:
    swarm.service("crash", "--publish", "published=8891,target=80,mode=host", "--restart-delay", "60s", "--entrypoint", "true")
    until = time.monotonic() + 30
    while "Ready" not in swarm.engine.docker("service", "ps", "crash", "--format", "{{.DesiredState}}"):
        assert time.monotonic() < until, "the task never waited for its restart"
    assert swarm.engine.docker("ps", "-q") == ""
    assert ports(swarm.read()) == {("tcp", 8891, "0.0.0.0")}


def test_control_ports_are_nobodys_requirement(swarm: Swarm) -> None:
    swarm.service("web", "--publish", "published=8888,target=80")
    assert not {port.first for port in swarm.read().required} & {2377, 7946, 4789}
