"""What a YAML document says, with the line everything stands on: scalars, sequences, mappings.
Frozen; texts are kept as written."""

from __future__ import annotations

from collections.abc import Mapping as Table
from dataclasses import dataclass
from typing import Literal

Tag = Literal["reset", "override"]


@dataclass(frozen=True, slots=True)
class Place:
    """A line (from 1) of a file, called as messages call it."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


class ComposeError(Exception):
    """A Compose project that cannot be read; the message begins with `file:line:` and quotes no
    value of a variable."""

    def __init__(self, place: Place | str, text: str) -> None:
        super().__init__(f"{place}: {text}")


@dataclass(frozen=True, slots=True)
class Scalar:
    """`text` as written (`080`, `22:22`, `~`); `null` and `integer`: how YAML 1.2 reads it where it
    stands without quotes."""

    text: str
    place: Place
    null: bool = False
    integer: bool = False
    tag: Tag | None = None


@dataclass(frozen=True, slots=True)
class Sequence:
    items: tuple[Node, ...]
    place: Place
    tag: Tag | None = None


@dataclass(frozen=True, slots=True)
class Mapping:
    """`keys`: the place of each key."""

    entries: Table[str, Node]
    place: Place
    keys: Table[str, Place]
    tag: Tag | None = None

    def get(self, *path: str) -> Node | None:
        """The node at a path of keys; None where there is none, or null."""
        node: Node = self
        for key in path:
            found = node.entries.get(key) if isinstance(node, Mapping) else None
            if found is None or (isinstance(found, Scalar) and found.null):
                return None
            node = found
        return node

    def having(self, entries: Table[str, Node]) -> Mapping:
        """The same mapping with other entries; a key that is new stands where its value stands."""
        return Mapping(
            entries,
            self.place,
            {key: self.keys.get(key, node.place) for key, node in entries.items()},
            self.tag,
        )


Node = Scalar | Sequence | Mapping


def same(one: Node | None, other: Node | None) -> bool:
    """Whether two nodes say the same, wherever they stand."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.entries.keys() == other.entries.keys() and all(
            same(one.entries[k], other.entries[k]) for k in one.entries
        )
    if isinstance(one, Sequence) and isinstance(other, Sequence):
        return len(one.items) == len(other.items) and all(
            same(a, b) for a, b in zip(one.items, other.items, strict=True)
        )
    if isinstance(one, Scalar) and isinstance(other, Scalar):
        return (one.text, one.null) == (other.text, other.null)
    return one is None and other is None
