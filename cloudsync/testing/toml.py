"""Configuration files as the tests write them, hundreds of times a minute.

tomlkit keeps the layout of what it writes, for which a file costs more than the plan that is made
of it; these have none.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

_BARE = re.compile(r"[A-Za-z0-9_-]+")


def dumps(document: Mapping[str, Any]) -> str:
    """The document with a header for each table, so that a person or a test may add to the file;
    tables in lists are inline tables.

    Values are strings, integers, floats, booleans, and sequences and mappings of them; raises
    `TypeError` for any other.
    """
    return "".join(_lines(document, ()))


def _lines(table: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[str]:
    if path:
        yield f"[{'.'.join(map(_key, path))}]\n"
    for key, value in table.items():
        if not isinstance(value, Mapping):
            yield f"{_key(key)} = {_value(value)}\n"
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from _lines(value, (*path, key))


def _value(value: object) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_key(key)} = {_value(item)}" for key, item in value.items()) + "}"
    if isinstance(value, str):
        return _string(value)
    if isinstance(value, Sequence):
        return "[" + ", ".join(map(_value, value)) + "]"
    if isinstance(value, bool | int | float):
        return json.dumps(value)
    raise TypeError(f"TOML cannot say {type(value).__name__}")


def _key(key: str) -> str:
    return key if _BARE.fullmatch(key) else _string(key)


def _string(text: str) -> str:
    """A string of JSON is one of TOML, but for DEL and for what JSON says as two surrogates."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
