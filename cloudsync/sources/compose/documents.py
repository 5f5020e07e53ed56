"""From YAML text to nodes with their lines: YAML 1.2, strict about duplicate keys, bounded in
everything.

ruamel.yaml scans, parses and knows what a plain scalar means; the nodes are built here from its
events, without recursion, so that depth, size and the expansion of aliases are counted while they
happen (a "billion laughs" document stops at the first line too many).
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentEndEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    NodeEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)
from ruamel.yaml.nodes import ScalarNode
from ruamel.yaml.resolver import VersionedResolver

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


@dataclass(slots=True)
class _Open:
    """A collection whose end has not come yet."""

    place: Place
    tag: Tag | None
    anchor: str | None
    mapping: bool
    items: list[tuple[Node, int, bool]] = field(default_factory=list)
    """(node, its size with aliases expanded, whether it is the merge key)."""


def documents(text: str, file: str) -> tuple[Mapping, ...]:
    """The documents of a file that are not empty; each must be a mapping. Raises `ComposeError`."""
    builder = _Builder(file)
    found = []
    try:
        for event in _events(text):
            if isinstance(event, DocumentEndEvent):
                node = builder.document()
                if isinstance(node, Mapping):
                    found.append(node)
                elif node is not None and not (isinstance(node, Scalar) and node.null):
                    raise ComposeError(
                        node.place,
                        "a Compose file is a mapping with services, not a list or a text",
                    )
            else:
                builder.take(event)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark is not None else 1
        raise ComposeError(
            Place(file, line), f"is no YAML: {_first_line(error.problem or error.context)}"
        ) from None
    except (YAMLError, ValueError, OverflowError, IndexError, AttributeError, KeyError, TypeError):
        # Also what the library trips over in text that is no YAML at all; its message may quote the
        # file.
        raise ComposeError(Place(file, builder.line), "is no YAML") from None
    return tuple(found)


def _events(text: str) -> Iterator[Event]:
    yaml = YAML(typ="safe", pure=True)
    return iter(yaml.parse(io.StringIO(text)))


def _first_line(text: str | None) -> str:
    return (text or "cannot be parsed").splitlines()[0][:100]


class _Builder:
    def __init__(self, file: str) -> None:
        self.file = file
        self.line = 1
        self.nodes = 0
        self.open: list[_Open] = []
        self.anchors: dict[str, tuple[Node, int]] = {}
        self.root: Node | None = None
        self.resolver = VersionedResolver(version="1.2")

    def document(self) -> Node | None:
        root, self.root, self.anchors = self.root, None, {}
        return root

    def take(self, event: Event) -> None:
        if event.start_mark is not None:
            self.line = event.start_mark.line + 1
        place = Place(self.file, self.line)
        if isinstance(event, AliasEvent):
            self.alias(event, place)
        elif isinstance(event, ScalarEvent):
            self.scalar(event, place)
        elif isinstance(event, MappingStartEvent | SequenceStartEvent):
            if len(self.open) >= MAX_DEPTH:
                raise ComposeError(place, f"is nested deeper than {MAX_DEPTH} levels")
            self.open.append(
                _Open(place, _tag(event), event.anchor, isinstance(event, MappingStartEvent))
            )
        elif isinstance(event, MappingEndEvent | SequenceEndEvent):
            self.close()

    def alias(self, event: AliasEvent, place: Place) -> None:
        name = event.anchor or ""
        if name not in self.anchors:
            inside = any(one.anchor == name for one in self.open)
            raise ComposeError(
                place,
                f"*{name[:40]}: "
                + ("stands inside of itself" if inside else "there is no such anchor above"),
            )
        node, size = self.anchors[name]
        self.place_node(node, size, counted=size)

    def scalar(self, event: ScalarEvent, place: Place) -> None:
        kind = ""
        if event.ctag is not None and event.tag:
            kind = str(event.tag)
        elif event.implicit[0]:
            kind = str(self.resolver.resolve(ScalarNode, event.value, event.implicit))
        kind = kind.rpartition(":")[2]
        plain = event.style is None
        node = Scalar(
            event.value, place, kind == "null" and plain, kind == "int" and plain, _tag(event)
        )
        self.finish(node, 1, event.anchor, merge=plain and event.value == _MERGE)

    def close(self) -> None:
        closed = self.open.pop()
        size = 1 + sum(size for _, size, _ in closed.items)
        items = tuple(one for one, _, _ in closed.items)
        node = _mapping(closed) if closed.mapping else Sequence(items, closed.place, closed.tag)
        self.finish(node, size, closed.anchor)

    def finish(self, node: Node, size: int, anchor: str | None, *, merge: bool = False) -> None:
        if anchor is not None:
            self.anchors[anchor] = (node, size)
        self.place_node(node, size, counted=1, merge=merge)

    def place_node(self, node: Node, size: int, *, counted: int, merge: bool = False) -> None:
        """`size`: of the node with all that is in it. `counted`: how much of that is new; an alias
        is counted whole."""
        self.nodes += counted
        if self.nodes > MAX_NODES:
            raise ComposeError(
                Place(self.file, self.line),
                f"says more than {MAX_NODES} things, with its aliases expanded",
            )
        if self.open:
            self.open[-1].items.append((node, size, merge))
        else:
            self.root = node


def _tag(event: NodeEvent) -> Tag | None:
    return _TAGS.get(str(getattr(event, "tag", None) or ""))


def _mapping(closed: _Open) -> Mapping:
    """A mapping with its merge keys carried out: its own keys win, then the first of several merged
    mappings."""
    entries: dict[str, Node] = {}
    keys: dict[str, Place] = {}
    merged: list[Mapping] = []
    for (key, _, merge), (value, _, _) in zip(closed.items[::2], closed.items[1::2], strict=True):
        if not isinstance(key, Scalar):
            raise ComposeError(key.place, "a key must be text")
        if merge:
            if merged:
                raise ComposeError(key.place, "the merge key << stands twice in one mapping")
            merged = _merged(value)
        elif key.text in entries:
            raise ComposeError(
                key.place,
                f"the key {key.text[:60]!r} stands twice in one mapping, first in line {keys[key.text].line}",
            )
        else:
            entries[key.text], keys[key.text] = value, key.place
    for one in merged:
        for name, node in one.entries.items():
            if name not in entries:
                entries[name], keys[name] = node, one.keys[name]
    return Mapping(entries, closed.place, keys, closed.tag)


def _merged(value: Node) -> list[Mapping]:
    found = value.items if isinstance(value, Sequence) else (value,)
    mappings = [one for one in found if isinstance(one, Mapping)]
    if not mappings or len(mappings) != len(found):
        raise ComposeError(value.place, "the merge key << takes a mapping or a list of mappings")
    return [replace(one, tag=None) for one in mappings]
