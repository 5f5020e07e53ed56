"""What an audit wants to know of a service beyond its ports: image, mounts, powers, command, all
its labels, and the names of its variables. Nothing of it decides which ports are published, so that
a variable without a value is no error here, and no value of `environment` is ever kept.

Each key comes in one shape, so that files merge, include and extend it as docker compose does:
mounts by their target, variables and labels by their name; a command takes the place of the one
below it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from cloudsync.sources.compose.nodes import ComposeError, Mapping, Node, Place, Scalar, Sequence
from cloudsync.sources.compose.reading import Reading, filled, is_null

PREFIX = "as written: "
"""Before a key in a service's table: no key of a file begins with it."""


def as_written(service: Mapping, reading: Reading) -> dict[str, Node]:
    """The keys of a service that only an audit reads, under `PREFIX`."""
    entries: dict[str, Node] = {}
    for key, shape in _SHAPES.items():
        node = service.entries.get(key)
        if node is not None and node.tag == "reset":
            entries[PREFIX + key] = node
        elif node is not None and not is_null(node):
            read = shape(node, reading)
            # A list stands where its key does; its entries have lines of their own.
            in_place = isinstance(read, Sequence) and key in service.keys
            entries[PREFIX + key] = replace(read, place=service.keys[key]) if in_place else read
    return entries


def _lenient(node: Node, reading: Reading) -> Node:
    """With the variables that have a value; as it stands if one is malformed."""
    try:
        return filled(node, reading)
    except ComposeError:
        return node


def _single(node: Node, reading: Reading) -> Node:
    return _lenient(node, reading) if isinstance(node, Scalar) else Scalar("", node.place)


def _words(node: Node, reading: Reading) -> Node:
    """A command: a list, or a line of words. It replaces the one below it."""
    read = _lenient(node, reading)
    if isinstance(read, Scalar):
        items: tuple[Node, ...] = tuple(Scalar(word, read.place) for word in read.text.split())
        return Sequence(items, read.place, "override")
    return replace(read, tag="override")


def _listed(node: Node, reading: Reading) -> Node:
    read = _lenient(node, reading)
    return read if isinstance(read, Sequence) else Sequence((), read.place, read.tag)


def _named(node: Node, reading: Reading) -> Node:
    """`labels`, a list or a mapping, as a mapping."""
    read = _lenient(node, reading)
    if isinstance(read, Mapping):
        return read
    entries: dict[str, Node] = {}
    for item in _scalars(read):
        name, _, value = item.text.partition("=")
        entries[name] = replace(item, text=value, null=False, tag=None)
    return _table(entries, read)


def _names(node: Node, _: Reading) -> Node:
    """`environment`: the names alone."""
    if isinstance(node, Mapping):
        return _table({name: Scalar("", place) for name, place in node.keys.items()}, node)
    names = {item.text.partition("=")[0]: Scalar("", item.place) for item in _scalars(node)}
    return _table(dict(names), node)


def _mounts(node: Node, reading: Reading) -> Node:
    """`volumes`: what is bound from the machine, by the path in the container."""
    read = _lenient(node, reading)
    entries: dict[str, Node] = {}
    for item in read.items if isinstance(read, Sequence) else ():
        source, target, read_only = _mount(item)
        if source.startswith(("/", ".", "~")) and target:
            entries[target] = Scalar(f"{'ro' if read_only else 'rw'} {source}", item.place)
    return _table(entries, read)


def _mount(item: Node) -> tuple[str, str, bool]:
    """Source, target, and whether it is read-only; an empty source for what is no bind mount."""
    if isinstance(item, Mapping):
        kind, source, target, read_only = (
            child.text if isinstance(child := item.get(key), Scalar) else ""
            for key in ("type", "source", "target", "read_only")
        )
        return (source if kind == "bind" else "", target, read_only == "true")
    words = item.text.split(":") if isinstance(item, Scalar) else []
    options = words[2].split(",") if len(words) > 2 else []
    return (words[0], words[1], "ro" in options) if len(words) > 1 else ("", "", False)


def _scalars(node: Node) -> Iterator[Scalar]:
    for item in node.items if isinstance(node, Sequence) else ():
        if isinstance(item, Scalar):
            yield item


def _table(entries: dict[str, Node], node: Node) -> Mapping:
    keys: dict[str, Place] = {name: child.place for name, child in entries.items()}
    return Mapping(entries, node.place, keys, node.tag)


_SHAPES: dict[str, Callable[[Node, Reading], Node]] = {
    "image": _single,
    "privileged": _single,
    "pid": _single,
    "command": _words,
    "entrypoint": _words,
    "cap_add": _listed,
    "volumes": _mounts,
    "environment": _names,
    "labels": _named,
}
