"""Files of the state directory: made private, written atomically and durably."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from cloudsync.state import StateError


def prepare(directory: Path) -> None:
    """Make the directory (0700) and prove that it can be written, before anything is written to a
    cloud. Raises `StateError`."""
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=directory, prefix=".probe-") as probe:
            probe.write(b"\0" * 4096)
            probe.flush()
            os.fsync(probe.fileno())
    except OSError as error:
        raise StateError(
            f"the state directory {directory} cannot be written: {error.strerror}; nothing was changed"
        ) from None


def content(path: Path, most: int) -> bytes | None:
    """What a state file holds, one byte more than `most` at most; None where there is none. Raises
    `StateError`."""
    try:
        with path.open("rb") as file:
            return file.read(most + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StateError(f"the state file {path} cannot be read: {error.strerror}") from None


def replace(path: Path, data: bytes, mode: int = 0o600) -> None:
    """Write a file so that a crash at any byte leaves the old content or the new one. Raises
    `OSError`."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    try:
        with os.fdopen(handle, "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
