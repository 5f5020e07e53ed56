"""Files of the state directory: private, written atomically and durably, never larger than they can
be read again, and never somebody else's."""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path

from cloudsync.provider.phrases import count
from cloudsync.rules.frozen import dataclass
from cloudsync.runtime.files import give_to_the_folders_owner, replace
from cloudsync.state import StateError

_MIB = 1024 * 1024
MOST_BYTES = {
    "applied.json": 16 * _MIB,
    "engines.json": 32 * _MIB,
    "seen.json": 64 * _MIB,
    "networks.json": 32 * _MIB,
    "report.json": 16 * _MIB,
    "told.json": _MIB,
}
"""How large each state file may become, in bytes: the bound holds when it is written, so that what
one run wrote every later run can read."""


@dataclass(frozen=True, slots=True)
class StateFile:
    """`OWNER.kind` of a state directory, read and written as a whole."""

    path: Path
    most: int
    """Bytes."""

    @classmethod
    def of(cls, state: Path, owner: str, kind: str) -> StateFile:
        """The file of one kind of `MOST_BYTES`."""
        return cls(state / f"{owner}.{kind}", MOST_BYTES[kind])

    def read(self) -> bytes | None:
        """All of it; None if there is no such file. Raises `StateError`."""
        try:
            return read_own(self.path, self.most)[0]
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StateError(
                f"the state file {self.path} cannot be read: {error.strerror}"
            ) from None

    def write(self, data: bytes, consequence: str = "nothing was changed") -> None:
        """Replace it. `consequence`: what it means that this failed. Raises `StateError`."""
        if len(data) > self.most:
            raise StateError(
                f"the state file {self.path} would become too large: {count(len(data), 'byte')}, "
                f"at most {self.most}; {consequence}. Split the firewalls over several owners"
            )
        try:
            replace(self.path, data)
        except OSError as error:
            raise StateError(
                f"the state file {self.path} cannot be written: {error.strerror}; {consequence}"
            ) from None


def prepare(directory: Path) -> None:
    """Make the directory (0700) and prove that it can be written, before anything is written to a
    cloud. Raises `StateError`."""
    try:
        make_private(directory)
        _refuse_a_folder_of_everybody(directory)
        with tempfile.NamedTemporaryFile(dir=directory, prefix=".probe-") as probe:
            probe.write(b"\0" * 4096)
            probe.flush()
            os.fsync(probe.fileno())
    except OSError as error:
        raise StateError(
            f"the state directory {directory} cannot be written: {error.strerror}; nothing was"
            " changed"
        ) from None


def open_own(path: Path, flags: int) -> int:
    """Open a file of the state directory, making it (0600) if need be; never through a link, never
    one that has another name too: it could be any file of the machine. Raises `OSError` and
    `StateError`."""
    handle = os.open(path, flags | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o600)
    try:
        if _checked(handle, path).st_uid == os.geteuid() == 0:
            give_to_the_folders_owner(handle, path.parent)
    except BaseException:
        os.close(handle)
        raise
    return handle


def read_own(path: Path, most: int) -> tuple[bytes, os.stat_result]:
    """A file of the state directory, `most` bytes at most; never through a link. Raises `OSError`
    and `StateError`."""
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(handle, "rb") as file:
        status = _checked(handle, path)
        if status.st_size > most:
            raise StateError(
                f"the state file {path} is too large: {status.st_size} bytes, at most {most}"
            )
        return file.read(most), status


def _checked(handle: int, path: Path) -> os.stat_result:
    status = os.fstat(handle)
    if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1:
        raise StateError(
            f"{path} is not a file of its own (a link, a device or a FIFO); nothing was changed"
        )
    return status


def make_private(directory: Path) -> None:
    """The directory 0700, and parents that nobody else can write, whatever the umask."""
    missing = [parent for parent in directory.parents if not parent.exists()]
    for parent in reversed(missing):
        parent.mkdir(mode=0o755, exist_ok=True)  # 0777 under a umask of 0 would let anybody in
    directory.mkdir(mode=0o700, exist_ok=True)


def _refuse_a_folder_of_everybody(directory: Path) -> None:
    status = directory.stat()
    if status.st_mode & stat.S_IWOTH:
        raise StateError(
            f"the state directory {directory} can be written by every user of this machine; nothing"
            " was changed. Make it private (chmod 700), or name a folder inside it, which is made"
            " private"
        )
    if status.st_uid not in (os.geteuid(), 0) and os.geteuid() != 0:
        raise StateError(
            f"the state directory {directory} belongs to another user; nothing was changed"
        )
