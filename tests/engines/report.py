"""What a test notes for the table in docs/engines.md."""

from __future__ import annotations

from collections.abc import Callable

import pytest

Differs = Callable[[str], None]
"""Notes in a few words what is different about the engine that is tried; the test asserts it."""


def note(request: pytest.FixtureRequest, name: str, value: str) -> None:
    """Put a property of the test into the report."""
    request.node.user_properties.append((name, value))


@pytest.fixture
def differs(request: pytest.FixtureRequest) -> Differs:
    """See `Differs`."""
    return lambda words: note(request, "differs", words)
