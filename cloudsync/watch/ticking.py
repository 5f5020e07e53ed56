"""The clock that the loop of `watch` goes by, which a test can wind on by itself."""

from __future__ import annotations

import time
from typing import Protocol

from cloudsync.rules.frozen import dataclass
from cloudsync.watch.bell import Bell


class Clock(Protocol):
    """Moments in seconds that only their differences give a meaning to."""

    def now(self) -> float:
        """This moment."""
        ...

    def wait(self, bell: Bell, seconds: float) -> None:
        """Let `seconds` pass, or less if the bell rings."""
        ...


@dataclass(frozen=True, slots=True)
class MonotonicClock:
    """`time.monotonic()`."""

    def now(self) -> float:
        return time.monotonic()

    def wait(self, bell: Bell, seconds: float) -> None:
        bell.wait(seconds)


MONOTONIC = MonotonicClock()
