"""Files written whole: those of our own folders by an atomic rename, and those a user names.

| the path a user names is             | then                                                     |
|--------------------------------------|----------------------------------------------------------|
| `-`, `/dev/stdout`, `/dev/fd/N`, ... | the bytes go to that open file, which stays open         |
| a device, a FIFO                     | it is opened and written; it is never replaced by a file |
| a symbolic link                      | what it points to is written; the link stays             |
| a link of somebody else              | refused: who may plant it would choose what we overwrite |
| a regular file, or nothing           | replaced atomically: a crash leaves the old content or   |
|                                      | the new                                                  |
"""

from __future__ import annotations

import errno
import os
import re
import stat
import tempfile
from pathlib import Path

STDOUT = "-"
_OPEN_FILE = re.compile(r"/(?:dev|proc/self)/fd/([0-9]{1,6})")
_STREAMS = {STDOUT: 1, "/dev/stdout": 1, "/dev/stderr": 2}


def open_file(path: Path) -> int | None:
    """The file descriptor that `path` stands for (`-` is standard output); None for a path on a
    file system."""
    name = str(path)
    if name in _STREAMS:
        return _STREAMS[name]
    number = _OPEN_FILE.fullmatch(name)
    return int(number[1]) if number is not None else None


def write_named(path: Path, data: bytes, mode: int = 0o600) -> None:
    """Write a file that a user named, by the module's table. `mode`: permissions of a file that
    is replaced or made. Raises `OSError`."""
    if (handle := open_file(path)) is not None:
        _write_all(handle, data)
        return
    real = _followed(path)
    try:
        kind = real.stat().st_mode
    except FileNotFoundError:
        kind = stat.S_IFREG
    if stat.S_ISREG(kind):
        replace(real, data, mode)
        return
    if stat.S_ISDIR(kind):
        raise OSError(errno.EISDIR, os.strerror(errno.EISDIR))
    handle = os.open(real, os.O_WRONLY | os.O_NOCTTY | os.O_CLOEXEC)
    try:
        _write_all(handle, data)
    finally:
        os.close(handle)


def replace(path: Path, data: bytes, mode: int = 0o600) -> None:
    """Write a file of our own so that a crash at any byte leaves the old content or the new one.
    Whatever stands at `path` is replaced, a link too. Raises `OSError`."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    try:
        with os.fdopen(handle, "wb") as file:
            os.fchmod(file.fileno(), mode)
            give_to_the_folders_owner(file.fileno(), path.parent)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def give_to_the_folders_owner(handle: int, folder: Path) -> None:
    """A file that root makes in the folder of a service's user belongs to that user, or the service
    could not read it after one run by hand. Raises `OSError`."""
    if os.geteuid() != 0:
        return
    owner = folder.stat()
    if owner.st_uid != 0:
        os.fchown(handle, owner.st_uid, owner.st_gid)


def sync_folder(folder: Path) -> None:
    """Make a rename or a new file in `folder` durable. Raises `OSError`."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _followed(path: Path) -> Path:
    """The file behind `path`, if every link on the last step of the way may be followed."""
    current = path
    for _ in range(40):
        try:
            link = current.lstat()
        except FileNotFoundError:
            return current
        if not stat.S_ISLNK(link.st_mode):
            return current
        if link.st_uid not in (os.geteuid(), 0):
            raise PermissionError(errno.EPERM, "a symbolic link of another user is not followed")
        current = current.parent / current.readlink()
    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))


def _write_all(handle: int, data: bytes) -> None:
    while data:
        data = data[os.write(handle, data) :]
