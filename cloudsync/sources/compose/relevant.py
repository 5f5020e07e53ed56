"""What of a Compose file decides which ports are published, with its variables put in; everything
else is left unread.

Unread are above all `environment`, `image`, `command`, `volumes` and the labels of others: they
hold secrets and variables that only the machine itself has, and a plan made elsewhere must not fail
for want of a password that no port depends on.
"""

from __future__ import annotations

import re
from collections.abc import Mapping as Table
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path

from cloudsync.sources.compose.files import Files
from cloudsync.sources.compose.interpolation import InterpolationError, interpolate
from cloudsync.sources.compose.nodes import (
    ComposeError,
    Mapping,
    Node,
    Place,
    Scalar,
    Sequence,
)

LABELS = "cloudsync."
GATEWAY_MODE = "com.docker.network.bridge.gateway_mode_ipv"
_TOP = ("name", "include", "services", "networks")
_SERVICE = (
    "ports",
    "labels",
    "label_file",
    "network_mode",
    "networks",
    "extends",
    "profiles",
    "scale",
    "deploy",
    "provider",
)
_NAME = re.compile(r"[a-zA-Z0-9._-]{1,200}")
_NEAR = 0.7
"""No other key of the specification is as near to one of these."""


@dataclass(frozen=True, slots=True)
class Reading:
    """How the files of one project, or of one included in it, are read. `folder`: what their paths
    are relative to."""

    files: Files
    folder: Path
    environment: Table[str, str]


def relevant(document: Mapping, reading: Reading) -> Mapping:
    """The part of a document that counts: `name`, `include`, `services`, `networks`. Raises
    `ComposeError`."""
    _misspelt(document, _TOP)
    entries: dict[str, Node] = {}
    if (name := _name(document, reading)) is not None:
        entries["name"] = name
    if (include := document.get("include")) is not None:
        entries["include"] = _sequence(_filled(include, reading), "include")
    for key, part in (("services", _service), ("networks", _network)):
        if (node := document.get(key)) is not None or _tagged(document, key):
            tables = _mapping(document.entries[key] if node is None else node, key)
            found = {}
            for name_, one in tables.entries.items():
                if not _NAME.fullmatch(name_):
                    raise ComposeError(
                        tables.keys[name_], f"{key} are named with letters, digits, . _ and -"
                    )
                found[name_] = part(one, name_, reading)
            entries[key] = tables.having(found)
    return document.having(entries)


def _tagged(document: Mapping, key: str) -> bool:
    node = document.entries.get(key)
    return node is not None and node.tag == "reset"


def _name(document: Mapping, reading: Reading) -> Node | None:
    node = document.get("name")
    if not isinstance(node, Scalar):
        return None
    try:
        return replace(node, text=interpolate(node.text, reading.environment))
    except InterpolationError:
        return None  # it is only shown


def _service(node: Node, name: str, reading: Reading) -> Node:
    if node.tag == "reset":
        return node
    table = _mapping(node, f"the service {name}")
    _misspelt(table, _SERVICE)
    entries: dict[str, Node] = {}
    for key in _SERVICE:
        if (one := table.entries.get(key)) is None:
            continue
        if one.tag == "reset":
            entries[key] = Mapping({}, one.place, {}, "reset")
        elif not (isinstance(one, Scalar) and one.null):
            entries[key] = _SHAPES.get(key, _plain)(one, key, reading)
    return table.having(entries)


def _network(node: Node, name: str, reading: Reading) -> Node:
    if node.tag == "reset" or (isinstance(node, Scalar) and node.null):
        return Mapping({}, node.place, {}, node.tag)
    table = _mapping(node, f"the network {name}")
    entries = {key: one for key, one in table.entries.items() if key in ("driver", "internal")}
    if isinstance(options := table.get("driver_opts"), Mapping):
        modes = {key: one for key, one in options.entries.items() if key.startswith(GATEWAY_MODE)}
        entries["driver_opts"] = options.having(modes)
    if (config := table.get("ipam", "config")) is not None:
        tables = [one for one in _sequence(config, "ipam.config").items if isinstance(one, Mapping)]
        subnets = tuple(one.entries["subnet"] for one in tables if one.get("subnet") is not None)
        entries["subnets"] = Sequence(subnets, config.place)
    return table.having({key: _filled(one, reading) for key, one in entries.items()})


def _plain(node: Node, _key: str, reading: Reading) -> Node:
    return _filled(node, reading)


def _ports(node: Node, key: str, reading: Reading) -> Node:
    return _sequence(_filled(node, reading), key)


def _words(node: Node, key: str, reading: Reading) -> Node:
    """A list of texts."""
    listed = _sequence(_filled(node, reading), key)
    for one in listed.items:
        _scalar(one, key)
    return listed


def _label_file(node: Node, key: str, reading: Reading) -> Node:
    filled = _filled(node, reading)
    listed = (
        Sequence((filled,), filled.place, filled.tag)
        if isinstance(filled, Scalar)
        else _sequence(filled, key)
    )
    paths = (_scalar(one, key) for one in listed.items)
    return replace(
        listed,
        items=tuple(
            replace(one, text=str(reading.files.resolve(one.text, reading.folder, one.place)))
            for one in paths
        ),
    )


