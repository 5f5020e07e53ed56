from __future__ import annotations

from collections.abc import Iterator

import pytest

from cloudsync.provider.pace import hurried


@pytest.fixture(autouse=True)
def _hurried() -> Iterator[None]:
    """Pauses between attempts are short; a vendor's own hint is waited for."""
    with hurried():
        yield
