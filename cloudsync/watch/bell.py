"""Wakes one waiting thread: from other threads and from signal handlers, which may not touch
locks."""

from __future__ import annotations

import os
import select
from types import TracebackType
from typing import Self


class Bell:
    """A pipe. Rings before `wait` are not lost."""

    def __init__(self) -> None:
        self._out, self._in = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        os.close(self._in)
        os.close(self._out)

    def ring(self) -> None:
        """Wake the one who waits; a full pipe is loud enough."""
        try:
            os.write(self._in, b"\0")
        except (BlockingIOError, OSError):
            return

    def wait(self, seconds: float) -> None:
        """Wait for a ring, `seconds` at most."""
        ready, _, _ = select.select([self._out], [], [], max(0.0, seconds))
        if ready:
            os.read(self._out, 65536)
