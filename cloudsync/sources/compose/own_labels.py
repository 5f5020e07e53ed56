"""Our labels of a service. Of other people's labels not even the variables are looked at."""

from __future__ import annotations

import re
from dataclasses import replace

from cloudsync.sources.compose.nodes import ComposeError, Mapping, Node, Place, Scalar
from cloudsync.sources.compose.reading import Reading, filled, filled_scalar, scalar, sequence
from cloudsync.sources.labels import LABELS, PREFIX

_PLAIN_LABELS = frozenset(PREFIX + name for name, _, _ in LABELS if "<" not in name)
_PORT_LABEL = re.compile(re.escape(PREFIX) + r"port\.[0-9]+(?:-[0-9]+)?(?:/[a-z]+)?\.sources")


def our_labels(node: Node, key: str, reading: Reading) -> Node:
    """Our labels out of a list or a mapping, as a mapping. Of other people's labels not even the
    variables are looked at."""
    entries: dict[str, Node] = {}
    keys: dict[str, Place] = {}
    if isinstance(node, Mapping):
        for name, child in node.entries.items():
            if name.startswith(PREFIX):
                if not isinstance(child, Scalar) and child.tag != "reset":
                    raise ComposeError(child.place, f"the label {name[:80]} must be a single value")
                entries[name], keys[name] = filled(child, reading), node.keys[name]
        return Mapping(entries, node.place, keys, node.tag)
    for item in sequence(node, key).items:
        written = scalar(item, key)
        if item.tag != "reset" and _may_be_ours(written.text):
            label = filled_scalar(written, reading)
            name, _, value = label.text.partition("=")
            if label.missing or name.startswith(PREFIX):
                name = _shown(name, written.text)
                entries[name] = replace(label, text=value, null=False, integer=False, tag=None)
                keys[name] = label.place
    return Mapping(entries, node.place, keys, node.tag)


def _may_be_ours(written: str) -> bool:
    """Whether `key=value` can become one of our labels once its variables are replaced."""
    literal, variable, _ = written.partition("$")
    if variable and "=" not in literal:
        return literal.startswith(PREFIX) or PREFIX.startswith(literal)
    return written.startswith(PREFIX)


def _shown(name: str, written: str) -> str:
    """The key of a label, never with the value of a variable in it unless that makes it one of our
    labels: messages quote unknown keys, and whoever may edit the Compose file could read the
    variables there."""
    if name in _PLAIN_LABELS or _PORT_LABEL.fullmatch(name) or "$" not in written.split("=")[0]:
        return name
    key = written.partition("=")[0]
    return key if key.startswith(PREFIX) else PREFIX + key
