"""Configuration files as the tests write them, hundreds of times a minute.

tomlkit keeps the layout of what it writes, for which a file costs more than the plan that is made
of it; these have none.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any


def dumps(document: Mapping[str, Any]) -> str:
    """One line for each key of the document; tables within it are inline tables.

    Values are strings, integers, floats, booleans, and sequences and mappings of them; raises
    `TypeError` for any other.
    """
    return "".join(f"{_key(key)} = {_value(value)}\n" for key, value in document.items())


def _value(value: object) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_key(key)} = {_value(item)}" for key, item in value.items()) + "}"
    if isinstance(value, str):
        return _key(value)
    if isinstance(value, Sequence):
        return "[" + ", ".join(map(_value, value)) + "]"
    if isinstance(value, bool | int | float):
        return json.dumps(value)
    raise TypeError(f"TOML cannot say {type(value).__name__}")


def _key(text: str) -> str:
    """A string of JSON is one of TOML, but for DEL and for what JSON says as two surrogates."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
