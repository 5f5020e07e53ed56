"""A lease: the right to write one shard, kept in a store instead of a lock of the kernel.

| question                     | answer                                                            |
|------------------------------|-------------------------------------------------------------------|
| who has it                   | who last wrote the object, as long as it is written again in time |
| when does it run out         | when it was not written for its `seconds`, by the store's clock:  |
|                              | the one that another object was just written at                   |
| when does its holder stop    | earlier: the same seconds less a margin after it *began* to write |
|                              | it, by a clock of its own that goes on while the machine sleeps   |
| what if its holder is frozen | before every write it looks at that clock; while clouds are       |
|                              | written, an alarm of the kernel ends it before it can go on       |
| what does a successor know   | the fencing number: greater than every earlier one, written into  |
| by                           | each object, which refuses a smaller one                          |
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import secrets
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from cloudsync.state import StateError
from cloudsync.state.lock import LockHeld
from cloudsync.state.store.contract import Changed, Store, Stored, StoreError

log = logging.getLogger("cloudsync.state")
SECONDS = 60.0
"""How long a lease lasts without being written again."""
_SLACK_SECONDS = 2.0
"""Stores tell times in whole seconds: a successor waits so much longer."""
_MARGIN = 0.15
"""Of its seconds, the holder stops so much earlier."""
_LONGEST_SECONDS = 3600.0


@dataclass(frozen=True, slots=True)
class Standing:
    """Who runs again and again, and keeps a lease between its runs from others who do: they stand
    by. A run of a person may come in between."""

    seconds: float
    """How long after its last run it is taken to be alive."""
    nonce: str = field(default_factory=lambda: secrets.token_hex(8))


def clock() -> float:
    """Seconds that go on while the machine sleeps."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


