"""From YAML text to nodes with their lines: strict about duplicate keys, bounded in everything.

libyaml scans and parses (go-yaml, which docker compose reads with, is a port of it, so both take
and refuse the same text); what a plain scalar means is YAML 1.2 and is decided here. The nodes are
built from libyaml's events without recursion, so that depth, size and the expansion of aliases are
counted while they happen: a "billion laughs" document stops at the first node too many.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import yaml

from cloudsync.sources.compose.nodes import (
    ComposeError,
    Mapping,
    Node,
    Place,
    Scalar,
    Sequence,
    Tag,
)

MAX_DEPTH = 40
MAX_NODES = 50_000
"""Of one file, aliases counted as often as they are used."""

_MERGE = "<<"
_TAGS: dict[str, Tag] = {"!reset": "reset", "!override": "override"}
_NULLS = frozenset(("", "~", "null", "Null", "NULL"))
_INTEGER = re.compile(r"[-+]?(?:0b[01_]+|0o?[0-7_]+|0x[0-9a-fA-F_]+|[0-9][0-9_]*)")
_LOADER = yaml.CLoader if yaml.__with_libyaml__ else yaml.Loader
"""Only its scanner and parser are used. The one in Python, where libyaml is missing, is slower and
refuses some tabs that libyaml takes."""


@dataclass(frozen=True, slots=True)
class _Item:
    """A node inside an open collection."""

    node: Node
    size: int
    """With everything in it, aliases expanded."""
    merge_key: bool


@dataclass(slots=True)
class _Open:
    """A collection whose end has not come yet."""

    place: Place
    tag: Tag | None
    anchor: str | None
    mapping: bool
    items: list[_Item] = field(default_factory=list)


def documents(text: str, file: str) -> tuple[Mapping, ...]:
    """The documents of a file that are not empty. Raises `ComposeError`, also for a document that
    is no mapping."""
    builder = _Builder(file)
    mappings = []
    try:
        for event in _events(text):
            if isinstance(event, yaml.DocumentEndEvent):
                root = builder.document()
                if isinstance(root, Mapping):
                    mappings.append(root)
                elif root is not None and not (isinstance(root, Scalar) and root.null):
                    raise ComposeError(
                        root.place,
                        "a Compose file is a mapping with services, not a list or a single value",
                    )
            else:
                builder.take(event)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark is not None else 1
        problem = (error.problem or error.context or "cannot be parsed").splitlines()[0][:100]
        raise ComposeError(Place(file, line), f"invalid YAML: {problem}") from None
    except (yaml.YAMLError, ValueError, OverflowError):
        # Characters that YAML does not allow; the library's message may quote the file.
        raise ComposeError(Place(file, builder.line), "invalid YAML") from None
    return tuple(mappings)


def _events(text: str) -> Iterator[yaml.Event]:
    return iter(yaml.parse(text, Loader=_LOADER))


class _Builder:
    """Builds one document after the other from events."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.line = 1
        self.nodes = 0
        self.open: list[_Open] = []
        self.anchors: dict[str, tuple[Node, int]] = {}
        self.root: Node | None = None

    def document(self) -> Node | None:
        """The document that just ended."""
        root, self.root, self.anchors = self.root, None, {}
        return root

    def take(self, event: yaml.Event) -> None:
        """One event; those of streams and documents change nothing."""
        if event.start_mark is not None:
            self.line = event.start_mark.line + 1
        place = Place(self.file, self.line)
        if isinstance(event, yaml.ScalarEvent):
            self.scalar(event, place)
        elif isinstance(event, yaml.AliasEvent):
            self.alias(event.anchor or "", place)
        elif isinstance(event, yaml.MappingStartEvent | yaml.SequenceStartEvent):
            if len(self.open) >= MAX_DEPTH:
                raise ComposeError(place, f"is nested deeper than {MAX_DEPTH} levels")
            mapping = isinstance(event, yaml.MappingStartEvent)
            self.open.append(_Open(place, _TAGS.get(event.tag or ""), event.anchor, mapping))
        elif isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
            self.close()

    def scalar(self, event: yaml.ScalarEvent, place: Place) -> None:
        plain = not event.style and event.tag is None
        tag = _TAGS.get(event.tag or "")
        null = event.value in _NULLS and (plain or (tag is not None and not event.style))
        integer = plain and _INTEGER.fullmatch(event.value) is not None
        node = Scalar(event.value, place, null or event.tag == _NULL_TAG, integer, tag)
        self.finish(node, 1, event.anchor, merge_key=plain and event.value == _MERGE)

    def alias(self, name: str, place: Place) -> None:
        if name not in self.anchors:
            inside = any(collection.anchor == name for collection in self.open)
            problem = "refers to itself" if inside else "there is no such anchor above"
            raise ComposeError(place, f"*{name[:40]}: {problem}")
        node, size = self.anchors[name]
        self.add(_Item(node, size, merge_key=False), new=size)

    def close(self) -> None:
        closed = self.open.pop()
        if closed.tag == "override":
            closed.items = [replace(item, node=_untagged(item.node)) for item in closed.items]
        size = 1 + sum(item.size for item in closed.items)
        node: Node = (
            _mapping(closed)
            if closed.mapping
            else Sequence(tuple(item.node for item in closed.items), closed.place, closed.tag)
        )
        self.finish(node, size, closed.anchor)

    def finish(self, node: Node, size: int, anchor: str | None, *, merge_key: bool = False) -> None:
        if anchor is not None:
            self.anchors[anchor] = (_for_alias(node), size)
        self.add(_Item(node, size, merge_key), new=1)

    def add(self, item: _Item, *, new: int) -> None:
        """`new`: how many nodes this adds; those of a collection were counted as they came, those
        of an alias were not."""
        self.nodes += new
        if self.nodes > MAX_NODES:
            raise ComposeError(
                Place(self.file, self.line),
                f"the file has more than {MAX_NODES} keys and values, aliases expanded",
            )
        if self.open:
            self.open[-1].items.append(item)
        else:
            self.root = item.node


