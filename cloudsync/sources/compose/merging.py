"""Several files as one, and a service over the one it extends (specification 13).

| both are  | the result                                                                                |
|-----------|-------------------------------------------------------------------------------------------|
| mappings  | key by key                                                                                |
| sequences | the first, then the second (of ports with the same key the last counts, see `ports.py`)   |
| scalars   | the second; null changes nothing                                                          |

`!reset` takes the key away, `!override` takes the second as it is.
"""

from __future__ import annotations

from dataclasses import replace

from cloudsync.sources.compose.nodes import (
    ComposeError,
    Mapping,
    Node,
    Scalar,
    Sequence,
)

NOTHING: dict[str, Node] = {}


def merge(under: Mapping, over: Mapping) -> Mapping:
    """`over` laid over `under`; a key stands where it stood first. Raises `ComposeError` where one
    is a list and the other is not."""
    entries = dict(under.entries)
    for key, node in over.entries.items():
        before = entries.get(key)
        if node.tag == "reset":
            entries.pop(key, None)
        elif node.tag == "override" or before is None:
            entries[key] = settled(node)
        else:
            entries[key] = _merged(key, before, node)
    places = {**over.keys, **under.keys}
    return Mapping(entries, over.place, {key: places[key] for key in entries})


def settled(node: Node) -> Node:
    """A node over nothing: what it resets is gone, what it overrides is its own."""
    if isinstance(node, Mapping):
        return replace(node, tag=None).having(
            {key: settled(one) for key, one in node.entries.items() if one.tag != "reset"}
        )
    if isinstance(node, Sequence):
        return replace(
            node, items=tuple(settled(one) for one in node.items if one.tag != "reset"), tag=None
        )
    return replace(node, tag=None)


def _merged(key: str, before: Node, node: Node) -> Node:
    if isinstance(node, Scalar) and node.null:
        return before
    if isinstance(before, Scalar) and before.null:
        return settled(node)
    if isinstance(before, Mapping) and isinstance(node, Mapping):
        return merge(before, node)
    if isinstance(before, Sequence) and isinstance(node, Sequence):
        after = settled(node)
        return (
            replace(after, items=(*before.items, *after.items))
            if isinstance(after, Sequence)
            else after
        )
    if isinstance(before, Scalar) and isinstance(node, Scalar):
        return settled(node)
    kinds = "a list, a mapping or a text"
    raise ComposeError(
        node.place,
        f"{key[:60]} is {kinds} here, and another of them at {before.place}, which it is merged with",
    )
