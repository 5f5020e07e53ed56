"""What is derived from a recorded engine's answers, against what could really be reached there from
outside."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cloudsync.model.ports import LabelScope
from cloudsync.sources.docker.containers import container_of, counts
from cloudsync.sources.docker.needs import needs_of
from cloudsync.sources.docker.networks import networks_of
from cloudsync.sources.docker.podman import kind_of
from cloudsync.sources.docker.swarm import (
    SERVICE_LABEL,
    cluster_of,
    containers_of,
    membership_of,
)

FIXTURES = Path(__file__).parent / "fixtures" / "docker"
SCOPE = LabelScope({}, frozenset())
SAMPLES = ("engine-20.10", "engine-20.10-ipv6", "podman-4.3")

# Every container whose required ports are not exactly what answered, by name, with the reason.
OPEN_BUT_NOT_REQUIRED = {
    "engine-20.10": {
        "publish-all": "the engine picked the port: refused",
        "random-port": "the engine picked the port: refused",
        "range-pick": "the engine picked one port of the range: refused",
        "host-network": "answers without being published: only a label can ask",
        "host-network-p": "answers without being published: only a label can ask",
        "host-network-expose": "answers without being published: only a label can ask",
    },
    "podman-4.3": {
        "host-network": "answers without being published: only a label can ask",
        "host-network-p": "answers without being published: only a label can ask",
        "host-network-expose": "answers without being published: only a label can ask",
        "shares-tcp": (
            "answers by the port of the container whose network it shares, and is required there"
        ),
        "in-pod": "answers by the port of its pod, and is required of the infra container",
    },
}
OPEN_BUT_NOT_REQUIRED["engine-20.10-ipv6"] = OPEN_BUT_NOT_REQUIRED["engine-20.10"]
REQUIRED_BUT_NOT_OPEN = {
    "engine-20.10": {
        "restarting": "a crash loop keeps its ports",
        "paused": "a paused container keeps its ports",
    },
    "podman-4.3": {
        "restarting": (
            "a crash loop keeps its ports (Podman calls it stopped, with a restart policy)"
        ),
        "paused": "a paused container keeps its ports",
        "sctp": "could not be probed: the prober had no SCTP",
    },
}
REQUIRED_BUT_NOT_OPEN["engine-20.10-ipv6"] = REQUIRED_BUT_NOT_OPEN["engine-20.10"]

Ports = dict[str, set[tuple[str, int, int]]]


def answer(sample: str, name: str) -> Any:
    path = FIXTURES / sample / f"{name}.json"
    return json.loads(path.read_text()) if path.exists() else {}


def required(sample: str) -> Ports:
    """By container: (protocol, port, IP version) of every required port."""
    kind = kind_of(answer(sample, "version"), answer(sample, "info"))
    known, problems = networks_of(answer(sample, "networks"), kind.carrying)
    assert problems == ()
    found = {}
    for one in answer(sample, "inspect"):
        container = container_of(one)
        needs = needs_of("host", container, known, {}, SCOPE) if counts(container) else None
        found[container.name] = {
            (port.protocol, number, port.address.version)
            for port in (needs.required if needs else ())
            if port.address is not None
            for number in range(port.first, port.last + 1)
        }
    return found


def reachable(sample: str) -> Ports:
    return {
        name: {
            (row["Type"], row["Port"], version)
            for row in rows
            for version in (4, 6)
            if row[f"IPv{version}"] == "open"
        }
        for name, rows in answer(sample, "reachability").items()
    }


@pytest.mark.parametrize("sample", SAMPLES)
def test_what_is_required_is_what_was_reachable(sample: str) -> None:
    derived, measured = required(sample), reachable(sample)
    assert set(measured) == set(derived)
    for name, ports in derived.items():
        if name in OPEN_BUT_NOT_REQUIRED[sample]:
            assert ports == set(), name
        elif name in REQUIRED_BUT_NOT_OPEN[sample]:
            assert measured[name] == set() != ports, name
        else:
            assert ports == measured[name], name


@pytest.mark.parametrize("sample", SAMPLES)
def test_every_exception_is_still_one(sample: str) -> None:
    derived, measured = required(sample), reachable(sample)
    assert all(measured[name] for name in OPEN_BUT_NOT_REQUIRED[sample])
    assert all(derived[name] and not measured[name] for name in REQUIRED_BUT_NOT_OPEN[sample])


def test_podmans_picked_ports_look_like_ones_that_were_asked_for_in_its_docker_answers() -> None:
    """Which is why its own API is asked for the command that made the container
    (tests/engine/test_podman.py)."""
    assert (
        {("tcp", 45727, 4)}
        == required("podman-4.3")["random-port"]
        == reachable("podman-4.3")["random-port"]
    )


def test_what_a_recorded_swarm_publishes() -> None:
    sample = "engine-20.10-swarm"
    membership = membership_of(answer(sample, "info"))
    nodes = [{"ID": membership.node, "Status": {"Addr": "198.51.100.10"}}]
    cluster = cluster_of(answer(sample, "services"), answer(sample, "tasks"), nodes)
    assert membership.role == "manager"
    present = [one["Id"] for one in answer(sample, "containers")]
    needs = {
        container.name: needs_of("host", container, {}, {}, SCOPE)
        for container in containers_of(cluster, membership.node, present)
    }
    ports = {
        name: {(p.protocol, p.first, str(p.address)) for p in one.required}
        for name, one in needs.items()
    }
    assert ports == {
        "ingress-tcp": {("tcp", 8888, "0.0.0.0")},
        "ingress-udp": {("udp", 5354, "0.0.0.0")},
        "scaled-to-zero": {("tcp", 8890, "0.0.0.0")},
        "ingress-random": set(),
    }
    assert [(one.ports, one.code) for one in needs["ingress-random"].unopened] == [
        ("30000", "random-port")
    ]
    task = next(
        one
        for one in answer(sample, "containers")
        if one["Labels"]["com.docker.swarm.service.name"] == "host-mode"
    )
    assert cluster.services[task["Labels"][SERVICE_LABEL]].ports[0].ingress is False
