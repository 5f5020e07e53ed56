"""What of a Compose file decides which ports are published, with its variables replaced; everything
else is left unread.

Unread are above all `environment`, `image`, `command`, `volumes` and other people's labels: they
hold secrets and variables that only the machine itself has, and a plan made elsewhere must not fail
for want of a password that no port depends on.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

from cloudsync.sources.compose.as_written import as_written
from cloudsync.sources.compose.files import join
from cloudsync.sources.compose.merging import EXTENSION
from cloudsync.sources.compose.nodes import ComposeError, Mapping, Node, Scalar, Sequence
from cloudsync.sources.compose.own_labels import our_labels
from cloudsync.sources.compose.reading import (
    Reading,
    filled,
    is_null,
    mapping,
    scalar,
    sequence,
)
from cloudsync.sources.compose.spelling import SERVICE, TOP, check_spelling

NETWORK_OPTIONS = (
    "com.docker.network.bridge.gateway_mode_ipv4",
    "com.docker.network.bridge.gateway_mode_ipv6",
    "com.docker.network.bridge.host_binding_ipv4",
)

Reader = Callable[[Node, str, Reading], Node]
_NAME = re.compile(r"[a-zA-Z0-9._-]{1,200}")


def relevant(document: Mapping, reading: Reading) -> Mapping:
    """What counts of a document: `name`, `include`, `services`, `networks`, and extension fields
    as they stand, which have to fit those of other files. Raises `ComposeError`."""
    check_spelling(document, TOP)
    entries = _extensions(document)
    if isinstance(name := document.get("name"), Scalar):
        entries["name"] = name
    if (include := document.get("include")) is not None:
        entries["include"] = sequence(filled(include, reading), "include")
    for key, read in (("services", _service), ("networks", _network)):
        node = document.entries.get(key)
        if node is not None and not is_null(node):
            entries[key] = _named(mapping(node, key), key, read, reading)
    return document.having(entries)


def _extensions(table: Mapping) -> dict[str, Node]:
    return {key: child for key, child in table.entries.items() if key.startswith(EXTENSION)}


def _named(tables: Mapping, key: str, read: Reader, reading: Reading) -> Mapping:
    entries = {}
    for name, node in tables.entries.items():
        if not _NAME.fullmatch(name):
            raise ComposeError(
                tables.keys[name], f"{key}: a name has only letters, digits, . _ and -"
            )
        entries[name] = node if node.tag == "reset" or is_null(node) else read(node, name, reading)
    return tables.having(entries)


def _service(node: Node, name: str, reading: Reading) -> Node:
    table = mapping(node, f"the service {name}")
    check_spelling(table, SERVICE)
    entries = _extensions(table)
    for key, read in _SERVICE.items():
        child = table.entries.get(key)
        if child is not None and child.tag == "reset":
            entries[key] = child
        elif child is not None and not is_null(child):
            entries[key] = read(child, key, reading)
    if reading.for_audit:
        entries |= as_written(table, reading)
    return table.having(entries)


def _network(node: Node, name: str, reading: Reading) -> Node:
    table = mapping(node, f"the network {name}")
    entries: dict[str, Node] = {
        key: filled(child, reading)
        for key, child in table.entries.items()
        if key in ("driver", "internal")
    }
    if isinstance(options := table.entries.get("driver_opts"), Mapping):
        known = {key: child for key, child in options.entries.items() if key in NETWORK_OPTIONS}
        entries["driver_opts"] = filled(options.having(known), reading)
    elif options is not None and options.tag == "reset":
        entries["driver_opts"] = options
    if (ipam := table.entries.get("ipam")) is not None and not is_null(ipam):
        entries["ipam"] = _ipam(ipam, reading)
    return table.having(entries)


def _ipam(node: Node, reading: Reading) -> Node:
    """The subnets alone."""
    if node.tag == "reset":
        return node
    table = mapping(node, "ipam")
    config = table.entries.get("config")
    if config is None or is_null(config):
        return table.having({})
    if config.tag == "reset":
        return table.having({"config": config})
    listed = sequence(config, "ipam.config")
    subnets = [item.get("subnet") for item in listed.items if isinstance(item, Mapping)]
    items = tuple(filled(subnet, reading) for subnet in subnets if subnet is not None)
    return table.having({"config": replace(listed, items=items)})


def _unread(node: Node, _key: str, _reading: Reading) -> Node:
    return Scalar("", node.place)  # that there is one is all that counts


def _plain(node: Node, _key: str, reading: Reading) -> Node:
    return filled(node, reading)


def _listed(node: Node, key: str, reading: Reading) -> Node:
    return sequence(filled(node, reading), key)


def _words(node: Node, key: str, reading: Reading) -> Node:
    listed = sequence(filled(node, reading), key)
    for item in listed.items:
        scalar(item, key)
    return listed


def _label_file(node: Node, key: str, reading: Reading) -> Node:
    """One path or several, joined to the folder they are relative to."""
    read = filled(node, reading)
    listed = Sequence((read,), read.place, read.tag) if isinstance(read, Scalar) else read
    paths = [scalar(item, key) for item in sequence(listed, key).items]
    return Sequence(
        tuple(
            path if path.missing else replace(path, text=str(join(path, reading.folder)))
            for path in paths
        ),
        listed.place,
        listed.tag,
    )


def _networks(node: Node, key: str, reading: Reading) -> Node:
    """A list or a mapping of networks as a mapping, each with its `gw_priority`."""
    if isinstance(node, Sequence):
        names = [scalar(filled(item, reading), key) for item in node.items if item.tag != "reset"]
        entries: dict[str, Node] = {
            name.text: replace(name, text="", null=True, tag=None) for name in names
        }
        return Mapping(entries, node.place, {name.text: name.place for name in names}, node.tag)
    table = mapping(node, key)
    return table.having(
        {name: _membership(child, reading) for name, child in table.entries.items()}
    )


def _membership(node: Node, reading: Reading) -> Node:
    if not isinstance(node, Mapping):
        return node
    known = {key: child for key, child in node.entries.items() if key == "gw_priority"}
    return filled(node.having(known), reading)


def _extends(node: Node, key: str, reading: Reading) -> Node:
    read = filled(node, reading)
    if isinstance(read, Scalar):
        return Mapping({"service": read}, read.place, {"service": read.place}, read.tag)
    table = mapping(read, key)
    if table.get("service") is None:
        raise ComposeError(table.place, "extends needs service")
    for child in table.entries.values():
        scalar(child, key)
    return table


def _deploy(node: Node, key: str, reading: Reading) -> Node:
    table = mapping(node, key)
    entries: dict[str, Node] = {}
    for name, child in table.entries.items():
        if name not in ("labels", "replicas") or is_null(child):
            continue
        if child.tag == "reset":
            entries[name] = child
        else:
            entries[name] = (our_labels if name == "labels" else _plain)(child, name, reading)
    return table.having(entries)


def _build(node: Node, _key: str, reading: Reading) -> Node:
    """The labels that the image will carry."""
    if not isinstance(node, Mapping):
        return Mapping({}, node.place, {}, node.tag)
    labels = node.entries.get("labels")
    if labels is None or is_null(labels):
        return node.having({})
    return node.having(
        {"labels": labels if labels.tag == "reset" else our_labels(labels, "labels", reading)}
    )


_SERVICE: dict[str, Reader] = {
    "ports": _listed,
    "labels": our_labels,
    "label_file": _label_file,
    "network_mode": _plain,
    "networks": _networks,
    "extends": _extends,
    "profiles": _words,
    "scale": _plain,
    "deploy": _deploy,
    "build": _build,
    "provider": _unread,
}
