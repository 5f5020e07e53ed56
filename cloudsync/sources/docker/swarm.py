"""Swarm: the ports of services, which stand in no container (`GET /services`, `/tasks`, `/nodes`;
managers only).

| port                                | is required on                                                                            |
|-------------------------------------|-------------------------------------------------------------------------------------------|
| `mode=ingress`, fixed               | every node of the Swarm, IPv4 (the ingress network has no IPv6)                           |
| `mode=ingress`, picked by Swarm     | nowhere: refused                                                                          |
| `mode=host`, of a running task      | the node of the task, by the task's container                                             |
| `mode=host`, of a task that starts  | the node of the task: a service that crashes has no container most of the time            |

A worker cannot know its services. A manager of the same Swarm that is read in the same run tells
it; without one the worker is not known completely. The labels of a service (and of its container
specification) count as the container's own: no image can set them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from ipaddress import ip_address
from typing import Literal

from cloudsync.sources.docker.containers import Binding, Container, Unexpected
from cloudsync.sources.docker.proxies import routed_by_labels

Role = Literal["none", "manager", "worker", "unsettled"]
SERVICE_LABEL = "com.docker.swarm.service.id"
DESIRED = ("running", "ready")  # a task that waits for its restart is desired to be ready
_STARTING = ("assigned", "accepted", "preparing", "ready", "starting")
_EVERYWHERE = ip_address("0.0.0.0")  # noqa: S104 - not bound here


@dataclass(frozen=True, slots=True)
class Membership:
    """What `GET /info` says. `state`: the engine's word for an unsettled one (`locked`, `pending`,
    `error`)."""

    role: Role
    node: str = ""
    state: str = ""


@dataclass(frozen=True, slots=True)
class PublishedPort:
    """`asked`: the fixed port of the specification; None where Swarm or the engine picks one.
    `now`: the port in force."""

    protocol: str
    target: int
    asked: int | None
    now: int | None
    ingress: bool


@dataclass(frozen=True, slots=True)
class Service:
    """`labels`: of the service, over those of its container specification."""

    id: str
    name: str
    image: str
    labels: Mapping[str, str]
    ports: tuple[PublishedPort, ...]


@dataclass(frozen=True, slots=True)
class Task:
    """A task that is to run. `container`: its id, "" before there is one."""

    service: str
    node: str
    container: str
    state: str


@dataclass(frozen=True, slots=True)
class Cluster:
    """What a manager knows. `nodes`: node id -> address."""

    services: Mapping[str, Service]
    tasks: tuple[Task, ...]
    nodes: Mapping[str, str]


def membership_of(info: object) -> Membership:
    """The engine's part in a Swarm, of `GET /info`."""
    swarm = info.get("Swarm") if isinstance(info, dict) else None
    swarm = swarm if isinstance(swarm, dict) else {}
    state, node = swarm.get("LocalNodeState"), swarm.get("NodeID")
    if state in (None, "", "inactive"):
        return Membership("none")
    if state != "active":
        return Membership("unsettled", str(node or ""), str(state)[:40])
    return Membership(
        "manager" if swarm.get("ControlAvailable") is True else "worker", str(node or "")
    )


def cluster_of(services: object, tasks: object, nodes: object) -> Cluster:
    """The three answers as one. Raises `Unexpected`."""
    found = [_service(one) for one in _tables(services)]
    addresses = {
        _text(one, "ID"): str(_part(one, "Status").get("Addr") or "") for one in _tables(nodes)
    }
    running = tuple(_task(one) for one in _tables(tasks) if one.get("DesiredState") in DESIRED)
    return Cluster({service.id: service for service in found}, running, addresses)


