"""The services of a project as values: their published ports, our labels, their networks, and
whether they run at all.

Only what runs is judged. A service of an inactive profile, or with no replicas, may refer to
variables and networks that this project does not have: docker compose starts the others all the
same.
"""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Mapping as Table
from dataclasses import field
from pathlib import Path

from cloudsync.rules.frozen import dataclass
from cloudsync.sources.compose.as_written import PREFIX as PREFIX_WRITTEN
from cloudsync.sources.compose.environment import Environment, read_environment
from cloudsync.sources.compose.files import Files
from cloudsync.sources.compose.joins import check_joins
from cloudsync.sources.compose.missing import missing_in, refuse_missing
from cloudsync.sources.compose.nodes import (
    ComposeError,
    Mapping,
    Missing,
    Node,
    Place,
    Scalar,
    Sequence,
)
from cloudsync.sources.compose.ports import PublishedPort, published_ports
from cloudsync.sources.compose.profiles import runs
from cloudsync.sources.labels import PREFIX

DEFAULT_NETWORK = "default"
_DECIDES = ("ports", "labels", "label_file", "network_mode", "networks", "deploy", "build")


@dataclass(frozen=True, slots=True)
class Label:
    """The value of one of our labels."""

    value: str
    place: Place


@dataclass(frozen=True, slots=True)
class Service:
    """A service that runs."""

    name: str
    place: Place
    ports: tuple[PublishedPort, ...]
    labels: Table[str, Label]
    """Only ours, with those of `label_file` and `deploy`."""
    image_labels: Table[str, str]
    """Only ours, of `build.labels`: the image will carry them."""
    network_mode: str
    """As written; empty without one."""
    networks: tuple[str, ...]
    """By the names of the file, the one that publishes the ports first."""
    written: Table[str, Node] = field(default_factory=dict)
    """What only an audit reads, by key (`as_written.py`); empty unless it was asked for."""


@dataclass(frozen=True, slots=True)
class Context:
    """What the services of a project are judged in."""

    files: Files
    environment: Environment
    active: frozenset[str]
    """Profiles."""
    networks: Mapping
    """That the project declares, by name."""


def running_services(services: Mapping, context: Context) -> tuple[Service, ...]:
    """The services that run. Raises `ComposeError` for all variables that are missing, else for the
    first thing that is wrong."""
    tables = {name: _table(name, node) for name, node in services.entries.items()}
    active = {
        name: table for name, table in tables.items() if runs(_profiles(table), context.active)
    }
    counted = {name: table for name, table in active.items() if not missing_in(*_counts(table))}
    running = {name: table for name, table in counted.items() if _replicas(table, name) > 0}
    refuse_missing(
        (
            *missing_in(*(table.get("profiles") for table in tables.values())),
            *missing_in(*(count for table in active.values() for count in _counts(table))),
            *missing_in(*(table.get(key) for table in running.values() for key in _DECIDES)),
            *missing_in(*(context.networks.get(name) for name in _used(running.values()))),
        )
    )
    check_joins(active)
    for name, table in tables.items():
        if name not in running:
            _check_idle(name, table, context, active=name in active)
    return tuple(
        _service(name, table, services.keys[name], context) for name, table in running.items()
    )


def _used(tables: Iterable[Mapping]) -> Iterable[str]:
    """The names of the networks that services are on, each once."""
    names: dict[str, None] = {}
    for table in tables:
        networks = table.get("networks")
        own = networks.entries if isinstance(networks, Mapping) else {}
        names |= dict.fromkeys(own or (DEFAULT_NETWORK,))
    return names


def _table(name: str, node: Node) -> Mapping:
    if not isinstance(node, Mapping):
        raise ComposeError(node.place, f"the service {name} must be a mapping")
    return node


def _check_idle(name: str, node: Mapping, context: Context, *, active: bool) -> None:
    """What docker compose refuses a file for even though the service does not run."""
    if not missing_in(node.get("ports")):
        _ports(node, context)
    if active and not missing_in(node.get("network_mode"), node.get("networks")):
        _network_names(name, node, context)


def _network_names(name: str, node: Mapping, context: Context) -> tuple[str, ...]:
    """The networks of a service, the one that publishes its ports first."""
    networks = node.get("networks")
    if not isinstance(networks, Mapping) or not networks.entries:
        return () if _text(node, "network_mode") else (DEFAULT_NETWORK,)
    if _text(node, "network_mode"):
        raise ComposeError(networks.place, f"the service {name} has both network_mode and networks")
    for network, membership in networks.entries.items():
        if network not in context.networks.entries and network != DEFAULT_NETWORK:
            written = membership.written if isinstance(membership, Scalar) else ""
            raise ComposeError(
                networks.keys[network],
                f"the service {name} is on the network {(written or network)[:60]!r}, "
                "which the project does not declare",
            )
    return _by_priority(networks)


