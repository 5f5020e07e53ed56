"""How nodes of a file are read: with their variables replaced, and in the shape that a key
takes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from cloudsync.rules.frozen import dataclass
from cloudsync.sources.compose.environment import Environment
from cloudsync.sources.compose.files import Files
from cloudsync.sources.compose.interpolation import InterpolationError, interpolate
from cloudsync.sources.compose.nodes import ComposeError, Mapping, Node, Scalar, Sequence


@dataclass(frozen=True, slots=True)
class Reading:
    """How the files of one project, or of one included in it, are read."""

    files: Files
    folder: Path
    """What their paths are relative to."""
    environment: Environment
    for_audit: bool = False
    """Whether what only an audit reads is kept too (`as_written.py`)."""


def filled(node: Node, reading: Reading) -> Node:
    """A node with its variables replaced; what is missing is noted at the scalar. Raises
    `ComposeError` for a malformed variable."""
    if isinstance(node, Mapping):
        return node.having({key: filled(child, reading) for key, child in node.entries.items()})
    if isinstance(node, Sequence):
        return replace(node, items=tuple(filled(item, reading) for item in node.items))
    return filled_scalar(node, reading)


def filled_scalar(node: Scalar, reading: Reading) -> Scalar:
    """A single value with its variables replaced."""
    if "$" not in node.text:
        return node
    try:
        result = interpolate(node.text, reading.environment.values)
    except InterpolationError as error:
        raise ComposeError(node.place, str(error)) from None
    reading.files.budget.count_characters(len(result.text), node.place)
    missing = tuple(reading.environment.explain(variable) for variable in result.missing)
    return replace(
        node, text=result.text, null=False, integer=False, missing=missing, written=node.text
    )


def is_null(node: Node) -> bool:
    """Whether a key has no value, and no tag that would make that mean something."""
    return isinstance(node, Scalar) and node.null and node.tag is None


def mapping(node: Node, what: str) -> Mapping:
    """The node as a mapping. Raises `ComposeError`."""
    if isinstance(node, Mapping):
        return node
    if isinstance(node, Scalar) and node.null and node.tag is not None:
        return Mapping({}, node.place, {}, node.tag)
    raise ComposeError(node.place, f"{what} must be a mapping")


def sequence(node: Node, what: str) -> Sequence:
    """The node as a list. Raises `ComposeError`."""
    if isinstance(node, Sequence):
        return node
    if isinstance(node, Scalar) and node.null and node.tag is not None:
        return Sequence((), node.place, node.tag)
    raise ComposeError(node.place, f"{what} must be a list")


def scalar(node: Node, what: str) -> Scalar:
    """The node as a single value. Raises `ComposeError`."""
    if not isinstance(node, Scalar) or node.null:
        raise ComposeError(node.place, f"{what}: expected a single value")
    return node
