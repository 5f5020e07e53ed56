"""What a test notes for the table in docs/engines.md."""

from __future__ import annotations

from collections.abc import Callable

import pytest

Differs = Callable[[str], None]
"""Notes in a few words what is different about the engine that is tried; the test asserts it."""


@pytest.fixture
def differs(record_property: Callable[[str, object], None]) -> Differs:
    """See `Differs`."""
    return lambda words: record_property("differs", words)
