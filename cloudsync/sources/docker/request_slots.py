"""Requests at once, shared fairly: every engine that is being read always has one of its own, and
takes more only while they are free.

So the sum stays within `run.concurrency`, and an engine that hangs with many requests keeps others
from beginning until its own time is over, but never from going on.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Self, TypeVar

_WAIT_SECONDS = 0.1
_ITEMS_A_HELPER = 4

Item = TypeVar("Item")
Result = TypeVar("Result")


class Share:
    """`with Share(slots, most) as share:` waits for one of `slots` and keeps it. `most`: requests
    at once in all."""

    def __init__(self, slots: threading.Semaphore, most: int) -> None:
        self._slots, self._most = slots, most

    def __enter__(self) -> Self:
        self._slots.acquire()
        return self

    def __exit__(self, *_: object) -> None:
        self._slots.release()

    def each(self, work: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
        """`work` on every item; the results in the items' order. An exception of `work` is raised
        when the others are done."""
        left = deque(enumerate(items))
        done: dict[int, Result] = {}

        def take() -> bool:
            try:
                number, item = left.popleft()
            except IndexError:
                return False
            done[number] = work(item)
            return True

        def help_out() -> None:
            while left:
                if self._slots.acquire(timeout=_WAIT_SECONDS):
                    try:
                        take()
                    finally:
                        self._slots.release()

        helpers = min(self._most - 1, len(items) // _ITEMS_A_HELPER)
        if helpers < 1:
            while take():
                pass
        else:
            with ThreadPoolExecutor(helpers, thread_name_prefix="inspect") as pool:
                running = [pool.submit(help_out) for _ in range(helpers)]
                while take():
                    pass
                for future in running:
                    future.result()
        return [done[number] for number in range(len(items))]
