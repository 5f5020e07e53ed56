"""What an audit wants to know of Compose files: ports and networks as they decide about a firewall,
and image, mounts, powers and names of variables, all of it merged, included and extended as docker
compose does."""

from __future__ import annotations

import re
from collections.abc import Iterator
from collections.abc import Mapping as Table
from collections.abc import Sequence as Several
from ipaddress import IPv4Address
from pathlib import Path

from cloudsync.model.machine_facts import (
    FileLine,
    Mount,
    Network,
    Publish,
    Workload,
    capability_of,
)
from cloudsync.sources.compose import ComposeError, Project, PublishedPort, Service, read_projects
from cloudsync.sources.compose.nodes import Mapping, Node, Place, Scalar, Sequence
from cloudsync.sources.compose.source import default_address
from cloudsync.sources.machine.root import Unreadable


def read(
    base: Path,
    paths: Several[str],
    env_files: Several[str] = (),
    profiles: Several[str] | None = None,
) -> tuple[tuple[Workload, ...], tuple[Network, ...]]:
    """Services and networks. Arguments as of `read_projects`. Raises `Unreadable`."""
    try:
        projects = read_projects(base, paths, env_files, profiles, for_audit=True)
    except ComposeError as error:
        raise Unreadable(str(error)) from None
    except OSError as error:
        raise Unreadable(f"{error.filename}: {error.strerror}") from None
    lines = _Lines(base)
    services = tuple(
        _workload(project, service, lines) for project in projects for service in project.services
    )
    networks = tuple(
        Network(f"{project.name}_{network.name}", network.internal)
        for project in projects
        for network in project.networks.values()
    )
    return services, networks


class _Lines:
    """The lines of Compose files as they are written, each file read once; empty for a line that
    has more on it than it is asked for."""

    def __init__(self, base: Path) -> None:
        self._base, self._files = base, dict[str, list[str]]()

    def port(self, place: Place) -> str:
        """The line of a port."""
        line = self._line(place)
        return line if _holds_only_ports(line) else ""

    def power(self, place: Place) -> FileLine:
        """The line of `privileged`, `pid` or `cap_add`, or of an entry of the last."""
        line = self._line(place)
        return FileLine(place.file, place.line, line if _POWER.fullmatch(line) else "")

    def _line(self, place: Place) -> str:
        """Empty if the file is not what was read before."""
        if place.file not in self._files:
            try:
                content = (self._base / place.file).read_text()
            except (OSError, UnicodeError):
                content = ""
            self._files[place.file] = content.splitlines()
        lines = self._files[place.file]
        return lines[place.line - 1] if place.line <= len(lines) else ""


_POWER = re.compile(
    r"""\s*(?:(?:privileged|pid)\s*:\s*["']?\w+["']?|-\s+["']?\w+["']?"""
    r"""|cap_add\s*:\s*(?:\[[\w\s,"']*\])?)\s*(?:#.*)?"""
)
_KEY = re.compile(r"""["']?([\w.-]+)["']?\s*:(?=\s*[{\[]|\s|$)\s*(\{?)""")
_PORT_KEYS = frozenset(
    ("ports", "target", "published", "host_ip", "protocol", "mode", "name", "app_protocol")
)


def _holds_only_ports(line: str) -> bool:
    """Whether nothing but a port is on the line, such as a password in the environment of a service
    that is written on one line."""
    line = line.partition(" #")[0]
    keys = list(_KEY.finditer(line))
    before = line[: keys[0].start()] if keys else ""
    return not before.strip(" \t-{") and all(key[1] in _PORT_KEYS or key[2] for key in keys)


def _workload(project: Project, service: Service, lines: _Lines) -> Workload:
    written = service.written
    internal = {name for name, network in project.networks.items() if network.internal}
    waits = bool(service.networks) and set(service.networks) <= internal
    default = default_address(project, service)
    asked = tuple(_publish(port, default, lines) for port in service.ports)
    return Workload(
        name=f"{project.name}/{service.name}",
        image=_word(written.get("image")),
        state="declared",
        network_mode=service.network_mode,
        networks=tuple(f"{project.name}_{name}" for name in service.networks),
        published=() if waits or service.network_mode in ("host", "none") else asked,
        asked=asked,
        mounts=tuple(_mounts(written.get("volumes"))),
        privileged=_word(written.get("privileged")) == "true",
        capabilities=tuple(_words(written.get("cap_add"))),
        host_pid=_word(written.get("pid")) == "host",
        environment=tuple(_entries(written.get("environment"))),
        command=(*_words(written.get("entrypoint")), *_words(written.get("command"))),
        labels={key: _word(value) for key, value in _entries(written.get("labels")).items()},
        file=service.place.file,
        line=service.place.line,
        places=dict(_places(written, lines)),
    )


def _places(written: Table[str, Node], lines: _Lines) -> Iterator[tuple[str, FileLine]]:
    """As of `Workload.places`."""
    for key in ("privileged", "pid", "cap_add"):
        if key in written:
            yield key, lines.power(written[key].place)
    capabilities = written.get("cap_add")
    for item in capabilities.items if isinstance(capabilities, Sequence) else ():
        yield f"cap_add {capability_of(_word(item))}", lines.power(item.place)
    for name, node in _entries(written.get("environment")).items():
        yield f"environment {name}", FileLine(node.place.file, node.place.line)
    for node in _entries(written.get("volumes")).values():
        source = _word(node).partition(" ")[2]
        yield f"volumes {source}", FileLine(node.place.file, node.place.line)


def _publish(port: PublishedPort, default: IPv4Address | None, lines: _Lines) -> Publish:
    place = port.address_place or port.place
    first, _, last = port.host.partition("-")
    address = port.address or default
    number = int(first or 0)
    return Publish(
        protocol=port.protocol,
        first=number,
        last=int(last or number),
        container_port=port.target,
        address="" if address is None else str(address),
        file=place.file,
        line=place.line,
        is_long=port.is_long,
        written=lines.port(place),
    )


def _word(node: Node | None) -> str:
    return node.text if isinstance(node, Scalar) and not node.null else ""


def _words(node: Node | None) -> Iterator[str]:
    return (_word(item) for item in (node.items if isinstance(node, Sequence) else ()))


def _entries(node: Node | None) -> Table[str, Node]:
    return node.entries if isinstance(node, Mapping) else {}


def _mounts(node: Node | None) -> Iterator[Mount]:
    for value in _entries(node).values():
        access, _, source = _word(value).partition(" ")
        yield Mount(source, read_only=access == "ro")
