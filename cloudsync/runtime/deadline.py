"""One total deadline for a run, cut so that every phase has its part: whatever reading and writing
take, there is time to look afterwards."""

from __future__ import annotations

import time
from dataclasses import dataclass

_LONGEST_RESERVE = 30.0


@dataclass(frozen=True, slots=True)
class Deadline:
    """Moments of `time.monotonic()`. `begun`: when the run began; `seconds`: how long it may take
    as a whole."""

    begun: float
    seconds: float

    @classmethod
    def start(cls, seconds: float) -> Deadline:
        """A run that begins now."""
        return cls(time.monotonic(), seconds)

    @property
    def reading(self) -> float:
        """When reading must be over so that half of the time is left for writing."""
        return self.begun + self.seconds / 2

    @property
    def writing(self) -> float:
        """When writing must be over: a quarter of the time, half a minute at most, is for reading
        back what was done."""
        return self.over - min(self.seconds / 4, _LONGEST_RESERVE)

    @property
    def over(self) -> float:
        """The end of the run."""
        return self.begun + self.seconds
