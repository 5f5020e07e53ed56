"""How much time passed between two runs, by clocks that a person or NTP cannot move.

| the two moments are of  | then so much passed                                                 |
|-------------------------|---------------------------------------------------------------------|
| one boot of one machine | what the boot clock says; it counts sleep too, and no wall clock    |
|                         | touches it                                                          |
| another boot of one     | what the wall clock says, and no more than the machine has been up: |
| machine                 | the earlier was before                                              |
| two machines            | what the wall clock says                                            |

Never less than nothing. So a wall clock that jumps costs at most some waiting, and expires nothing.
"""

from __future__ import annotations

import socket
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True, slots=True)
class Moment:
    """`up`: seconds since the machine booted. `boot`: the boot's id, empty where the system has
    none. `machine`: its host name."""

    wall: datetime
    boot: str
    up: float
    machine: str


def now() -> Moment:
    """This moment, by all clocks."""
    try:
        boot = _BOOT_ID.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        boot = ""
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    up = time.monotonic() if clock is None else time.clock_gettime(clock)
    return Moment(datetime.now(UTC), boot, up, socket.gethostname())


def instant(written: str) -> datetime:
    """A moment that a file or a person wrote in ISO 8601, in UTC. Raises `ValueError`, also for one
    without a zone, and for one that is out of range in UTC."""
    moment = datetime.fromisoformat(written)
    if moment.tzinfo is None:
        raise ValueError("a moment without its zone")
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("a moment out of range") from None


def elapsed(then: Moment, now: Moment) -> float:
    """Seconds that certainly passed from `then` to `now`, by the module's table."""
    if then.boot and then.boot == now.boot:
        return max(0.0, now.up - then.up)
    by_wall = max(0.0, (now.wall - then.wall).total_seconds())
    return min(by_wall, now.up) if then.machine == now.machine else by_wall
