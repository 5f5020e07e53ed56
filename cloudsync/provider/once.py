"""Reads that several parts of a reader need: each is made once, by whoever needs it first."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from threading import Lock
from typing import TypeVar, TypeVarTuple

from cloudsync.provider.errors import ProviderError, without_frames

Result = TypeVar("Result")
Of = TypeVarTuple("Of")


def once(ask: Callable[[*Of], Result]) -> Callable[[*Of], Result]:
    """`ask`, called once for the same arguments: how that ended, with an answer or an error, is how
    every later call ends. A thread that comes meanwhile waits for it; `ask` must not call it with
    its own arguments."""
    ends: dict[tuple[*Of], Future[Result | ProviderError]] = {}
    lock = Lock()

    def asked(*of: *Of) -> Result:
        with lock:
            is_first = of not in ends
            end = ends.setdefault(of, Future())
        if is_first:
            try:
                end.set_result(ask(*of))
            except ProviderError as error:
                end.set_result(without_frames(error))
            except BaseException as bug:  # noqa: BLE001 - raised again for everybody who asks
                end.set_exception(bug)
        result = end.result()
        if isinstance(result, ProviderError):
            raise without_frames(result)
        return result

    return asked
