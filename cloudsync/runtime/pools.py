"""Threads side by side that do not outlive an interruption: leaving by an exception waits for none
of them."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager


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