def _service(name: str, node: Mapping, place: Place, context: Context) -> Service:
    return Service(
        name=name,
        place=place,
        ports=_ports(node, context),
        labels=_labels(node, context),
        image_labels={
            key: label.value for key, label in _label_table(node.get("build", "labels")).items()
        },
        network_mode=_text(node, "network_mode"),
        networks=_network_names(name, node, context),
        written={
            key.removeprefix(PREFIX_WRITTEN): child
            for key, child in node.entries.items()
            if key.startswith(PREFIX_WRITTEN)
        },
    )


def _by_priority(networks: Mapping) -> tuple[str, ...]:
    """The network that publishes a service's ports is the one of the highest `gw_priority`, the
    first by name of several."""

    def rank(name: str) -> tuple[int, str]:
        priority = networks.get(name, "gw_priority")
        text = priority.text if isinstance(priority, Scalar) else ""
        number = text.removeprefix("-")
        usable = number.isascii() and number.isdecimal() and len(number) <= 9
        return (-int(text) if usable else 0, name)

    return tuple(sorted(networks.entries, key=rank))


def _ports(node: Mapping, context: Context) -> tuple[PublishedPort, ...]:
    ports = node.get("ports")
    if not isinstance(ports, Sequence) or node.get("provider") is not None:
        return ()
    return published_ports(ports, context.files.budget)


def _labels(node: Mapping, context: Context) -> dict[str, Label]:
    """Ours, of `label_file` under those of `labels`, with those of `deploy.labels`, which may not
    contradict them."""
    labels: dict[str, Label] = {}
    listed = node.get("label_file")
    for path in listed.items if isinstance(listed, Sequence) else ():
        if isinstance(path, Scalar):
            labels |= _label_file(path, context)
    labels |= _label_table(node.get("labels"))
    for key, label in _label_table(node.get("deploy", "labels")).items():
        if labels.setdefault(key, label).value != label.value:
            raise ComposeError(
                label.place,
                f"the label {key[:80]} of deploy differs from the one at {labels[key].place}",
            )
    return labels


def _label_table(node: Node | None) -> dict[str, Label]:
    entries = node.entries.items() if isinstance(node, Mapping) else ()
    return {
        key: Label("" if value.null else value.text, value.place)
        for key, value in entries
        if isinstance(value, Scalar)
    }


def _label_file(written: Scalar, context: Context) -> dict[str, Label]:
    """Our labels of a file, which is written like an env file. One that is left unset there would
    narrow nothing, so it is an error."""
    files, place = context.files, written.place
    path = files.resolve(written, Path("/"))
    name = files.name(path)
    read = read_environment(
        Environment(context.environment.values), [(name, files.text(path, place))], files.budget
    )
    refuse_missing(
        (place, Missing(label, read.searched, reason))
        for label, reason in read.unset.items()
        if label.startswith(PREFIX)
    )
    return {
        key: Label(value, Place(name, 1))
        for key, value in read.values.items()
        if key.startswith(PREFIX)
    }


def _profiles(node: Mapping) -> tuple[str, ...]:
    profiles = node.get("profiles")
    items = profiles.items if isinstance(profiles, Sequence) else ()
    return tuple(item.text for item in items if isinstance(item, Scalar))


def _counts(node: Mapping) -> tuple[Node, ...]:
    counts = (node.get("scale"), node.get("deploy", "replicas"))
    return tuple(count for count in counts if count is not None)


def _replicas(node: Mapping, name: str) -> int:
    nodes = _counts(node)
    counts = {_count(count) for count in nodes}
    if len(counts) > 1:
        raise ComposeError(
            nodes[0].place,
            f"the service {name} has both scale and deploy.replicas, and they differ",
        )
    return counts.pop() if counts else 1


def _count(node: Node) -> int:
    if not isinstance(node, Scalar) or not (
        node.text.isascii() and node.text.isdecimal() and len(node.text) <= 6
    ):
        raise ComposeError(node.place, "scale and replicas must be whole numbers")
    return int(node.text)


def _text(node: Mapping, key: str) -> str:
    value = node.get(key)
    if value is None:
        return ""
    if not isinstance(value, Scalar):
        raise ComposeError(value.place, f"{key} must be a single value")
    return value.text
