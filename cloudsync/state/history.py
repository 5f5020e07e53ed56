"""The history of applies: one JSON object a line, appended durably, bounded in size.

| file                     | what it holds                                                     | at most       |
|--------------------------|-------------------------------------------------------------------|---------------|
| `OWNER.history.jsonl`    | applies that changed something, or met trouble                    | 2 x 16 MiB    |
| `OWNER.quiet.jsonl`      | applies that found nothing to do: every minute of a cron is one   | 2 x 256 KiB   |
| `OWNER.running.json`     | what the apply under way is about to write, or one that died was  | 8 MiB         |

A full file becomes `….1`, and the `….1` of before is gone. What a run was about to write is on the
disk before its first write, so that even one that was killed leaves an entry: the next apply moves
it into the history. In a bucket it is kept as `fleet_history.py` says.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cloudsync.model.state_url import StatePlace, StateUrl
from cloudsync.runtime.files import replace, sync_folder
from cloudsync.state import StateError
from cloudsync.state.directory import open_own
from cloudsync.state.history_entry import DIED, line, opened, size_of

__all__ = ["MAX_ENTRY_BYTES", "begin", "end", "entries", "settle", "size_of"]
MAX_ENTRY_BYTES = 8 * 1024 * 1024
_MAX_BYTES = {"history": 16 * 1024 * 1024, "quiet": 256 * 1024}
_READ_BYTES = 2 * 16 * 1024 * 1024
_READ_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def begin(state: StatePlace, owner: str, entry: Mapping[str, Any]) -> None:
    """Put on the disk what is about to be written to clouds. Raises `StateError`: then nothing
    was."""
    if isinstance(state, StateUrl):
        from cloudsync.state import fleet_history

        fleet_history.begin(state, owner, entry)
        return
    path = _running(state, owner)
    try:
        replace(path, line(entry))
    except OSError as error:
        raise StateError(
            f"the history {path} cannot be written: {error.strerror}; nothing was changed"
        ) from None


def end(state: StatePlace, owner: str, entry: Mapping[str, Any], *, quiet: bool) -> str | None:
    """Append the entry of an apply that ended. Why that could not be done, None where it was: what
    the apply did stays done."""
    if isinstance(state, StateUrl):
        from cloudsync.state import fleet_history

        return fleet_history.end(state, owner, entry, quiet=quiet)
    path = state / f"{owner}.{'quiet' if quiet else 'history'}.jsonl"
    try:
        _append(path, line(entry), _MAX_BYTES["quiet" if quiet else "history"])
        _running(state, owner).unlink(missing_ok=True)
    except OSError as error:
        return f"the history {path} could not be written: {error.strerror}"
    except StateError as error:
        return f"the history could not be written: {error}"
    return None


def settle(state: StatePlace, owner: str) -> None:
    """Make an entry of what a run that died was about to do. Called with the lock held. Raises
    `StateError`."""
    if isinstance(state, StateUrl):
        from cloudsync.state import fleet_history

        fleet_history.settle(state, owner)
        return
    left = _left_over(state, owner)
    if left is not None and all(
        entry["id"] != left["id"] for entry in _read(state / f"{owner}.history.jsonl")
    ):
        if (problem := end(state, owner, left, quiet=False)) is not None:
            raise StateError(f"{problem}; nothing was changed")
        return
    with contextlib.suppress(OSError):
        _running(state, owner).unlink(missing_ok=True)


def entries(state: StatePlace, owner: str) -> list[dict[str, Any]]:
    """All entries, oldest first; a line that cannot be read is left out. Of a run that is under way
    or died there is what it was about to write. Raises `StateError`."""
    if isinstance(state, StateUrl):
        from cloudsync.state import fleet_history

        return fleet_history.entries(state, owner)
    by_id: dict[str, dict[str, Any]] = {}
    for name in ("quiet", "history"):
        path = state / f"{owner}.{name}.jsonl"
        for file in (path.with_suffix(".jsonl.1"), path):
            by_id.update((entry["id"], entry) for entry in _read(file))
    if (left := _left_over(state, owner)) is not None:
        by_id.setdefault(left["id"], left)
    return sorted(by_id.values(), key=lambda entry: str(entry.get("started")))


def _running(state: Path, owner: str) -> Path:
    return state / f"{owner}.running.json"


def _left_over(state: Path, owner: str) -> dict[str, Any] | None:
    running = _read(_running(state, owner))
    return {**running[0], "outcome": "died", "message": DIED} if running else None


def _append(path: Path, line: bytes, most: int) -> None:
    with contextlib.suppress(FileNotFoundError):
        if path.stat().st_size + len(line) > most:
            path.replace(path.with_suffix(".jsonl.1"))
    fresh = not path.exists()
    handle = open_own(path, os.O_RDWR | os.O_APPEND)
    try:
        size = os.fstat(handle).st_size
        if size and os.pread(handle, 1, size - 1) != b"\n":
            line = b"\n" + line  # a run that was killed while it wrote left half a line
        while line:
            line = line[os.write(handle, line) :]
        os.fsync(handle)
    finally:
        os.close(handle)
    if fresh:
        sync_folder(path.parent)


def _read(path: Path) -> list[dict[str, Any]]:
    try:
        with os.fdopen(os.open(path, _READ_FLAGS), "rb") as file:
            raw = file.read(_READ_BYTES)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise StateError(f"the history {path} cannot be read: {error.strerror}") from None
    return opened(raw)