def _networks(node: Node, key: str, reading: Reading) -> Node:
    """A list or a mapping of networks as a mapping to nothing: only the names count."""
    if isinstance(node, Sequence):
        names = [_scalar(_filled(one, reading), key) for one in node.items]
        entries: dict[str, Node] = {
            one.text: Scalar("", one.place, null=True, tag=one.tag) for one in names
        }
        return Mapping(entries, node.place, {one.text: one.place for one in names}, node.tag)
    table = _mapping(node, key)
    return table.having(
        {
            name: Scalar("", table.keys[name], null=True, tag=one.tag)
            for name, one in table.entries.items()
        }
    )


def _extends(node: Node, key: str, reading: Reading) -> Node:
    filled = _filled(node, reading)
    if isinstance(filled, Scalar):
        return Mapping({"service": filled}, filled.place, {"service": filled.place})
    table = _mapping(filled, key)
    if table.get("service") is None:
        raise ComposeError(table.place, "extends needs service")
    for one in table.entries.values():
        _scalar(one, key)
    return table


def _deploy(node: Node, key: str, reading: Reading) -> Node:
    table = _mapping(node, key)
    entries: dict[str, Node] = {}
    for name, one in table.entries.items():
        if one.tag == "reset" and name in ("labels", "replicas"):
            entries[name] = one
        elif name == "labels" and not (isinstance(one, Scalar) and one.null):
            entries[name] = _labels(one, name, reading)
        elif name == "replicas":
            entries[name] = _filled(one, reading)
    return table.having(entries)


def _labels(node: Node, key: str, reading: Reading) -> Node:
    """Our labels out of a list or a mapping, as a mapping. Of the labels of others not even the
    variables are looked at."""
    entries: dict[str, Node] = {}
    keys: dict[str, Place] = {}
    if isinstance(node, Mapping):
        for name, one in node.entries.items():
            if name.startswith(LABELS):
                entries[name], keys[name] = _filled(one, reading), node.keys[name]
                if not isinstance(one, Scalar) and one.tag != "reset":
                    raise ComposeError(one.place, f"the label {name[:80]} must be a text")
        return Mapping(entries, node.place, keys, node.tag)
    for item in _sequence(node, key).items:
        one = _scalar(item, key)
        if (text := _label_text(one, reading)).startswith(LABELS):
            name, _, value = text.partition("=")
            entries[name], keys[name] = (
                replace(one, text=value, null=False, integer=False),
                one.place,
            )
    return Mapping(entries, node.place, keys, node.tag)


def _label_text(node: Scalar, reading: Reading) -> str:
    """`key=value` with its variables; strict where the key is, or may be, one of ours."""
    name = node.text.partition("=")[0]
    if not (name.startswith(LABELS) or "$" in name):
        return ""
    filled = _filled(node, reading)
    return filled.text if isinstance(filled, Scalar) else ""


_SHAPES = {
    "ports": _ports,
    "profiles": _words,
    "labels": _labels,
    "label_file": _label_file,
    "networks": _networks,
    "extends": _extends,
    "deploy": _deploy,
}


def _filled(node: Node, reading: Reading) -> Node:
    """A node with its variables put in. Raises `ComposeError` for one that is not set."""
    if isinstance(node, Mapping):
        return node.having({key: _filled(one, reading) for key, one in node.entries.items()})
    if isinstance(node, Sequence):
        return replace(node, items=tuple(_filled(one, reading) for one in node.items))
    if "$" not in node.text:
        return node
    try:
        text = interpolate(node.text, reading.environment)
    except InterpolationError as error:
        raise ComposeError(node.place, str(error)) from None
    reading.files.budget.put_in(len(text), node.place)
    return replace(node, text=text, null=False, integer=False)


def _misspelt(table: Mapping, known: tuple[str, ...]) -> None:
    """Keys that are none, but nearly one that counts: docker compose refuses them, and to pass them
    over would hide ports."""
    for key, place in table.keys.items():
        if (
            key not in known
            and not key.startswith("x-")
            and (near := get_close_matches(key, known, 1, _NEAR))
        ):
            raise ComposeError(place, f'unknown key {key[:60]!r}, did you mean "{near[0]}"?')


def _mapping(node: Node, what: str) -> Mapping:
    if isinstance(node, Mapping):
        return node
    if isinstance(node, Scalar) and node.null and node.tag == "reset":
        return Mapping({}, node.place, {}, "reset")
    raise ComposeError(node.place, f"{what} must be a mapping")


def _sequence(node: Node, what: str) -> Sequence:
    if not isinstance(node, Sequence):
        raise ComposeError(node.place, f"{what} must be a list")
    return node


def _scalar(node: Node, what: str) -> Scalar:
    if not isinstance(node, Scalar) or node.null:
        raise ComposeError(node.place, f"{what}: must be a text")
    return node
