"""File operations that kill their own process: the n-th one below a folder, before it, half way
through a write, or after it."""

from __future__ import annotations

import fcntl
import functools
import io
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, Self

Moment = Literal["before", "half", "after"]
_OF_OS = ("open", "replace", "rename", "unlink", "mkdir", "fsync", "ftruncate", "pwrite", "fchmod")
COUNT_ONLY = -1


@contextmanager
def deadly(folder: Path, at: int, moment: Moment) -> Iterator[None]:
    """Within it the operation number `at` (0 = the first) ends the process. With `COUNT_ONLY` all
    are counted, into `operations`."""
    done: list[str] = []
    inside = str(folder)

    def wrapped(name: str, plain: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(plain)
        def call(*args: Any, **more: Any) -> Any:
            if not _is_below(inside, args):
                return plain(*args, **more)
            number = len(done)
            done.append(name)
            if number == at and moment == "before":
                _die()
            if number == at and moment == "half" and name in ("write", "pwrite"):
                data = args[1] if name == "pwrite" else args[-1]
                plain(*args[:1], data[: len(data) // 2], *args[2:])
                _die()
            try:
                return plain(*args, **more)
            finally:
                if number == at:
                    _die()

        return call

    plain = {name: getattr(os, name) for name in _OF_OS}
    fdopen, flock, opener = os.fdopen, fcntl.flock, io.open

    def opened(handle: int, *args: Any, **more: Any) -> Any:
        file = fdopen(handle, *args, **more)
        return _Written(file, handle, wrapped) if _is_below(inside, (handle,)) else file

    def opened_by_path(path: Any, mode: str = "r", *args: Any, **more: Any) -> Any:
        if not set(mode) & set("wax+") or not _is_below(inside, (path,)):
            return opener(path, mode, *args, **more)
        file = wrapped("open", opener)(path, mode, *args, **more)
        return _Written(file, file.fileno(), wrapped)

    for name, function in plain.items():
        setattr(os, name, wrapped(name, function))
    os.fdopen, io.open = opened, opened_by_path
    fcntl.flock = wrapped("flock", flock)
    try:
        yield
    finally:
        for name, function in plain.items():
            setattr(os, name, function)
        os.fdopen, fcntl.flock, io.open = fdopen, flock, opener
        if at == COUNT_ONLY:
            (folder / "operations").write_text("\n".join(done))


class _Written:
    """A file whose writes go to the disk at once, and count."""

    def __init__(
        self,
        file: Any,
        handle: int,
        wrapped: Callable[[str, Callable[..., Any]], Callable[..., Any]],
    ) -> None:
        self._file = file

        def write(_: int, data: bytes) -> Any:
            written = file.write(data)
            file.flush()
            return written

        self._write = wrapped("write", write)
        self._handle = handle

    def write(self, data: bytes) -> Any:
        return self._write(self._handle, data)

    def __enter__(self) -> Self:
        self._file.__enter__()
        return self

    def __exit__(self, *args: object) -> None:
        self._file.__exit__(*args)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def _is_below(folder: str, args: tuple[Any, ...]) -> bool:
    """Whether the operation is on something in the folder: by its path, or by where its handle
    points."""
    for one in args[:1]:
        try:
            path = (
                str(Path(f"/proc/self/fd/{one}").readlink())
                if isinstance(one, int)
                else os.fspath(one)
            )
        except (OSError, TypeError):
            continue
        if isinstance(path, str) and path.startswith(folder) and "/out-" not in path:
            return True
    return False


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