def with_service_labels(
    container: Container, cluster: Cluster, image: Mapping[str, str] | None
) -> tuple[Container, Mapping[str, str] | None]:
    """A task's container with its service's labels as its own, and its image's labels without those
    the service set anew."""
    service = cluster.services.get(container.labels.get(SERVICE_LABEL, ""))
    if service is None:
        return container, image
    own = {key: value for key, value in container.labels.items() if key not in service.labels}
    born = (
        own
        if image is None
        else {key: value for key, value in image.items() if key not in service.labels}
    )
    traits = container.traits | routed_by_labels(dict(service.labels))
    return replace(container, labels={**own, **service.labels}, traits=frozenset(traits)), born


def containers_of(cluster: Cluster, node: str, present: Iterable[str]) -> list[Container]:
    """What the services need on one node beyond its containers, as containers. `present`: ids of
    the containers that count there."""
    there = frozenset(present)
    found = [
        _as_container(service, [p for p in service.ports if p.ingress])
        for service in cluster.services.values()
    ]
    for service in cluster.services.values():
        tasks = [task for task in cluster.tasks if task.service == service.id and task.node == node]
        if any(task.state in _STARTING and task.container not in there for task in tasks):
            found.append(
                _as_container(
                    service, [p for p in service.ports if not p.ingress and p.asked is not None]
                )
            )
    return [one for one in found if one.bound]


def peers_remark(cluster: Cluster, node: str) -> str | None:
    """What the other nodes need of this one; containers never ask for it, and it is never opened to
    the world."""
    others = sorted(address for id_, address in cluster.nodes.items() if id_ != node and address)
    if not others:
        return None
    shown = ", ".join(others[:5]) + (f" and {len(others) - 5} more" if len(others) > 5 else "")
    return (
        f"the other nodes of the Swarm ({shown}) need 2377/tcp, 7946/tcp, 7946/udp and 4789/udp here: where they come in over a managed "
        "firewall, allow them from those addresses in [[firewalls.X.allow]]"
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


def _service(table: Mapping[str, object]) -> Service:
    spec, endpoint = _part(table, "Spec"), _part(table, "Endpoint")
    template = _part(_part(spec, "TaskTemplate"), "ContainerSpec")
    asked = [_port(one) for one in _tables(_part(spec, "EndpointSpec").get("Ports") or [])]
    now = [_port(one) for one in _tables(endpoint.get("Ports") or [])]
    ports = []
    for protocol, target, number, ingress in now or asked:
        fixed = (protocol, target, number, ingress) in asked and number is not None
        ports.append(PublishedPort(protocol, target, number if fixed else None, number, ingress))
    labels = {**_labels(template), **_labels(spec)}
    return Service(
        _text(table, "ID"),
        _text(spec, "Name"),
        str(template.get("Image") or ""),
        labels,
        tuple(dict.fromkeys(ports)),
    )


def _port(table: Mapping[str, object]) -> tuple[str, int, int | None, bool]:
    target, published = table.get("TargetPort"), table.get("PublishedPort")
    if not isinstance(target, int) or not isinstance(published, int | None):
        raise Unexpected("a service's port that is no number")
    return (
        str(table.get("Protocol") or "tcp"),
        target,
        published or None,
        table.get("PublishMode") != "host",
    )


def _task(table: Mapping[str, object]) -> Task:
    status = _part(table, "Status")
    container = str(_part(status, "ContainerStatus").get("ContainerID") or "")
    return Task(
        str(table.get("ServiceID") or ""),
        str(table.get("NodeID") or ""),
        container,
        str(status.get("State") or ""),
    )


def _labels(table: Mapping[str, object]) -> dict[str, str]:
    return {str(key): str(value) for key, value in _part(table, "Labels").items()}


def _tables(value: object) -> list[Mapping[str, object]]:
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        raise Unexpected("a list of another shape")
    return value


def _part(table: Mapping[str, object], name: str) -> Mapping[str, object]:
    value = table.get(name) or {}
    if not isinstance(value, dict):
        raise Unexpected("a part that is no object")
    return value


def _text(table: Mapping[str, object], name: str) -> str:
    value = table.get(name)
    if not isinstance(value, str) or not value:
        raise Unexpected("a part that is no text")
    return value
