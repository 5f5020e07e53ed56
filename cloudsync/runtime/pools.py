"""Threads side by side that do not outlive an interruption or a deadline: what has not ended by
then is left behind."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import TypeVar

Key = TypeVar("Key")
Value = TypeVar("Value")


@contextmanager
def side_by_side(count: int, name: str) -> Iterator[ThreadPoolExecutor]:
    """A pool of `count` threads. What was begun is waited for, unless the block is left by an
    exception (Ctrl-C)."""
    pool = ThreadPoolExecutor(count, thread_name_prefix=name)
    try:
        yield pool
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        raise
    pool.shutdown(wait=True)


def gather(tasks: Mapping[Key, Callable[[], Value]], name: str, until: float) -> dict[Key, Value]:
    """Run every task in a thread of its own; what those returned that ended by `until`
    (`time.monotonic()`). The threads of the others are left behind: a socket's time-out is about
    silence, and a peer that sends a byte now and then would hold them for ever.

    Raises what a task raised.
    """
    if not tasks:
        return {}
    pool = ThreadPoolExecutor(len(tasks), thread_name_prefix=name)
    late = True
    try:
        running = {key: pool.submit(task) for key, task in tasks.items()}
        late = bool(wait(running.values(), timeout=max(0.0, until - time.monotonic())).not_done)
        return {key: task.result() for key, task in running.items() if task.done()}
    finally:
        # A thread that is idle ends now: `__main__` takes one that is there for a late one.
        pool.shutdown(wait=not late, cancel_futures=True)
