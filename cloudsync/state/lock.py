"""One run per firewall, owner and state directory at a time. The kernel frees a lock when its
process ends, however it ends. `exclusive` takes it, or leases where the state is in a bucket.

| lock                                       | held by                                           |
|--------------------------------------------|---------------------------------------------------|
| `OWNER.lock`, shared                       | every run that is about some firewalls            |
| `OWNER.lock`, exclusive                    | a run about everything of the owner               |
| one byte of `OWNER.firewalls.lock` a name  | the run that may write the firewall of that name  |

So two runs about different firewalls do not wait for each other, and nothing keeps files that grow
with the number of firewalls. Earlier versions hold `OWNER.lock` exclusively, and exclude all
others.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import socket
import struct
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from cloudsync.provider.phrases import first_of
from cloudsync.state import StateError
from cloudsync.state.directory import open_own

_POLL_SECONDS = 0.1
_TAKEN = (errno.EAGAIN, errno.EACCES)
_NAMED = 20
# Open file description locks: unlike those of POSIX they exclude threads of one process too.
_SET_LOCK: int = getattr(fcntl, "F_OFD_SETLK", 0)


class LockHeld(Exception):
    """Another run holds the lock; the message names it."""


@contextmanager
def locked(
    directory: Path,
    owner: str,
    timeout: float = 0.0,
    firewalls: Collection[str] = (),
    *,
    some: bool = False,
) -> Iterator[frozenset[str]]:
    """Hold the owner's lock, or that of some firewalls. Waits up to `timeout` seconds; then raises
    `LockHeld`. Raises `StateError` if it cannot be had at all.

    `firewalls`: names; empty for everything. `some`: be content with those that are free, unless
    none is. Yields the names that another run holds.
    """
    path = directory / f"{owner}.lock"
    names = sorted(firewalls) if _SET_LOCK else []
    handle = _opened(path)
    try:
        until = time.monotonic() + timeout
        how = fcntl.LOCK_SH if names else fcntl.LOCK_EX
        while not _flocked(handle, path, how):
            _wait(until, path, _holder(handle))
        if not names:
            _sign(handle, ())
            yield frozenset()
            return
        ranges = _opened(directory / f"{owner}.firewalls.lock")
        try:
            busy = _taken(ranges, path, names)
            while busy and time.monotonic() < until:
                _give_back(ranges, names)
                time.sleep(_POLL_SECONDS)
                busy = _taken(ranges, path, names)
            if busy and not (some and len(busy) < len(names)):
                raise LockHeld(_held(path, _holder(handle), busy))
            _sign(handle, [name for name in names if name not in busy])
            yield busy
        finally:
            os.close(ranges)
    finally:
        os.close(handle)


def _opened(path: Path) -> int:
    try:
        return open_own(path, os.O_RDWR)
    except OSError as error:
        raise StateError(
            f"the lock {path} cannot be opened: {error.strerror}; nothing was changed"
        ) from None


def _flocked(handle: int, path: Path, how: int) -> bool:
    try:
        fcntl.flock(handle, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        raise _unusable(path, error) from None
    return True


def _taken(handle: int, path: Path, names: Collection[str]) -> frozenset[str]:
    """Take the firewalls; those that another run holds."""
    busy = set()
    for name in names:
        try:
            _range(handle, fcntl.F_WRLCK, name)
        except OSError as error:
            if error.errno not in _TAKEN:
                raise _unusable(path, error) from None
            busy.add(name)
    return frozenset(busy)


def _give_back(handle: int, names: Collection[str]) -> None:
    """Whoever waits holds nothing meanwhile: two that wait for each other would wait for ever."""
    for name in names:
        _range(handle, fcntl.F_UNLCK, name)


def _range(handle: int, kind: int, name: str) -> None:
    """Lock or free the byte of a firewall, far behind the end of the file, which stays empty."""
    start = int.from_bytes(hashlib.sha256(name.encode()).digest()[:7])
    fcntl.fcntl(handle, _SET_LOCK, struct.pack("hhqqi4x", kind, os.SEEK_SET, start, 1, 0))


def _wait(until: float, path: Path, holder: str) -> None:
    if time.monotonic() >= until:
        raise LockHeld(_held(path, holder))
    time.sleep(_POLL_SECONDS)


def _held(path: Path, holder: str, names: Collection[str] = ()) -> str:
    of = f" of {first_of(sorted(names), _NAMED)}" if names else ""
    return f"another run holds the lock {path}{of}: {holder}"


def _unusable(path: Path, error: OSError) -> StateError:
    return StateError(
        f"the lock {path} cannot be taken: {error.strerror}; the state directory must lie on a file"
        " system with locks (some network file systems have none); nothing was changed"
    )


def _sign(handle: int, firewalls: Collection[str]) -> None:
    """Say who holds it: of several runs the one that came last."""
    holder = {
        "pid": os.getpid(),
        "host": socket.gethostname(),
        "since": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "firewalls": list(firewalls)[:_NAMED],
    }
    os.ftruncate(handle, 0)
    os.pwrite(handle, json.dumps(holder).encode(), 0)


def _holder(handle: int) -> str:
    try:
        holder = json.loads(os.pread(handle, 4096, 0))
        host, since = ascii(str(holder["host"])[:64]), ascii(str(holder["since"])[:32]).strip("'")
        return f"process {int(holder['pid'])} on {host} since {since}"
    except (ValueError, KeyError, TypeError, OSError):
        return "by a process that has not said who it is yet"
