"""The Compose files of a host: what it will run. They stand for a machine whose engine cannot be
asked, as in CI.

A service is judged exactly like a container that runs it: the same labels, addresses and networks
(`containers.py`). What differs: a file knows nothing of the image, so all labels are the user's
own; it says which line a port stands on; and there is nothing to be partial about: a project that
is wrong anywhere is not read at all.
"""

from __future__ import annotations

from dataclasses import replace
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
    Project,
    PublishedPort,
    Service,
    read_projects,
)
from cloudsync.sources.docker.containers import (
    Binding,
    Container,
    Needs,
    Network,
    needs_of,
)

_UNREACHABLE_DRIVERS = ("macvlan", "ipvlan", "null", "none", "host")
_DOCKER0 = Network("bridge", "bridge", publishes=True, inner=NetworkSet.of(["172.17.0.1"]))
"""The gateway of the default bridge, unless somebody moved it: never the machine's own address."""


def read_compose(host: str, table: ComposeTable, base: Path, scope: LabelScope) -> Discovery:
    """What the services of the host's Compose files need. Complete, or failed with the file and
    line of what is wrong."""
    try:
        needs = [
            _needs(host, project, service, networks, scope)
            for project in read_projects(base, table.paths, table.env_files, table.profiles)
            for networks in (_networks(project),)
            for service in project.services
        ]
    except ComposeError as error:
        return Failed(str(error), temporary=False)
    except OSError as error:
        return Failed(
            f"its Compose files cannot be read: {error.strerror or type(error).__name__}",
            temporary=False,
        )
    return Complete(
        tuple(replace(port, from_file=True) for one in needs for port in one.required),
        tuple(port for one in needs for port in one.unopened),
        tuple(bad for one in needs for bad in one.malformed),
        tuple(remark for one in needs for remark in one.remarks),
    )


def _needs(
    host: str, project: Project, service: Service, networks: dict[str, Network], scope: LabelScope
) -> Needs:
    listed = service.labels.get("cloudsync.ports") if service.network_mode == "host" else None
    place = listed.place if listed else service.place
    origin = Origin(host, project.name, service.name, file=place.file, line=place.line)
    container = Container(
        id="",
        name=f"{project.name}/{service.name}",
        state="declared",
        image="",
        labels={key: label.value for key, label in service.labels.items()},
        network_mode=_mode(service.network_mode),
        networks=service.networks,
        asked=tuple(_binding(port) for port in service.ports),
        bound=(),
    )
    needs = needs_of(host, container, networks, {}, scope, origin)
    if container.network_mode == "host" and service.ports:
        remark = f"{container.name}: its ports count for nothing on the host network; the label cloudsync.ports is the list"
        needs = replace(needs, remarks=(*needs.remarks, remark))
    return replace(needs, malformed=tuple(_located(bad, service) for bad in needs.malformed))


def _located(malformed: Malformed, service: Service) -> Malformed:
    """A malformed label with its own line."""
    for key, label in service.labels.items():
        if malformed.problem.startswith(f"{key}:"):
            origin = replace(malformed.origin, file=label.place.file, line=label.place.line)
            return replace(malformed, origin=origin, problem=f"{label.place}: {malformed.problem}")
    return malformed


def _mode(written: str) -> str:
    """`service:x` shares the network of another service's container."""
    return (
        f"container:{written.removeprefix('service:')}"
        if written.startswith("service:")
        else written
    )


def _binding(port: PublishedPort) -> Binding:
    return Binding(
        port.protocol, port.target, port.address, port.host, port.place.file, port.place.line
    )


def _networks(project: Project) -> dict[str, Network]:
    found = {"bridge": _DOCKER0, "default": Network("default", "default", publishes=True)}
    for name, one in project.networks.items():
        publishes = one.driver not in _UNREACHABLE_DRIVERS and not one.internal and not one.routed
        inner = _inner(one.subnets) if one.driver in ("", "bridge") else NOWHERE
        found[name] = Network(name, name, publishes, inner)
    return found


def _inner(subnets: tuple[str, ...]) -> NetworkSet:
    found = NOWHERE
    for text in subnets:
        try:
            found = found | NetworkSet.of([text])
        except ValueError:
            continue  # docker compose says so when it starts; nothing here depends on it
    return found