def _untagged(node: Node) -> Node:
    """A node inside of one that overrides: tags mean nothing to docker compose there."""
    if isinstance(node, Mapping):
        entries = {key: _untagged(child) for key, child in node.entries.items()}
        return Mapping(entries, node.place, node.keys)
    if isinstance(node, Sequence):
        return Sequence(tuple(map(_untagged, node.items)), node.place)
    return node if node.tag is None else replace(node, tag=None)


def _for_alias(node: Node) -> Node:
    """A node as an alias repeats it: what is reset inside of it is reset where the anchor is, and
    gone from the aliases. What it overrides, the aliases override too."""
    if isinstance(node, Mapping):
        entries = {
            key: _for_alias(child) for key, child in node.entries.items() if child.tag != "reset"
        }
        return node.having(entries)
    if isinstance(node, Sequence):
        items = tuple(_for_alias(item) for item in node.items if item.tag != "reset")
        return replace(node, items=items)
    return node


_NULL_TAG = "tag:yaml.org,2002:null"


def _mapping(closed: _Open) -> Mapping:
    """A mapping with its merge keys resolved: its own keys win, then the first of several merged
    mappings."""
    entries: dict[str, Node] = {}
    keys: dict[str, Place] = {}
    merged: list[Mapping] = []
    for key, value in zip(closed.items[::2], closed.items[1::2], strict=True):
        if not isinstance(key.node, Scalar):
            raise ComposeError(key.node.place, "a key must be a single value")
        name, place = key.node.text, key.node.place
        if key.merge_key:
            if merged:
                raise ComposeError(place, "duplicate merge key << in one mapping")
            merged = _merged(value.node)
        elif name in entries:
            raise ComposeError(
                place,
                f"duplicate key {name[:60]!r} in one mapping, first in line {keys[name].line}",
            )
        else:
            entries[name], keys[name] = value.node, place
    for mapping in merged:
        _add_merged(mapping, entries, keys)
    return Mapping(entries, closed.place, keys, closed.tag)


def _add_merged(mapping: Mapping, entries: dict[str, Node], keys: dict[str, Place]) -> None:
    """Add what a merge key brings. Tags act on what comes to lie under the mapping, not within it:
    its own `!reset` leaves what is merged, and a tag of what is merged counts here too."""
    for name, node in mapping.entries.items():
        own = entries.get(name)
        if own is None:
            entries[name], keys[name] = node, mapping.keys[name]
        elif own.tag == "reset" and node.tag != "reset":
            entries[name], keys[name] = replace(node, tag="override"), mapping.keys[name]
        elif own.tag is None and node.tag is not None:
            entries[name] = replace(own, tag="override")


def _merged(value: Node) -> list[Mapping]:
    values = value.items if isinstance(value, Sequence) else (value,)
    mappings = [node for node in values if isinstance(node, Mapping)]
    if not mappings or len(mappings) != len(values):
        raise ComposeError(value.place, "the merge key << takes a mapping or a list of mappings")
    return [replace(mapping, tag=None) for mapping in mappings]
