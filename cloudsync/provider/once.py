"""Reads that several parts of a reader need: each is made once, by whoever needs it first."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from copy import copy
from threading import Lock
from typing import TypeVar, TypeVarTuple

from cloudsync.provider.errors import ProviderError

Result = TypeVar("Result")
Of = TypeVarTuple("Of")


def once(ask: Callable[[*Of], Result]) -> Callable[[*Of], Result]:
    """`ask`, called once for the same arguments: how that ended, with an answer or an error, is how
    every later call ends. A thread that comes meanwhile waits for it; `ask` must not call it with
    its own arguments.

    An error is raised as a copy each time: the one that is kept would hold the frames that it went
    through, and they what keeps it.
    """
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
                error.__context__ = None
                end.set_result(error.with_traceback(None))
            except BaseException as bug:  # noqa: BLE001 - raised again for everybody who asks
                end.set_exception(bug)
        result = end.result()
        if isinstance(result, ProviderError):
            raise copy(result)
        return result

    return asked
