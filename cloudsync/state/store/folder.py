"""A store in a folder: one file an object, a lock of the kernel around every conditional write.

The folder may lie on a file system that several machines share, if its locks do.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from cloudsync.rules.frozen import dataclass
from cloudsync.runtime.files import give_to_the_folders_owner, replace
from cloudsync.state import StateError
from cloudsync.state.directory import make_private, open_own, read_own
from cloudsync.state.store.contract import Changed, Entry, Stored, StoreError

_LOCK = ".store.lock"
MOST_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class FolderStore:
    """Objects are files below `folder`; their version is a digest of what they hold."""

    folder: Path

    def where(self, name: str) -> str:
        """The object's path."""
        return str(self.folder / name)

    def get(self, name: str) -> Stored | None:
        """The object; None if there is no such file. Raises `StoreError`."""
        path = self.folder / name
        try:
            data, status = read_own(path, MOST_BYTES)
        except FileNotFoundError:
            return None
        except (OSError, StateError) as error:
            raise StoreError(f"{path} cannot be read: {_reason(error)}") from None
        modified = datetime.fromtimestamp(status.st_mtime, UTC)
        return Stored(data, _version(data), modified)

    def put(self, name: str, data: bytes, over: str | None) -> str:
        """Write it over the version `over`. Raises `Changed` and `StoreError`."""
        path = self.folder / name
        if len(data) > MOST_BYTES:
            raise StoreError(f"{path} would become too large: at most {MOST_BYTES} bytes")
        try:
            with self._locked():
                stored = self.get(name)
                if (None if stored is None else stored.version) != over:
                    raise Changed(name)
                for parent in reversed(path.relative_to(self.folder).parents):
                    _make(self.folder / parent)
                replace(path, data)
        except OSError as error:
            raise StoreError(f"{path} cannot be written: {error.strerror}") from None
        return _version(data)

    def delete(self, name: str) -> None:
        """Remove the file. Raises `StoreError`."""
        path = self.folder / name
        try:
            with self._locked():
                path.unlink(missing_ok=True)
        except OSError as error:
            raise StoreError(f"{path} cannot be removed: {error.strerror}") from None

    def list(self, prefix: str) -> list[Entry]:
        """Everything whose name begins with `prefix`. Raises `StoreError`."""
        below = self.folder / prefix.rpartition("/")[0]
        entries = []
        try:
            for path in sorted(below.rglob("*")):
                name = path.relative_to(self.folder).as_posix()
                if not name.startswith(prefix) or path.name.startswith(".") or not path.is_file():
                    continue
                if (stored := self.get(name)) is not None:
                    entries.append(Entry(name, stored.version, stored.modified))
        except OSError as error:
            raise StoreError(f"{below} cannot be listed: {error.strerror}") from None
        return sorted(entries, key=lambda entry: entry.name)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        make_private(self.folder)
        handle = open_own(self.folder / _LOCK, os.O_RDWR)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)


def _make(folder: Path) -> None:
    if folder.is_dir():
        return
    folder.mkdir(mode=0o700, exist_ok=True)
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        give_to_the_folders_owner(handle, folder.parent)
    finally:
        os.close(handle)


def _version(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _reason(error: OSError | StateError) -> str:
    return (error.strerror or "error") if isinstance(error, OSError) else str(error)
