"""A Swarm of one node on a real engine: what its services publish. (Ingress traffic needs IPVS,
which is not asked for here.)"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from cloudsync.config.configuration import Host
from cloudsync.model.ports import (
    Complete,
    Discovery,
    LabelScope,
    Partial,
)
from cloudsync.rules.networks import NetworkSet
from cloudsync.sources.docker.engine import read_engine
from cloudsync.sources.read_hosts import read_hosts
from tests.engine.lab import Lab
from tests.engines.kinds import Kind
from tests.world import PLACE, build

pytestmark = pytest.mark.engine
SCOPE = LabelScope({}, frozenset())


class Swarm:
    def __init__(self, engine: Lab) -> None:
        self.engine = engine

    def service(self, name: str, *options: str) -> None:
        self.engine.docker(
            "service",
            "create",
            "-d",
            "--no-resolve-image",
            "--stop-grace-period",
            "0s",
            "--name",
            name,
            *options,
            "bb:1",
        )

    def read(self) -> Complete:
        found = read_engine(
            "web-1", f"unix://{self.engine.socket}", SCOPE, timeout=30, concurrency=4
        )
        assert isinstance(found, Complete), found
        return found

    def runs(self, name: str) -> None:
        until = time.monotonic() + 30
        while not self.engine.docker("ps", "-q", "--filter", f"name={name}"):
            assert time.monotonic() < until, f"{name} never ran"


@pytest.fixture
def swarm(engine: Lab) -> Iterator[Swarm]:
    engine.docker(
        "swarm", "init", "--advertise-addr", "127.0.0.1", "--listen-addr", "127.0.0.1:2377"
    )
    yield Swarm(engine)
    if services := engine.docker("service", "ls", "-q").split():
        engine.docker("service", "rm", *services)
    engine.docker("swarm", "leave", "--force")


def ports(found: Complete) -> set[tuple[str, int, str]]:
    return {(port.protocol, port.first, str(port.address)) for port in found.required}


def test_ingress_ports_of_services_are_required_on_ipv4_also_without_a_task(swarm: Swarm) -> None:
    swarm.service(
        "web", "--publish", "published=8888,target=80", "-l", "cloudsync.sources=203.0.113.0/24"
    )
    swarm.service("zero", "--replicas", "0", "--publish", "published=8890,target=53,protocol=udp")
    swarm.service("quiet", "--endpoint-mode", "dnsrr")
    found = swarm.read()
    assert ports(found) == {("tcp", 8888, "0.0.0.0"), ("udp", 8890, "0.0.0.0")}
    assert {port.sources for port in found.required if port.first == 8888} == {
        NetworkSet.of(["203.0.113.0/24"])
    }
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


def test_a_host_mode_port_comes_with_its_task_and_the_labels_of_the_service_are_its_own(
    swarm: Swarm,
) -> None:
    swarm.service(
        "node",
        "--publish",
        "published=8889,target=80,mode=host",
        "-l",
        "cloudsync.sources=203.0.113.0/24",
    )
    swarm.service(
        "hidden", "--publish", "published=8892,target=80,mode=host", "-l", "cloudsync.expose=false"
    )
    swarm.runs("node")
    swarm.runs("hidden")
    found = swarm.read()
    assert {port.first for port in found.required} == {8889}
    assert {port.sources for port in found.required} == {NetworkSet.of(["203.0.113.0/24"])}
    assert {(one.ports, one.code) for one in found.unopened} == {("8892", "labelled-out")}
    assert {port.origin.container for port in found.required} == {"node"}


def test_a_service_that_crashes_keeps_its_host_mode_port_between_its_tasks(swarm: Swarm) -> None:
    swarm.service(
        "crash",
        "--publish",
        "published=8891,target=80,mode=host",
        "--restart-delay",
        "60s",
        "--entrypoint",
        "true",
    )
    until = time.monotonic() + 30
    while "Ready on a node" not in swarm.engine.docker(
        "service", "ps", "crash", "--format", "{{.DesiredState}}{{if .Node}} on a node{{end}}"
    ):
        assert time.monotonic() < until, "the task never waited for its restart"
    assert swarm.engine.docker("ps", "-q") == ""
    assert ports(swarm.read()) == {("tcp", 8891, "0.0.0.0")}


def test_control_ports_are_nobodys_requirement(swarm: Swarm) -> None:
    swarm.service("web", "--publish", "published=8888,target=80")
    assert not {port.first for port in swarm.read().required} & {2377, 7946, 4789}


@pytest.fixture
def worker(engine: Lab, docker_kind: Kind) -> Iterator[Lab]:
    """A second engine that joined the first one's Swarm, over a cable between their networks."""
    with engine.another() as other:
        cable = [
            "ip",
            "link",
            "add",
            "cable",
            "netns",
            engine.namespace,
            "type",
            "veth",
            "peer",
            "name",
            "cable",
            "netns",
            other.namespace,
        ]
        subprocess.run(cable, check=True)
        for number, lab in enumerate((engine, other), 1):
            subprocess.run(
                [
                    "ip",
                    "-n",
                    lab.namespace,
                    "addr",
                    "add",
                    f"198.51.100.{number}/24",
                    "dev",
                    "cable",
                ],
                check=True,
            )
            subprocess.run(["ip", "-n", lab.namespace, "link", "set", "cable", "up"], check=True)
        engine.docker("swarm", "init", "--advertise-addr", "198.51.100.1")
        token = engine.docker("swarm", "join-token", "-q", "worker")
        join = ("swarm", "join", "--token", token, "--advertise-addr", "198.51.100.2")
        if docker_kind.rootless:
            with pytest.raises(subprocess.CalledProcessError):
                other.docker(*join, "198.51.100.1:2377")
            engine.docker("swarm", "leave", "--force")
            pytest.skip(
                "cannot be: a user's Docker listens for other nodes in its own network only"
            )
        other.docker(*join, "198.51.100.1:2377")
        yield other
        if services := engine.docker("service", "ls", "-q").split():
            engine.docker("service", "rm", *services)
        other.docker("swarm", "leave", "--force")
        engine.docker("swarm", "leave", "--force")


