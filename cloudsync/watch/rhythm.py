"""When the next run is due. Pure: moments are `time.monotonic()` seconds that are handed in.

| what happened             | the next run                                                     |
|---------------------------|------------------------------------------------------------------|
| nothing                   | `interval` after the last one about everything began             |
| an event after quiet      | `LEAD_SECONDS` after the last event of its flock, `debounce_min` |
|                           | after the first                                                  |
| an event soon after       | `debounce_min` after the last event of its flock, `debounce_max` |
| others                    | after the first                                                  |
| events without end (a     | spaced: the space doubles from `debounce_min` to `debounce_max`, |
| crash loop)               | until it is quiet                                                |
| another run held the lock | `LOCKED_SECONDS` later                                           |
| a vendor failed, or there | after a pause that doubles, and no event comes before it         |
| was a bug                 |                                                                  |
| a held rule may close at  | then                                                             |
| a known moment            |                                                                  |

A host that cannot be read makes no pause: what others need must not wait for it. Only a run that
comes for events alone may be about the firewalls of the hosts where they happened; every other one
is about everything (`needs_everything`), whatever was in between.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from cloudsync.rules.frozen import dataclass

LEAD_SECONDS = 0.25
"""What `docker run` takes from its first event to the one that its ports are bound, and a little: a
container that starts out of the blue waits for no more than that. When one ends, Docker 20.10 lists
it as running until some 15 ms after the last event of it, and 115 ms after `die`."""
LOCKED_SECONDS = 5.0
FIRST_PAUSE_SECONDS = 5.0
LONGEST_PAUSE_SECONDS = 300.0
Trouble = Literal["none", "locked", "some", "all"]
"""How a run ended for the rhythm. `some`: a vendor failed for some of the firewalls, which is no
reason to keep the others waiting for longer than the interval. `all`: for every one, or the run had
a bug."""


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds; see the table."""

    interval: float
    debounce_min: float
    debounce_max: float


@dataclass(frozen=True, slots=True)
class Rhythm:
    """What happened so far, as far as it matters. `space`: the time between runs of a storm.
    `leads`: the flock of events came after quiet. `failures`: troubled runs in a row. `last_whole`:
    when the last run about everything began."""

    pace: Pace
    """Its lengths."""
    space: float = 0.0
    last_begun: float | None = None
    """When the last run began; None before the first."""
    last_whole: float | None = None
    first_event: float | None = None
    """The first event since then; None without any."""
    last_event: float | None = None
    """The last event since then; None without any."""
    again: float | None = None
    """When a run asked to be repeated; None if it did not."""
    not_before: float = 0.0
    """No run begins earlier."""
    failures: int = 0
    leads: bool = False

    def event(self, now: float) -> Rhythm:
        """Something changed at an engine, maybe."""
        quiet = self.first_event is None and (
            self.last_begun is None or now - self.last_begun >= self.pace.debounce_max
        )
        return replace(
            self,
            space=self.pace.debounce_min if quiet else self.space,
            leads=quiet or (self.leads and self.first_event is not None),
            first_event=now if self.first_event is None else self.first_event,
            last_event=now,
        )

    def due(self) -> float:
        """The moment of the next run; 0 for at once."""
        if self.last_begun is None or self.last_whole is None:
            return 0.0
        moments = [self._whole_due(self.last_whole)]
        if self.first_event is not None and self.last_event is not None:
            calm, longest = self.pace.debounce_min, self.pace.debounce_max
            if self.leads:
                calm, longest = min(LEAD_SECONDS, calm), calm
            patient = max(self.last_event + calm, self.last_begun + self.space)
            moments.append(min(patient, max(self.first_event, self.last_begun) + longest))
        return max(min(moments), self.not_before)

    def needs_everything(self, now: float) -> bool:
        """Whether a run that begins now must be about everything."""
        if self.last_begun is None or self.last_whole is None or self.failures:
            return True
        return self._whole_due(self.last_whole) <= now

    def _whole_due(self, last_whole: float) -> float:
        """The moment of the next run about everything, if no vendor failed."""
        regular = last_whole + self.pace.interval
        return regular if self.again is None else min(regular, self.again)

    def begin(self, now: float, *, everything: bool = True) -> Rhythm:
        """A run begins: events until now are seen by it. One that is not about everything puts off
        nothing else that is due."""
        space = self.space
        if self.first_event is not None and not self.leads:
            space = min(max(space, self.pace.debounce_min) * 2, self.pace.debounce_max)
        return replace(
            self,
            last_begun=now,
            last_whole=now if everything else self.last_whole,
            space=space,
            leads=False,
            first_event=None,
            last_event=None,
            again=None if everything else self.again,
            not_before=0.0,
        )

    def end(self, now: float, trouble: Trouble, wake: float | None = None) -> Rhythm:
        """The run ended. `wake`: when something that is held may close."""
        if trouble == "locked":
            return replace(self, again=now + LOCKED_SECONDS, not_before=now + LOCKED_SECONDS)
        if trouble == "none":
            moments = [moment for moment in (wake, self.again) if moment is not None]
            return replace(self, failures=0, again=min(moments, default=None))
        longest = (
            max(self.pace.interval, LONGEST_PAUSE_SECONDS)
            if trouble == "all"
            else self.pace.interval
        )
        pause = min(FIRST_PAUSE_SECONDS * 2**self.failures, longest)
        return replace(
            self, failures=min(self.failures + 1, 16), again=now + pause, not_before=now + pause
        )

    def at_once(self) -> Rhythm:
        """A run is wanted now, whatever was to be waited for."""
        return replace(self, last_begun=None)
