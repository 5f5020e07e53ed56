"""How long waiting takes: pauses between looks go through `paced`, so that tests can hurry without
patching anything. A vendor's own hint is never shortened."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from cloudsync.provider.retry import backoff

_factor = 1.0


def paced(seconds: float) -> float:
    """The pause to make in place of one of `seconds`."""
    return seconds * _factor


@contextmanager
def hurried(factor: float = 0.02) -> Iterator[None]:
    """Pauses between looks are `factor` as long inside the block, and those between attempts next
    to nothing, in every thread. For tests against a double."""
    global _factor
    before, _factor = _factor, factor
    try:
        with backoff(0.01, 0.02):
            yield
    finally:
        _factor = before
