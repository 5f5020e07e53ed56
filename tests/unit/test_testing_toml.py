"""The configurations that tests write are read as they were meant."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudsync.testing.toml import dumps

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
VALUES = st.recursive(
    TEXT
    | st.integers(-(2**63), 2**63 - 1)
    | st.booleans()
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
)


@given(st.dictionaries(TEXT, VALUES, max_size=4))
def test_what_is_written_is_read(document: dict[str, Any]) -> None:
    assert tomllib.loads(dumps(document)) == document


def test_what_toml_cannot_say_is_refused() -> None:
    with pytest.raises(TypeError, match="NoneType"):
        dumps({"name": None})


def test_a_table_may_be_added_to_what_is_written() -> None:
    text = dumps({"firewalls": {"web": {"hosts": ["web-1"]}}}) + "[firewalls.api]\nhosts = []\n"
    assert tomllib.loads(text)["firewalls"] == {"web": {"hosts": ["web-1"]}, "api": {"hosts": []}}
