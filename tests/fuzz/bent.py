"""Bent values: a right one with some of its parts replaced, left out, doubled or wrapped. And the
settings of every fuzz test."""

from __future__ import annotations

import copy
import os
from collections.abc import Iterator
from random import Random
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

LONG = bool(os.environ.get("CLOUDSYNC_LONG"))
Path = tuple[Any, ...]
JUNK = (
    None,
    True,
    False,
    0,
    -1,
    1,
    65536,
    2**63,
    2**200,
    1.5,
    float("1e308"),
    "",
    " ",
    "x",
    "0",
    "-1",
    "65536",
    "443",
    "any",
    "٣",
    "\x00",
    "a\nb",
    "\u202e",
    "😀" * 300,
    "0.0.0.0/0",
    "0.0.0.0/99",
    "::/0",
    "127.0.0.1",
    "fe80::1%eth0",
    "tcp",
    "99999-1",
    [],
    {},
    [None],
    [[]],
    {"a": None},
    ["0.0.0.0/0"],
    {"0": "0"},
)


def bounded(examples: int) -> settings:
    """`examples` where nobody waits for long, two hundred times as many with `make fuzz`."""
    return settings(
        max_examples=examples * 200 if LONG else examples,
        derandomize=not LONG,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )


def paths(value: Any, at: Path = ()) -> Iterator[Path]:
    """Where every part of it is; itself first."""
    yield at
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from paths(inner, (*at, key))
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from paths(inner, (*at, number))


def bend(dice: Random, value: Any, times: int = 2) -> Any:
    """The value with up to `times` parts bent."""
    for _ in range(dice.randint(1, times)):
        value = _once(dice, value)
    return value


def _once(dice: Random, value: Any) -> Any:
    path = dice.choice(list(paths(value)))
    junk = copy.deepcopy(dice.choice(JUNK))
    if not path:
        return dice.choice([junk, [value], {"x": value}])
    value = copy.deepcopy(value)
    parent = value
    for step in path[:-1]:
        parent = parent[step]
    how, last = dice.choice(["replace", "replace", "delete", "double", "wrap", "add"]), path[-1]
    if how == "delete":
        del parent[last]
    elif how == "double" and isinstance(parent, list):
        parent.append(copy.deepcopy(parent[last]))
    elif how == "add" and isinstance(parent, dict):
        parent["cloudsync-never-heard-of-it"] = junk
    elif how == "wrap":
        parent[last] = [parent[last]]
    else:
        parent[last] = junk
    return value


def tear(dice: Random, data: bytes) -> bytes:
    """Bytes cut, doubled or overwritten somewhere."""
    start = dice.randint(0, len(data))
    end = dice.randint(start, min(len(data), start + 40))
    return (
        data[:start]
        + dice.choice([b"", b"\x00", b"\xff\xfe", b"<", b'"', b"]", b"9" * 30, data[start:end] * 3])
        + data[end:]
    )


DICE = st.integers(0, 2**32 - 1).map(Random)
"""Not hypothesis' own choices: a vendor's answer is bent in another thread, while the run that
asked for it waits."""
