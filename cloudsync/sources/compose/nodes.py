"""What a YAML document contains, with the line each thing is on: scalars, sequences, mappings.

Nodes are frozen, and scalars stay as written: `080` and `22:22` are text until something reads them
as a port.
"""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Mapping as Table
from typing import Literal

from cloudsync.rules.frozen import dataclass

Tag = Literal["reset", "override"]


@dataclass(frozen=True, slots=True)
class Place:
    """A line of a file."""

    file: str
    """As messages name it: relative to the folder of the configuration."""
    line: int
    """From 1."""

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


class ComposeError(Exception):
    """A Compose project that cannot be read. The message is one line, begins with `file:line:` and
    quotes no value of a variable."""

    def __init__(self, place: Place | str, problem: str) -> None:
        super().__init__(f"{place}: {problem}")


@dataclass(frozen=True, slots=True)
class Missing:
    """A variable that a scalar needs and that has no value: an error once the scalar decides
    something."""

    name: str
    searched: tuple[str, ...] = ()
    """The env files it was looked for in."""
    problem: str = ""
    """What else to say: the message of `${V:?message}`, or the line of an env file that leaves it
    unset."""
    required: bool = False
    """Written as `${V:?}` or `${V?}`."""


@dataclass(frozen=True, slots=True)
class Scalar:
    """One value."""

    text: str
    """As written, or with its variables replaced."""
    place: Place
    null: bool = False
    """YAML reads it as null."""
    integer: bool = False
    """YAML reads it as a whole number, decimal or not."""
    tag: Tag | None = None
    missing: tuple[Missing, ...] = ()
    """The variables without which `text` is not what its author meant."""
    written: str = ""
    """Before its variables were replaced; empty without variables."""

    @property
    def shown(self) -> str:
        """The text for messages, which never show what a variable holds."""
        return (self.written or self.text)[:200]


@dataclass(frozen=True, slots=True)
class Sequence:
    """A list."""

    items: tuple[Node, ...]
    place: Place
    tag: Tag | None = None


@dataclass(frozen=True, slots=True)
class Mapping:
    """A mapping from text to nodes."""

    entries: Table[str, Node]
    place: Place
    keys: Table[str, Place]
    """The place of each key."""
    tag: Tag | None = None

    def get(self, *path: str) -> Node | None:
        """The node at a path of keys; None if it is absent, null or reset."""
        node: Node = self
        for key in path:
            child = node.entries.get(key) if isinstance(node, Mapping) else None
            if child is None or child.tag == "reset" or (isinstance(child, Scalar) and child.null):
                return None
            node = child
        return node

    def having(self, entries: Table[str, Node]) -> Mapping:
        """The same mapping with other entries; a key that is new takes the place of its value."""
        keys = {key: self.keys.get(key, node.place) for key, node in entries.items()}
        return Mapping(entries, self.place, keys, self.tag)


Node = Scalar | Sequence | Mapping


def scalars(node: Node | None) -> Iterator[Scalar]:
    """Every scalar of a tree, in the order of the file."""
    if isinstance(node, Scalar):
        yield node
    elif isinstance(node, Sequence):
        for item in node.items:
            yield from scalars(item)
    elif isinstance(node, Mapping):
        for child in node.entries.values():
            yield from scalars(child)


def size(node: Node) -> int:
    """How many nodes a tree has."""
    if isinstance(node, Scalar):
        return 1
    children = node.items if isinstance(node, Sequence) else node.entries.values()
    return 1 + sum(map(size, children))


def same(left: Node | None, right: Node | None) -> bool:
    """Whether two nodes mean the same, wherever they are written."""
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        return left.entries.keys() == right.entries.keys() and all(
            same(left.entries[key], right.entries[key]) for key in left.entries
        )
    if isinstance(left, Sequence) and isinstance(right, Sequence):
        return len(left.items) == len(right.items) and all(
            same(mine, theirs) for mine, theirs in zip(left.items, right.items, strict=True)
        )
    if isinstance(left, Scalar) and isinstance(right, Scalar):
        return (left.text, left.null) == (right.text, right.null)
    return left is None and right is None
