"""The services of a project as values: their published ports, our labels, their network, and
whether they run at all."""

from __future__ import annotations

from collections.abc import Collection
from collections.abc import Mapping as Table
from dataclasses import dataclass
from pathlib import Path

from cloudsync.sources.compose.environment import dotenv
from cloudsync.sources.compose.files import Files
from cloudsync.sources.compose.nodes import (
    ComposeError,
    Mapping,
    Node,
    Place,
    Scalar,
    Sequence,
)
from cloudsync.sources.compose.ports import PublishedPort, published_ports
from cloudsync.sources.compose.relevant import LABELS

DEFAULT_NETWORK = "default"


@dataclass(frozen=True, slots=True)
class Label:
    value: str
    place: Place


@dataclass(frozen=True, slots=True)
class Service:
    """`network_mode`: as written, `""` without one. `networks`: by the names of the file. `labels`:
    only ours, with those of `deploy`."""

    name: str
    place: Place
    ports: tuple[PublishedPort, ...]
    labels: Table[str, Label]
    network_mode: str
    networks: tuple[str, ...]
    profiles: tuple[str, ...]
    replicas: int


@dataclass(frozen=True, slots=True)
class Network:
    """`driver`: `""` where the engine's default counts. `subnets`: of its `ipam`. `routed`: both
    families are routed, not published."""

    name: str
    driver: str
    internal: bool
    subnets: tuple[str, ...]
    routed: bool


def service_of(
    name: str,
    node: Mapping,
    place: Place,
    declared: Collection[str],
    environment: Table[str, str],
    files: Files,
) -> Service:
    """One service of a merged project. `declared`: the project's networks. Raises
    `ComposeError`."""
    ports = node.get("ports")
    mode, networks = _text(node, "network_mode"), node.get("networks")
    if mode and isinstance(networks, Mapping) and networks.entries:
        raise ComposeError(networks.place, f"the service {name} has both network_mode and networks")
    named = tuple(networks.entries) if isinstance(networks, Mapping) else ()
    for network in named:
        if network not in declared and network != DEFAULT_NETWORK:
            raise ComposeError(
                node.place,
                f"the service {name} is on the network {network[:60]!r}, which the project does not have",
            )
    profiles = node.get("profiles")
    return Service(
        name=name,
        place=place,
        ports=published_ports(ports, files.budget)
        if isinstance(ports, Sequence) and node.get("provider") is None
        else (),
        labels=_labels(node, environment, files),
        network_mode=mode,
        networks=() if mode else named or (DEFAULT_NETWORK,),
        profiles=tuple(one.text for one in profiles.items if isinstance(one, Scalar))
        if isinstance(profiles, Sequence)
        else (),
        replicas=_replicas(node, name),
    )


def network_of(name: str, node: Node) -> Network:
    """One entry of the project's `networks`. Raises `ComposeError`."""
    if not isinstance(node, Mapping):
        return Network(name, "", internal=False, subnets=(), routed=False)
    options, subnets = node.get("driver_opts"), node.get("subnets")
    modes = [
        one.text
        for key, one in (options.entries.items() if isinstance(options, Mapping) else ())
        if isinstance(one, Scalar)
    ]
    return Network(
        name,
        driver=_text(node, "driver"),
        internal=_boolean(node, "internal"),
        subnets=tuple(one.text for one in subnets.items if isinstance(one, Scalar))
        if isinstance(subnets, Sequence)
        else (),
        routed=len(modes) == 2 and set(modes) == {"routed"},
    )


def _labels(node: Mapping, environment: Table[str, str], files: Files) -> dict[str, Label]:
    """Ours, of `label_file` under those of `labels`, with those of `deploy.labels`, which may not
    say otherwise."""
    found: dict[str, Label] = {}
    listed = node.get("label_file")
    for one in listed.items if isinstance(listed, Sequence) else ():
        if isinstance(one, Scalar):
            found |= _label_file(Path(one.text), one.place, environment, files)
    found |= _label_table(node.get("labels"))
    for key, label in _label_table(node.get("deploy", "labels")).items():
        if found.setdefault(key, label).value != label.value:
            raise ComposeError(
                label.place,
                f"the label {key[:80]} of deploy says something else than at {found[key].place}",
            )
    return found


def _label_table(node: Node | None) -> dict[str, Label]:
    entries = node.entries.items() if isinstance(node, Mapping) else ()
    return {
        key: Label("" if one.null else one.text, one.place)
        for key, one in entries
        if isinstance(one, Scalar)
    }


def _label_file(
    path: Path, place: Place, environment: Table[str, str], files: Files
) -> dict[str, Label]:
    name = files.name(path)
    read = dotenv(files.text(path, place), name, environment)
    return {
        key: Label(value, Place(name, 1)) for key, value in read.items() if key.startswith(LABELS)
    }


def _replicas(node: Mapping, name: str) -> int:
    scale, replicas = node.get("scale"), node.get("deploy", "replicas")
    said = {_count(one) for one in (scale, replicas) if one is not None}
    if len(said) > 1:
        raise ComposeError(
            (scale or node).place,
            f"the service {name} has scale and deploy.replicas, and they differ",
        )
    return said.pop() if said else 1


def _count(node: Node) -> int:
    if not isinstance(node, Scalar) or not (
        node.text.isascii() and node.text.isdecimal() and len(node.text) <= 6
    ):
        raise ComposeError(node.place, "scale and replicas are whole numbers")
    return int(node.text)


def _text(node: Mapping, key: str) -> str:
    found = node.get(key)
    if found is None:
        return ""
    if not isinstance(found, Scalar):
        raise ComposeError(found.place, f"{key} must be a text")
    return found.text


def _boolean(node: Mapping, key: str) -> bool:
    text = _text(node, key).lower()
    if text not in ("", "true", "false"):
        raise ComposeError((node.get(key) or node).place, f"{key} must be true or false")
    return text == "true"