def read(folder: Path, **engines: Lab) -> Mapping[str, Discovery]:
    configuration = build(folder).configuration
    hosts = {
        name: Host(name, (f"unix://{lab.socket}",), (), retired=False, place=PLACE)
        for name, lab in engines.items()
    }
    return read_hosts(replace(configuration, hosts=hosts), sorted(hosts))


def test_a_worker_is_known_completely_only_together_with_a_manager_of_its_swarm(
    engine: Lab, worker: Lab, tmp_path: Path
) -> None:
    swarm = Swarm(engine)
    swarm.service(
        "web", "--publish", "published=8888,target=80", "--constraint", "node.role==manager"
    )
    swarm.service(
        "node",
        "--publish",
        "published=8889,target=80,mode=host",
        "--constraint",
        "node.role==worker",
        "-l",
        "cloudsync.sources=203.0.113.0/24",
    )
    until = time.monotonic() + 30
    while not worker.docker("ps", "-q", "--filter", "name=node"):
        assert time.monotonic() < until, "the task never ran on the worker"
    worker.run("plain", "-p", "8080:80")

    alone = read(tmp_path, worker=worker)["worker"]
    assert isinstance(alone, Partial)
    assert {port.first for port in alone.required} == {8080}
    assert {(one.ports, one.code) for one in alone.unopened} == {("8889", "service-unknown")}

    together = read(tmp_path, manager=engine, worker=worker)
    there, here = together["worker"], together["manager"]
    assert isinstance(there, Complete)
    assert isinstance(here, Complete)
    assert {port.first for port in there.required} == {8080, 8888, 8889}
    assert {port.first for port in here.required} == {8888}
    assert {port.sources for port in there.required if port.first == 8889} == {
        NetworkSet.of(["203.0.113.0/24"])
    }
    assert any("198.51.100.2" in remark for remark in here.remarks)
