"""Swarm: the ports of services, which stand in no container (`GET /services`, `/tasks`, `/nodes`;
managers only).

| port                            | is required on                                                |
|---------------------------------|---------------------------------------------------------------|
| `mode=ingress`, fixed           | every node of the Swarm, IPv4 (the ingress network has no     |
|                                 | IPv6)                                                         |
| `mode=ingress`, picked by Swarm | nowhere: refused                                              |
| `mode=host`, of a running task  | the node of the task, by the task's container                 |
| `mode=host`, of a task that     | the node of the task: a service that crashes has no container |
| starts                          | most of the time                                              |

A worker cannot know its services. A manager of the same Swarm that is read in the same run does;
without one the worker is not known completely. An engine is believed to be that manager only if the
worker itself names it, and several of them only if they agree. The labels of a service (and of its
container specification) count as the container's own: no image can set them. Of a container that
the manager does not list as one of a service's tasks, whatever its labels claim, they only narrow.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from ipaddress import ip_address
from typing import Literal

from cloudsync.provider.phrases import first_of
from cloudsync.rules.frozen import dataclass
from cloudsync.sources.docker.answers import (
    Unexpected,
    items,
    port,
    protocol,
    table,
    table_at,
)
from cloudsync.sources.docker.containers import Binding, Container
from cloudsync.sources.docker.proxies import routed_by_labels

Role = Literal["none", "manager", "worker", "unsettled"]
SERVICE_LABEL = "com.docker.swarm.service.id"
DESIRED = ("running", "ready")  # a task that waits for its restart is desired to be ready
_STARTING = ("assigned", "accepted", "preparing", "ready", "starting")
_EVERYWHERE = ip_address("0.0.0.0")  # noqa: S104 - not bound here


@dataclass(frozen=True, slots=True)
class Membership:
    """What `GET /info` says of a Swarm."""

    role: Role
    """What this node may be asked."""
    node: str = ""
    """Its id; empty outside a Swarm."""
    state: str = ""
    """The engine's word for an unsettled one (`locked`, `pending`, `error`)."""
    managers: frozenset[str] = frozenset()
    """The node ids of the managers that this node knows."""


@dataclass(frozen=True, slots=True)
class PublishedPort:
    """A port of a service."""

    protocol: str
    """`tcp`, `udp`, `sctp`."""
    target: int
    """The port inside the container."""
    asked: int | None
    """The fixed port of the specification; None if Swarm or the engine chooses one."""
    now: int | None
    """The port in effect."""
    ingress: bool
    """Whether every node of the Swarm publishes it."""


@dataclass(frozen=True, slots=True)
class Service:
    """`labels`: of the service, over those of its container specification."""

    id: str
    """In full."""
    name: str
    """As people know it."""
    image: str
    """As asked for."""
    labels: Mapping[str, str]
    ports: tuple[PublishedPort, ...]
    """What it publishes."""


@dataclass(frozen=True, slots=True)
class Task:
    """A task that is to run. `container`: its id, "" if there is none yet."""

    service: str
    """The id of its service."""
    node: str
    """The id of the node it runs on; empty if it has none yet."""
    container: str
    state: str
    """`running`, `starting`, …"""


@dataclass(frozen=True, slots=True)
class Cluster:
    """What a manager knows."""

    services: Mapping[str, Service]
    """By id."""
    tasks: tuple[Task, ...]
    """Those that run or are to run."""
    nodes: Mapping[str, str]
    """Addresses by node id."""
    contained: frozenset[tuple[str, str]] = frozenset()
    """The containers of tasks, each with the id of its service."""

    def lists(self, container: Container) -> bool:
        """Whether the manager's own list of tasks has the container, for the service that its label
        names."""
        return (container.id, container.labels.get(SERVICE_LABEL)) in self.contained


def membership_of(info: Mapping[str, object]) -> Membership:
    """The engine's part in a Swarm, of `GET /info`."""
    swarm = info.get("Swarm")
    swarm = swarm if isinstance(swarm, dict) else {}
    state, node = swarm.get("LocalNodeState"), str(swarm.get("NodeID") or "")[:128]
    if state in (None, "", "inactive"):
        return Membership("none")
    if state != "active":
        return Membership("unsettled", node, str(state)[:40])
    remote = swarm.get("RemoteManagers")
    managers = frozenset(
        str(entry.get("NodeID") or "")[:128]
        for entry in (remote if isinstance(remote, list) else [])
        if isinstance(entry, dict)
    )
    role: Role = "manager" if swarm.get("ControlAvailable") is True else "worker"
    return Membership(role, node, managers=managers)


def manager_of(
    worker: Membership, claims: Iterable[tuple[Membership, Cluster]]
) -> Cluster | str | None:
    """What a worker's services are, by the engines that claim to manage it: a cluster, None if
    none does, or why they are not believed."""
    trusted = [
        cluster
        for manager, cluster in claims
        if worker.node in cluster.nodes and (not worker.managers or manager.node in worker.managers)
    ]
    if not trusted:
        return None
    if any(cluster.services != trusted[0].services for cluster in trusted[1:]):
        return "several engines that were read claim to manage its Swarm, and they disagree"
    return trusted[0]


