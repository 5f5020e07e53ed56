"""Several files as one, and a service over the one it extends (Compose specification, "Merge").

| both are  | the result                                                                  |
|-----------|-----------------------------------------------------------------------------|
| mappings  | key by key                                                                  |
| sequences | the first, then the second (of ports with the same key the last counts, see |
|           | `ports.py`)                                                                 |
| scalars   | the second; null changes nothing                                            |

`!reset` takes the key away, `!override` takes the second as it is. Both act on everything that
comes to lie under them, which may be more than one layer: the service that is extended, a service
that is included, the same service in the files before. So a merge keeps them, and only `settled`
uses them up, once nothing can come under the result any more:

    settled(merge(a, merge(b, c))) == settled(merge(merge(a, b), c))
"""

from __future__ import annotations

from dataclasses import replace

from cloudsync.sources.compose.nodes import ComposeError, Mapping, Node, Scalar, Sequence

EXTENSION = "x-"
"""What the names of extension fields begin with."""


def merge(under: Mapping, over: Mapping) -> Mapping:
    """`over` laid over `under`, tags kept; a key stays in the place where it was first. Raises
    `ComposeError` if a key is a list in one and not in the other."""
    entries = dict(under.entries)
    for key, node in over.entries.items():
        over_it = _over_extension if key.startswith(EXTENSION) else _over
        entries[key] = over_it(key, entries[key], node) if key in entries else node
    places = {**over.keys, **under.keys}
    return Mapping(entries, over.place, {key: places[key] for key in entries}, over.tag)


def settled(node: Mapping) -> Mapping:
    """A mapping over nothing: what it resets is gone, what it overrides is simply its own."""
    entries = {key: _settled(child) for key, child in node.entries.items() if child.tag != "reset"}
    return replace(node, tag=None).having(entries)


def _settled(node: Node) -> Node:
    if isinstance(node, Mapping):
        return settled(node)
    if isinstance(node, Sequence):
        items = tuple(_settled(item) for item in node.items if item.tag != "reset")
        return replace(node, items=items, tag=None)
    return node if node.tag is None else replace(node, tag=None)


def _over(key: str, under: Node, over: Node) -> Node:
    if over.tag is not None:
        return over
    if isinstance(over, Scalar) and over.null:
        return under
    if under.tag == "reset":
        return replace(over, tag="override")
    if isinstance(under, Scalar) and under.null:
        return replace(over, tag=under.tag)
    return replace(_merged(key, under, over), tag=under.tag)


def _over_extension(key: str, under: Node, over: Node) -> Node:
    """An extension field (`x-…`), whose values mean nothing to Compose: what is there may become
    anything, but a mapping or a list stays one."""
    if over.tag is not None:
        return over
    if isinstance(over, Scalar) and over.null:
        return under
    if isinstance(under, Scalar) or under.tag == "reset":
        return over
    if isinstance(under, Mapping) and isinstance(over, Mapping):
        entries = {
            name: (
                _over_extension(f"{key}.{name}", under.entries[name], node)
                if name in under.entries
                else node
            )
            for name, node in over.entries.items()
        }
        return over.having({**under.entries, **entries})
    return _merged(key, under, over)


def _merged(key: str, under: Node, over: Node) -> Node:
    """Two nodes of one kind."""
    if isinstance(under, Mapping) and isinstance(over, Mapping):
        return merge(under, over)
    if isinstance(under, Sequence) and isinstance(over, Sequence):
        return replace(over, items=(*under.items, *over.items))
    if isinstance(under, Scalar) and isinstance(over, Scalar):
        return over
    raise ComposeError(
        over.place,
        f"{key[:60]} is {_kind(over)} here and {_kind(under)} at {under.place}; "
        "the two cannot be merged",
    )


def _kind(node: Node) -> str:
    if isinstance(node, Mapping):
        return "a mapping"
    return "a list" if isinstance(node, Sequence) else "a single value"
