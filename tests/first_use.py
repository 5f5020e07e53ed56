"""What several tests share is installed and started by whichever comes first."""

from __future__ import annotations

from collections.abc import Iterable

import pytest


def limit_the_tests_themselves(items: Iterable[pytest.Item], seconds: int = 120) -> None:
    """A test's time limit does not count what it sets up, as that may be for all of them."""
    for item in items:
        if not any(item.iter_markers("timeout")):
            item.add_marker(pytest.mark.timeout(seconds, func_only=True))
