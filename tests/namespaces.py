"""Namespaces of the kernel, entered by a thread or a process of the tests."""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

Result = TypeVar("Result")
_libc = ctypes.CDLL(None, use_errno=True)


def enter(*files: str | Path) -> None:
    """This thread enters the namespaces of these files (`/run/netns/NAME`, `/proc/ID/ns/mnt`), as
    `nsenter` does. Raises `OSError`."""
    handles: list[int] = []
    try:
        for file in files:
            handles.append(os.open(file, os.O_RDONLY))
        for file, handle in zip(files, handles, strict=True):
            if _libc.setns(handle, 0):
                error = ctypes.get_errno()
                raise OSError(error, os.strerror(error), str(file))
    finally:
        for handle in handles:
            os.close(handle)


def in_network(file: str | Path, action: Callable[[], Result]) -> Result:
    """`action()` in a network namespace, in a thread of its own; sockets made there stay."""
    answers: list[Result] = []
    errors: list[BaseException] = []

    def act() -> None:
        try:
            enter(file)
            answers.append(action())
        except BaseException as error:  # noqa: BLE001 - raised again by the caller
            errors.append(error)

    thread = threading.Thread(target=act)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return answers[0]