def cluster_of(services: object, tasks: object, nodes: object) -> Cluster:
    """The three answers as one. Raises `Unexpected`."""
    known = [_service(table(entry)) for entry in items(services)]
    addresses = {
        _text(node, "ID"): str(table_at(node, "Status").get("Addr") or "")[:100]
        for node in map(table, items(nodes))
    }
    running = tuple(
        _task(task) for task in map(table, items(tasks)) if task.get("DesiredState") in DESIRED
    )
    contained = frozenset((task.container, task.service) for task in running if task.container)
    return Cluster({service.id: service for service in known}, running, addresses, contained)


def with_service_labels(
    container: Container, service: Service, image: Mapping[str, str] | None
) -> tuple[Container, Mapping[str, str] | None]:
    """A task's container with its service's labels as its own, and its image's labels without those
    that the service set again."""
    own = {key: value for key, value in container.labels.items() if key not in service.labels}
    born = own if image is None else image
    born = {key: value for key, value in born.items() if key not in service.labels}
    traits = container.traits | routed_by_labels(dict(service.labels))
    return replace(container, labels={**own, **service.labels}, traits=frozenset(traits)), born


def containers_of(cluster: Cluster, node: str, present: Iterable[str]) -> list[Container]:
    """What the services need on one node beyond its containers, as containers. `present`: ids of
    the containers that count there."""
    there = frozenset(present)
    starting = {
        task.service
        for task in cluster.tasks
        if task.node == node and task.state in _STARTING and task.container not in there
    }
    services = cluster.services.values()
    ingress = [
        _as_container(service, [p for p in service.ports if p.ingress]) for service in services
    ]
    host_mode = [
        _as_container(service, [p for p in service.ports if not p.ingress and p.asked is not None])
        for service in services
        if service.id in starting
    ]
    return [container for container in (*ingress, *host_mode) if container.bound]


def peers_remark(cluster: Cluster, node: str) -> str | None:
    """What the other nodes need of this one; containers never ask for it, and it is never opened to
    the world."""
    others = sorted(address for id_, address in cluster.nodes.items() if id_ != node and address)
    if not others:
        return None
    return (
        f"the other nodes of the Swarm ({first_of(others, 5)}) need 2377/tcp, 7946/tcp, 7946/udp"
        " and 4789/udp here: where they come in over a managed firewall, allow them from those"
        " addresses in [[firewalls.X.allow]]"
    )


def _as_container(service: Service, ports: Iterable[PublishedPort]) -> Container:
    """A running container that publishes them on every IPv4 address."""
    chosen = tuple(ports)
    return Container(
        id=service.id,
        name=service.name,
        state="running",
        image="",
        labels={**service.labels, "com.docker.swarm.service.name": service.name},
        network_mode="ingress",
        networks=(),
        asked=tuple(Binding(p.protocol, p.target, _EVERYWHERE, str(p.asked or "")) for p in chosen),
        bound=tuple(
            Binding(p.protocol, p.target, _EVERYWHERE, str(p.now or p.asked or "")) for p in chosen
        ),
    )


def _service(entry: Mapping[str, object]) -> Service:
    spec, endpoint = table_at(entry, "Spec"), table_at(entry, "Endpoint")
    template = table_at(table_at(spec, "TaskTemplate"), "ContainerSpec")
    asked = [_port(table(p)) for p in items(table_at(spec, "EndpointSpec").get("Ports") or [])]
    now = [_port(table(p)) for p in items(endpoint.get("Ports") or [])]
    ports = []
    for word, target, number, ingress in now or asked:
        fixed = (word, target, number, ingress) in asked and number is not None
        ports.append(PublishedPort(word, target, number if fixed else None, number, ingress))
    return Service(
        _text(entry, "ID"),
        _text(spec, "Name"),
        str(template.get("Image") or ""),
        {**_labels(template), **_labels(spec)},
        tuple(dict.fromkeys(ports)),
    )


def _port(entry: Mapping[str, object]) -> tuple[str, int, int | None, bool]:
    chosen = entry.get("PublishedPort")
    return (
        protocol(entry.get("Protocol") or "tcp"),
        port(entry.get("TargetPort")),
        port(chosen) if chosen else None,
        entry.get("PublishMode") != "host",
    )


def _task(entry: Mapping[str, object]) -> Task:
    status = table_at(entry, "Status")
    return Task(
        str(entry.get("ServiceID") or ""),
        str(entry.get("NodeID") or ""),
        str(table_at(status, "ContainerStatus").get("ContainerID") or ""),
        str(status.get("State") or ""),
    )


def _labels(entry: Mapping[str, object]) -> dict[str, str]:
    return {str(key): str(value) for key, value in table_at(entry, "Labels").items()}


def _text(entry: Mapping[str, object], name: str) -> str:
    value = entry.get(name)
    if not isinstance(value, str) or not value:
        raise Unexpected("something else instead of a text")
    return value
