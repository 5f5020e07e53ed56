"""What an audit wants to know of Compose files: ports and networks as `read_projects` understands
them, and images, mounts, powers and names of variables as the files have them.

The latter are taken from the named files as they stand, a later file over an earlier one; what only
`extends` or `include` brings in is not among them.
"""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Mapping as Table
from collections.abc import Sequence as Several
from pathlib import Path

from cloudsync.model.machine_facts import Mount, Network, Publish, Workload
from cloudsync.sources.compose import ComposeError, Project, PublishedPort, Service, read_projects
from cloudsync.sources.compose.documents import documents
from cloudsync.sources.compose.nodes import Mapping, Node, Scalar, Sequence
from cloudsync.sources.machine.root import MAX_BYTES, Unreadable

NAMES = ("compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml")
OVERRIDES = tuple(name.replace("compose.y", "compose.override.y") for name in NAMES)


def read(
    base: Path,
    paths: Several[str],
    env_files: Several[str] = (),
    profiles: Several[str] | None = None,
) -> tuple[tuple[Workload, ...], tuple[Network, ...]]:
    """Services and networks. Arguments as of `read_projects`. Raises `Unreadable`."""
    try:
        projects = read_projects(base, paths, env_files, profiles)
        written = _written(base, paths)
    except ComposeError as error:
        raise Unreadable(str(error)) from None
    except OSError as error:
        raise Unreadable(f"{error.filename}: {error.strerror}") from None
    services = tuple(
        _workload(project, service, written.get(service.name))
        for project in projects
        for service in project.services
    )
    networks = tuple(
        Network(f"{project.name}_{network.name}", network.driver or "bridge", network.internal)
        for project in projects
        for network in project.networks.values()
    )
    return services, networks


def _written(base: Path, paths: Several[str]) -> dict[str, dict[str, Node]]:
    """By service: its keys as the files have them."""
    services: dict[str, dict[str, Node]] = {}
    for path in _files(base, paths):
        content = path.read_bytes()[: MAX_BYTES + 1].decode("utf-8-sig", "replace")
        for document in documents(content, str(path)):
            table = document.get("services")
            for name, node in table.entries.items() if isinstance(table, Mapping) else ():
                if isinstance(node, Mapping):
                    services.setdefault(name, {}).update(node.entries)
    return services


def _files(base: Path, paths: Several[str]) -> Iterator[Path]:
    for written in paths:
        path = base / written
        if not path.is_dir():
            yield path
            continue
        for names in (NAMES, OVERRIDES):
            chosen = next((path / name for name in names if (path / name).is_file()), None)
            if chosen is not None:
                yield chosen


def _workload(project: Project, service: Service, node: Table[str, Node] | None) -> Workload:
    node = node or {}
    internal = {name for name, network in project.networks.items() if network.internal}
    waits = bool(service.networks) and set(service.networks) <= internal
    asked = tuple(_publish(port) for port in service.ports)
    return Workload(
        name=f"{project.name}/{service.name}",
        image=_word(node.get("image")),
        state="declared",
        network_mode=service.network_mode,
        networks=tuple(f"{project.name}_{name}" for name in service.networks),
        published=() if waits or service.network_mode in ("host", "none") else asked,
        asked=asked,
        mounts=tuple(_mounts(node.get("volumes"))),
        privileged=_word(node.get("privileged")) == "true",
        capabilities=tuple(_words(node.get("cap_add"))),
        host_pid=_word(node.get("pid")) == "host",
        environment=tuple(_names(node.get("environment"))),
        command=tuple(_words(node.get("command"))),
        labels=dict(_pairs(node.get("labels"))),
        file=service.place.file,
        line=service.place.line,
    )


def _publish(port: PublishedPort) -> Publish:
    first, _, last = port.host.partition("-")
    address = "" if port.address is None else str(port.address)
    number = int(first or 0)
    return Publish(
        port.protocol, 0 if port.host == "" else number, int(last or number), port.target, address,
        port.place.file, port.place.line,
    )  # fmt: skip


def _word(node: Node | None) -> str:
    return node.text if isinstance(node, Scalar) and not node.null else ""


def _words(node: Node | None) -> Iterator[str]:
    if isinstance(node, Scalar):
        yield from _word(node).split()
    for item in node.items if isinstance(node, Sequence) else ():
        yield _word(item)


def _pairs(node: Node | None) -> Iterator[tuple[str, str]]:
    if isinstance(node, Mapping):
        for key, value in node.entries.items():
            yield key, _word(value)
    for item in node.items if isinstance(node, Sequence) else ():
        name, _, written = _word(item).partition("=")
        yield name, written


def _names(node: Node | None) -> Iterator[str]:
    return (name for name, _ in _pairs(node))


def _mounts(node: Node | None) -> Iterator[Mount]:
    for item in node.items if isinstance(node, Sequence) else ():
        if isinstance(item, Mapping):
            if _word(item.get("type")) == "bind":
                target = _word(item.get("target"))
                yield Mount(
                    _word(item.get("source")), target, _word(item.get("read_only")) == "true"
                )
            continue
        source, _, rest = _word(item).partition(":")
        if source.startswith(("/", ".", "~")) and rest:
            target, _, options = rest.partition(":")
            yield Mount(source, target, "ro" in options.split(","))
