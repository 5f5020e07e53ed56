"""The files of a project: local ones only, regular ones only, bounded, and inside the folders that
the configuration names.

A Compose file may come from a pull request while the plan is made with the secrets of the
repository at hand. What it can make cloudsync read (`include`, `extends`, `env_file`, `label_file`,
a symbolic link) therefore stays inside the folder of the configuration and the folders of the files
that the configuration names; the process's environment and devices are never read.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable
from pathlib import Path

from cloudsync.sources.compose.budget import Budget
from cloudsync.sources.compose.documents import documents
from cloudsync.sources.compose.nodes import ComposeError, Mapping, Place, Scalar, size

MAX_BYTES = 512 * 1024
MAX_PATH = 4096

_REMOTE = re.compile(r"[a-z][a-z0-9+.-]*://|git@|github\.com[:/]|oci:|git:", re.IGNORECASE)
_GIT = re.compile(r"\.git(?:#|\Z)", re.IGNORECASE)
_SYSTEM_FOLDERS = ("/proc", "/sys", "/dev")
_OUTSIDE = (
    "lies outside of the folders that the configuration names; "
    "keep the configuration above it, or name a file of that folder in hosts.X.compose"
)


class Files:
    """Reads the files of one project."""

    def __init__(self, base: Path, named: Iterable[Path]) -> None:
        """`base`: the folder of the configuration, which names in messages are relative to.
        `named`: the files and folders that the configuration names."""
        self.base = Path(os.path.realpath(base))
        folders = [path if path.is_dir() else path.parent for path in named]
        self.roots = (self.base, *(Path(os.path.realpath(folder)) for folder in folders))
        self.budget = Budget()
        self._parsed: dict[Path, tuple[Mapping, ...]] = {}

    def name(self, path: Path) -> str:
        """How messages and origins call a file: relative to the configuration if it lies below
        it."""
        path = Path(os.path.normpath(path))
        return str(path.relative_to(self.base)) if path.is_relative_to(self.base) else str(path)

    def resolve(self, written: Scalar, folder: Path) -> Path:
        """A path that a Compose file names, relative to `folder`. Raises `ComposeError` if it is
        remote or leaves the roots, symbolic links followed."""
        path = join(written, folder)
        if not self._inside(path):
            raise _error(written.place, written.shown, _OUTSIDE)
        if written.written and not path.exists():
            raise _error(written.place, written.shown, "cannot be read: no such file")
        return path

    def text(self, path: Path, place: Place | str, *, inside: bool = True) -> str:
        """A file's text. `inside`: it must lie within the roots, symbolic links followed. Raises
        `ComposeError`."""
        self.budget.count_file(place)
        shown = self.name(path)
        try:
            if inside and not self._inside(path):
                raise _error(place, shown, _OUTSIDE)
            text = _read(Path(os.path.realpath(path)), shown, place)
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise _error(place, shown, f"cannot be read: {reason}") from None
        except ValueError:
            raise _error(place, shown, "is not UTF-8 text") from None
        self.budget.count_bytes(len(text), place)
        return text

    def documents(self, path: Path, place: Place | str) -> tuple[Mapping, ...]:
        """The YAML documents of a file. Raises `ComposeError`."""
        if path in self._parsed:
            self.budget.count_file(place)
        else:
            self._parsed[path] = documents(self.text(path, place), self.name(path))
        for document in self._parsed[path]:
            self.budget.count_nodes(size(document), document.place)
        return self._parsed[path]

    def _inside(self, path: Path) -> bool:
        real = Path(os.path.realpath(path))
        return any(real.is_relative_to(root) for root in self.roots)


def join(written: Scalar, folder: Path) -> Path:
    """A path as docker compose joins it to a folder. Raises `ComposeError` for what is no local
    path."""
    refuse_remote(written.text, written.place)
    if "\0" in written.text or len(written.text) > MAX_PATH:
        raise ComposeError(written.place, "not a path of this machine")
    return Path(os.path.normpath(folder / written.text))


def refuse_remote(written: str, place: Place | str) -> None:
    """Raises `ComposeError` for what docker compose would fetch from Git or a registry."""
    if _REMOTE.match(written) or _GIT.search(written):
        raise ComposeError(
            place,
            "is remote (Git or OCI); only local files are read: check it out, and name the file",
        )


def _error(place: Place | str, shown: str, problem: str) -> ComposeError:
    """What is wrong with a file, which is not named twice."""
    return ComposeError(place, problem if place == shown else f"{shown} {problem}")


def _read(path: Path, shown: str, place: Place | str) -> str:
    _check_regular(path.stat().st_mode, path, shown, place)
    # Opened without waiting, and checked again: the file may have become a named pipe since, and a
    # pipe would wait for its writer for ever.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as opened:
        _check_regular(os.fstat(descriptor).st_mode, path, shown, place)
        raw = opened.read(MAX_BYTES + 1)
    if len(raw) > MAX_BYTES:
        raise _error(place, shown, f"is larger than {MAX_BYTES // 1024} KiB")
    return raw.decode("utf-8-sig").replace("\r\n", "\n")


def _check_regular(mode: int, path: Path, shown: str, place: Place | str) -> None:
    if not stat.S_ISREG(mode) or any(path.is_relative_to(folder) for folder in _SYSTEM_FOLDERS):
        raise _error(place, shown, "is not a regular file")
