"""The configuration of a service: read again on demand, or when the file changed. A new file that
cannot be used leaves the old one."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

from cloudsync.config import ConfigError, Configuration, load

STEADY_SECONDS = 1.0
Print = tuple[tuple[int, int, int, int] | None, ...]
"""Of every file, and every folder that files are included from: device, inode, size and time of
change, what tells one version from another without reading it. None where there is none."""


class Reloading:
    """`current` is the configuration in use. `usable`: says what stands in the way of a new one,
    None where nothing does. `clock`: this moment, in seconds."""

    def __init__(
        self,
        path: Path,
        usable: Callable[[Configuration], str | None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.path, self._usable, self._clock = path, usable, clock
        self._since = self._clock()
        before = _print(path)
        self.current = load(path, name=str(path))
        self._loaded = self._seen = (before, *self._print()[1:])
        self.problem: str | None = None

    def changed(self) -> bool:
        """Whether the file is another one than was read last, and has been so for a moment: it may
        be half written."""
        now = self._print()
        if now != self._seen:
            self._seen, self._since = now, self._clock()
        return now != self._loaded and self._clock() - self._since >= STEADY_SECONDS

    def reload(self) -> bool:
        """Read it; whether `current` is a new one. If not, `problem` says why."""
        self._loaded = self._seen = before = self._print()
        try:
            fresh = load(self.path, name=str(self.path))
        except ConfigError as error:
            self.problem = str(error)
            return False
        if (problem := self._usable(fresh)) is not None:
            self.problem = problem
            return False
        self.current, self.problem = fresh, None
        self._loaded = self._seen = (before[0], *self._print()[1:])
        return True

    def _print(self) -> Print:
        source = self.current.source
        included = () if source is None else source.included
        folders = dict.fromkeys(file.parent for file in included)
        return tuple(_print(path) for path in (self.path, *included, *folders))


def _print(path: Path) -> tuple[int, int, int, int] | None:
    try:
        status = os.stat(path)  # noqa: PTH116 - the same call, said plainly
    except OSError:
        return None
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