@dataclass(slots=True)
class Lease:
    """A lease that is held. `unit`: what it is the right to."""

    store: Store
    """Where it is held."""
    name: str
    """Of the object."""
    unit: str
    number: tuple[int, int]
    """The fencing number: (epoch, counter); grows with every takeover."""
    seconds: float
    """How long it holds after a heartbeat."""
    holder: Mapping[str, Any]
    """Who holds it, for people."""
    version: str
    """The store's version of the object, as last written."""
    until: float
    """By `clock`: nothing is written later."""
    why_lost: str | None = None
    """None while it is held."""
    standing: Standing | None = None
    """None for a run by a person."""
    _beat: int = 0
    _over: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None
    _alarm: bool = False
    _writing: threading.Lock = field(default_factory=threading.Lock)

    @property
    def lost(self) -> str | None:
        """Why nothing may be written any more; None as long as it may."""
        if self.why_lost is None and clock() >= self.until:
            self.why_lost = f"the lease {self.store.where(self.name)} ran out"
        return self.why_lost

    def renew(self) -> None:
        """Write it again. What goes wrong ends it only once its time is over, or if it is another's
        by now."""
        with self._writing:
            begun = clock()
            if self.lost is not None:
                return
            self._beat += 1
            value = _kept(self.number, self.seconds, self.holder, self._beat)
            try:
                self.version = self.store.put(self.name, value, self.version)
            except Changed:
                self.why_lost = f"the lease {self.store.where(self.name)} was taken over"
                return
            except StoreError as error:
                log.warning("the lease could not be renewed: %s", error)
                return
            self.until = begun + self.seconds * (1 - _MARGIN)
            if self._alarm:
                _set_alarm(self.until - clock())

    def release(self) -> None:
        """Give it back, so that a successor need not wait."""
        with self._writing:
            if self.lost is not None:
                return
            self.why_lost = "the lease was given back"
            seconds = 0.0 if self.standing is None else self.standing.seconds
            value = _kept(self.number, seconds, self.holder, self._beat, idle=True)
            with contextlib.suppress(Changed, StateError):
                self.store.put(self.name, value, self.version)

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Renewed in here by a thread of its own, given back afterwards."""
        self._thread = threading.Thread(target=self._keep, name=f"lease {self.unit}", daemon=True)
        self._thread.start()
        try:
            yield
        finally:
            self._over.set()
            self._thread.join(self.seconds)
            self.release()

    def _keep(self) -> None:
        while not self._over.wait(self.seconds / 4):
            self.renew()

    @contextmanager
    def guarded(self) -> Iterator[None]:
        """In here an alarm of the kernel ends the process if the lease is not renewed in time: one
        that was frozen cannot take another step when it wakes up."""
        with self._writing:
            self._alarm = _set_alarm(self.until - clock(), first=True)
        try:
            yield
        finally:
            with self._writing:
                if self._alarm:
                    signal.setitimer(signal.ITIMER_REAL, 0.0)
                self._alarm = False


@dataclass(frozen=True, slots=True)
class Unit:
    """What a lease is the right to: `3-of-16`, in a layout of this epoch."""

    name: str
    """`3-of-16`, or a name of its own."""
    epoch: int = 0
    """Of the layout."""


def acquire(
    store: Store,
    name: str,
    unit: Unit,
    *,
    seconds: float = SECONDS,
    standing: Standing | None = None,
) -> Lease:
    """The lease, if nobody has it. Raises `LockHeld` and `StoreError`."""
    nonce = secrets.token_hex(8) if standing is None else standing.nonce
    holder = {
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "since": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "nonce": nonce,
    }
    stored = store.get(name)
    last = (0, 0)
    if stored is not None:
        last = _free(store, name, stored, standing)
    number = max((unit.epoch, 1), (last[0], last[1] + 1))
    begun = clock()
    try:
        version = store.put(
            name,
            _kept(number, seconds, holder, 0),
            None if stored is None else stored.version,
        )
    except Changed:
        raise LockHeld(f"another run took the lease {store.where(name)} just now") from None
    until = begun + seconds * (1 - _MARGIN)
    return Lease(store, name, unit.name, number, seconds, holder, version, until, standing=standing)


def alive(store: Store, name: str) -> str | None:
    """Who has the lease; None if nobody does. Raises `StoreError`."""
    if (stored := store.get(name)) is None:
        return None
    try:
        _free(store, name, stored)
    except LockHeld as error:
        return str(error)
    return None


def _free(
    store: Store, name: str, stored: Stored, standing: Standing | None = None
) -> tuple[int, int]:
    """The number of a lease that ran out or was given back. Raises `LockHeld`."""
    try:
        value = json.loads(stored.data)
        epoch, number = value["number"]
        last, seconds, holder = (int(epoch), int(number)), float(value["seconds"]), value["holder"]
        who = (
            f"process {int(holder['pid'])} on {str(holder['host'])[:64]!a} "
            f"since {str(holder['since'])[:32]!a}"
        ).replace("'", "")
    except (ValueError, KeyError, TypeError, RecursionError):
        raise StateError(
            f"the lease {store.where(name)} is damaged; if no run is under way, remove it"
        ) from None
    mine = standing is None or standing.nonce == holder.get("nonce")
    if seconds <= 0 or (value.get("idle") is True and mine):
        return last
    unwritten = (store_now(store, name) - stored.modified).total_seconds()
    if unwritten < min(seconds, _LONGEST_SECONDS) + _SLACK_SECONDS:
        raise LockHeld(f"another run holds the lease {store.where(name)}: {who}")
    log.warning("the lease %s of %s ran out: taking over", store.where(name), who)
    return last


def store_now(store: Store, name: str) -> datetime:
    """The store's own clock: when an object that is written now was written. Raises
    `StoreError`."""
    ticket = f"{name.removesuffix('.json')}.ticket-{secrets.token_hex(8)}"
    try:
        store.put(ticket, ticket.encode(), None)
    except Changed:
        raise StoreError(f"{store.where(ticket)} could not be written", temporary=True) from None
    try:
        if (stored := store.get(ticket)) is None:
            raise StoreError(f"{store.where(ticket)} was written and is gone", temporary=True)
        return stored.modified
    finally:
        with contextlib.suppress(StateError):
            store.delete(ticket)


def waiting(timeout: float, pause: Callable[[float], object] = time.sleep) -> Iterator[bool]:
    """Tries within so many seconds: False for each but the last, which is True."""
    until = time.monotonic() + timeout
    delay = 0.25
    while (left := until - time.monotonic()) > 0:
        yield False
        pause(min(delay, left))
        delay = min(delay * 2, 5.0)
    yield True


def _kept(
    number: tuple[int, int],
    seconds: float,
    holder: Mapping[str, Any],
    beat: int,
    *,
    idle: bool = False,
) -> bytes:
    value = {
        "number": list(number),
        "seconds": seconds,
        "holder": dict(holder),
        "beat": beat,
        "idle": idle,
    }
    return (json.dumps(value) + "\n").encode()


def _set_alarm(seconds: float, *, first: bool = False) -> bool:
    """SIGALRM, which ends a process that does not handle it. Whether it was set: a timer or a
    handler of somebody else is left alone."""
    if first and (
        signal.getitimer(signal.ITIMER_REAL)[0] > 0
        or signal.getsignal(signal.SIGALRM) is not signal.SIG_DFL
    ):
        return False
    signal.setitimer(signal.ITIMER_REAL, max(seconds, 0.001))
    return True
