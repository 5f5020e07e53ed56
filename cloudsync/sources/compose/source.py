"""The Compose files of a host: what it will run. They stand for a machine whose engine cannot be
asked, as in CI.

A service is judged exactly like a container that runs it: the same labels, addresses and networks
(`containers.py`). What differs: a file knows nothing of the image, so all labels are the user's
own; it says which line a port stands on; and there is nothing to be partial about: a project that
is wrong anywhere is not read at all.
"""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path

from cloudsync.config.configuration import ComposeTable
from cloudsync.model.ports import (
    Complete,
    Discovery,
    Failed,
    LabelScope,
    Malformed,
    Origin,
)
from cloudsync.rules.networks import NOWHERE, NetworkSet
from cloudsync.sources.compose import (
    ComposeError,
    Network,
    Project,
    PublishedPort,
    Service,
    read_projects,
)
from cloudsync.sources.docker.containers import Binding, Container
from cloudsync.sources.docker.joined import Judged, joined
from cloudsync.sources.docker.needs import needs_of
from cloudsync.sources.docker.networks import Network as DockerNetwork

_UNREACHABLE_DRIVERS = ("macvlan", "ipvlan", "null", "none", "host")
_DOCKER0 = DockerNetwork("bridge", "bridge", publishes=True, inner=NetworkSet.of(["172.17.0.1"]))
"""The gateway of the default bridge, unless somebody moved it: never the machine's own address."""


def read_compose(host: str, table: ComposeTable, base: Path, scope: LabelScope) -> Discovery:
    """What the services of the host's Compose files need. Complete, or failed with the file and
    line of what is wrong."""
    try:
        projects = read_projects(base, table.paths, table.env_files, table.profiles)
    except ComposeError as error:
        return Failed(str(error), temporary=False)
    except OSError as error:
        return Failed(
            f"its Compose files cannot be read: {error.strerror or type(error).__name__}",
            temporary=False,
        )
    needs = [
        need
        for project in projects
        for need in joined([_judged(host, project, service, scope) for service in project.services])
    ]
    return Complete(
        required=tuple(replace(port, from_file=True) for need in needs for port in need.required),
        unopened=tuple(port for need in needs for port in need.unopened),
        malformed=tuple(bad for need in needs for bad in need.malformed),
        remarks=(
            *(remark for project in projects for remark in project.remarks),
            *(remark for need in needs for remark in need.remarks),
        ),
        unpublished=tuple(n.unpublished for n in needs if n.unpublished is not None),
        narrowed=tuple(replace(port, from_file=True) for need in needs for port in need.narrowed),
        uncertain=tuple(n.uncertain for n in needs if n.uncertain is not None),
    )


def _judged(host: str, project: Project, service: Service, scope: LabelScope) -> Judged:
    listed = service.labels.get("cloudsync.ports") if service.network_mode == "host" else None
    place = listed.place if listed else service.place
    origin = Origin(host, project.name, service.name, file=place.file, line=place.line)
    own = {key: label.value for key, label in service.labels.items()}
    image = {key: value for key, value in service.image_labels.items() if key not in own}
    container = Container(
        id="",
        name=f"{project.name}/{service.name}",
        state="declared",
        image="",
        labels={**image, **own},
        network_mode=_mode(project.name, service.network_mode),
        networks=service.networks,
        asked=tuple(_binding(port, default_address(project, service)) for port in service.ports),
        bound=(),
    )
    needs = needs_of(host, container, _networks(project), image, scope, origin)
    if container.network_mode == "host" and service.ports:
        remark = (
            f"{container.name}: its ports count for nothing on the host network; "
            "the label cloudsync.ports is the list"
        )
        needs = replace(needs, remarks=(*needs.remarks, remark))
    needs = replace(needs, malformed=tuple(_located(bad, service) for bad in needs.malformed))
    return Judged(container, origin, needs)


def _located(malformed: Malformed, service: Service) -> Malformed:
    """A malformed label with its own line."""
    for key, label in service.labels.items():
        if malformed.problem.startswith(f"{key}:"):
            origin = replace(malformed.origin, file=label.place.file, line=label.place.line)
            return replace(malformed, origin=origin, problem=f"{label.place}: {malformed.problem}")
    return malformed


def _mode(project: str, written: str) -> str:
    """`service:x` shares the network of another service's container."""
    return (
        f"container:{project}/{written.removeprefix('service:')}"
        if written.startswith("service:")
        else written
    )


def _binding(port: PublishedPort, default: IPv4Address | None) -> Binding:
    return Binding(
        port.protocol,
        port.target,
        port.address or default,
        port.host,
        port.place.file,
        port.place.line,
    )


def default_address(project: Project, service: Service) -> IPv4Address | None:
    """What a port without an address is bound to: an option of the network that publishes it, the
    first of the service that publishes anything."""
    for name in service.networks:
        network = project.networks.get(name)
        if network is None or _publishes(network):
            return network.host_binding if network else None
    return None


def _networks(project: Project) -> dict[str, DockerNetwork]:
    networks = {
        "bridge": _DOCKER0,
        "default": DockerNetwork("default", "default", publishes=True),
    }
    for name, network in project.networks.items():
        inner = _inner(network.subnets) if network.driver in ("", "bridge") else NOWHERE
        networks[name] = DockerNetwork(
            name, name, _publishes(network), inner, kind=_kind(network), routed=network.routed
        )
    return networks


def _kind(network: Network) -> str:
    """Why a network does not publish."""
    if network.driver in _UNREACHABLE_DRIVERS:
        return "none" if network.driver == "null" else network.driver
    if network.internal:
        return "internal"
    return "" if _publishes(network) else "routed"


def _publishes(network: Network) -> bool:
    return (
        network.driver not in _UNREACHABLE_DRIVERS
        and not network.internal
        and network.routed != {4, 6}
    )


def _inner(subnets: tuple[str, ...]) -> NetworkSet:
    inner = NOWHERE
    for subnet in subnets:
        try:
            inner = inner | NetworkSet.of([subnet])
        except ValueError:
            continue  # docker compose says so when it starts; nothing here depends on it
    return inner
