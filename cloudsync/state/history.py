"""The history of applies: one JSON object a line, appended durably, bounded in size.

| file                    | what it holds                                            | at most    |
|-------------------------|----------------------------------------------------------|------------|
| `OWNER.history.jsonl`   | applies that changed something, or met trouble           | 2 x 16 MiB |
| `OWNER.quiet.jsonl`     | applies that found nothing to do: every minute of a cron | 2 x 256    |
|                         | is one                                                   | KiB        |
| `OWNER.running-ID.json` | what an apply under way is about to write, or one that   | 8 MiB      |
|                         | died was                                                 |            |

A full file becomes `….1`, and the `….1` of before is gone. What a run was about to write is on the
disk before its first write, so that even one that was killed leaves an entry: the next apply moves
it into the history. A run holds its file locked as long as it lives, so that another run, about
other firewalls, knows that it did not die. In a bucket all is kept as `fleet_history.py` says.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator, Mapping
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
_ALIVE: dict[Path, int] = {}
"""The open files of this process's runs that are under way: to close one frees its lock."""
_READ_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def begin(state: StatePlace, owner: str, entry: Mapping[str, Any]) -> None:
    """Put on the disk what is about to be written to clouds. Raises `StateError`: then nothing
    was."""
    if isinstance(state, StateUrl):
        from cloudsync.state import fleet_history

        fleet_history.begin(state, owner, entry)
        return
    path = _running(state, owner, entry)
    try:
        _hold(path, line(entry))
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
    running = _running(state, owner, entry)
    try:
        _append(path, line(entry), _MAX_BYTES["quiet" if quiet else "history"])
        running.unlink(missing_ok=True)
    except OSError as error:
        return f"the history {path} could not be written: {error.strerror}"
    except StateError as error:
        return f"the history could not be written: {error}"
    finally:
        _free(running)  # if it is still there, the next run makes an entry of it
    return None


def settle(state: StatePlace, owner: str) -> None:
    """Make an entry of what a run that died was about to do. Called with the lock held. Raises
    `StateError`."""
    if isinstance(state, StateUrl):
        from cloudsync.state import fleet_history

        fleet_history.settle(state, owner)
        return
    with _alone(state):
        dead = list(_left_over(state, owner))
    for path, left in dead:
        settled = {entry["id"] for entry in _read(state / f"{owner}.history.jsonl")}
        fresh = left is not None and left["id"] not in settled
        if left is not None and fresh and (problem := end(state, owner, left, quiet=False)):
            raise StateError(f"{problem}; nothing was changed")
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)


def entries(state: StatePlace, owner: str) -> list[dict[str, Any]]:
    """All entries, oldest first; a line that cannot be read is left out. Of a run that is under way
    ("begun") or died there is what it was about to write. Raises `StateError`."""
    if isinstance(state, StateUrl):
        from cloudsync.state import fleet_history

        return fleet_history.entries(state, owner)
    by_id: dict[str, dict[str, Any]] = {}
    for name in ("quiet", "history"):
        path = state / f"{owner}.{name}.jsonl"
        for file in (path.with_suffix(".jsonl.1"), path):
            by_id.update((entry["id"], entry) for entry in _read(file))
    for _, left in _left_over(state, owner, alive=True):
        if left is not None:
            by_id.setdefault(left["id"], left)
    return sorted(by_id.values(), key=lambda entry: str(entry.get("started")))


def _running(state: Path, owner: str, entry: Mapping[str, Any]) -> Path:
    return state / f"{owner}.running-{entry['id']}.json"


def _left_over(
    state: Path, owner: str, *, alive: bool = False
) -> Iterator[tuple[Path, dict[str, Any] | None]]:
    """What runs that died were about to do, by file, and with `alive` those that are under way, as
    they began. Earlier versions had one file for the one run of an owner."""
    for path in (
        *sorted(state.glob(f"{owner}.running-*.json")),
        state / f"{owner}.running.json",
    ):
        held = _is_held(path)
        if held and not alive:
            continue
        running = _read(path)
        if running and held:
            yield path, running[0]
        elif running or path.exists():
            yield path, {**running[0], "outcome": "died", "message": DIED} if running else None


def _hold(path: Path, data: bytes) -> None:
    """Write a file that stays locked until its run ended."""
    with _alone(path.parent):
        replace(path, data)
        _ALIVE[path] = open_own(path, os.O_RDWR)  # NFS locks no other file exclusively
        fcntl.flock(_ALIVE[path], fcntl.LOCK_EX | fcntl.LOCK_NB)


def _free(path: Path) -> None:
    if (handle := _ALIVE.pop(path, None)) is not None:
        os.close(handle)


def _is_held(path: Path) -> bool:
    """Whether a run that lives holds it."""
    try:
        handle = os.open(path, _READ_FLAGS)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Nobody else looks whose files are locked while one of them is being made."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _append(path: Path, line: bytes, most: int) -> None:
    """One run at a time: a full file is moved away under nobody."""
    while True:
        fresh = not path.exists()
        handle = open_own(path, os.O_RDWR | os.O_APPEND)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            if not _is_still(path, handle):
                continue
            size = os.fstat(handle).st_size
            if size and size + len(line) > most:
                path.replace(path.with_suffix(".jsonl.1"))
                continue
            if size and os.pread(handle, 1, size - 1) != b"\n":
                line = b"\n" + line  # a run that was killed while it wrote left half a line
            while line:
                line = line[os.write(handle, line) :]
            os.fsync(handle)
        finally:
            os.close(handle)
        if fresh:
            sync_folder(path.parent)
        return


def _is_still(path: Path, handle: int) -> bool:
    """Whether the open file is the one of that name: another run may have moved it away."""
    try:
        return os.path.samestat(path.stat(), os.fstat(handle))
    except FileNotFoundError:
        return False


def _read(path: Path) -> list[dict[str, Any]]:
    try:
        with os.fdopen(os.open(path, _READ_FLAGS), "rb") as file:
            raw = file.read(_READ_BYTES)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise StateError(f"the history {path} cannot be read: {error.strerror}") from None
    return opened(raw)
