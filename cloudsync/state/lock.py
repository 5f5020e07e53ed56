"""One run per owner and state directory at a time. The kernel frees the lock when its process ends,
however it ends."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cloudsync.state import StateError
from cloudsync.state.directory import open_own

_POLL_SECONDS = 0.1


class LockHeld(Exception):
    """Another run holds the lock; the message names it."""


@contextmanager
def locked(directory: Path, owner: str, timeout: float = 0.0) -> Iterator[None]:
    """Hold the owner's lock. Waits up to `timeout` seconds; then raises `LockHeld`. Raises
    `StateError` where it cannot be had at all."""
    path = directory / f"{owner}.lock"
    try:
        handle = open_own(path, os.O_RDWR)
    except OSError as error:
        raise StateError(
            f"the lock {path} cannot be opened: {error.strerror}; nothing was changed"
        ) from None
    try:
        _take(handle, path, time.monotonic() + timeout)
        holder = {
            "pid": os.getpid(),
            "host": socket.gethostname(),
            "since": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        }
        os.ftruncate(handle, 0)
        os.pwrite(handle, json.dumps(holder).encode(), 0)
        yield
    finally:
        os.close(handle)


def _take(handle: int, path: Path, until: float) -> None:
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= until:
                raise LockHeld(f"another run holds the lock {path}: {_holder(handle)}") from None
            time.sleep(_POLL_SECONDS)
        except OSError as error:
            raise StateError(
                f"the lock {path} cannot be taken: {error.strerror}; the state directory must lie on a file "
                "system with locks (some network file systems have none); nothing was changed"
            ) from None
        else:
            return


def _holder(handle: int) -> str:
    try:
        holder = json.loads(os.pread(handle, 4096, 0))
        host, since = ascii(str(holder["host"])[:64]), ascii(str(holder["since"])[:32]).strip("'")
        return f"process {int(holder['pid'])} on {host} since {since}"
    except (ValueError, KeyError, TypeError, OSError):
        return "by a process that has not said who it is yet"
