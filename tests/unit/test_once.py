"""Reads that several parts of a reader need are made once."""

from __future__ import annotations

import gc
import weakref
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import Barrier

import pytest

from cloudsync.provider.errors import RateLimited, Transient
from cloudsync.provider.once import once


def test_an_answer_is_asked_for_once_for_each_argument() -> None:
    calls: list[str] = []

    def listed(project: str) -> str:
        calls.append(project)
        return f"list of {project}"

    read = once(listed)
    assert [read("a"), read("b"), read("a")] == ["list of a", "list of b", "list of a"]
    assert calls == ["a", "b"]


def test_an_error_is_everybodys_and_is_not_tried_again() -> None:
    calls: list[None] = []

    def listed() -> str:
        calls.append(None)
        raise Transient("no answer in time")

    read = once(listed)
    for _ in range(2):
        with pytest.raises(Transient, match="no answer in time"):
            read()
    assert len(calls) == 1


def test_an_error_that_is_kept_keeps_nothing_else() -> None:
    """Its traceback has the frames that it went through, and they the connections."""

    class Connection:
        pass

    hints: list[tuple[str, float | None, bool]] = []

    def listed(connection: Connection) -> str:
        try:
            raise OSError
        except OSError:
            raise RateLimited("too many calls", retry_after=7.0, fate_unknown=True) from None

    def reading() -> weakref.ref[Connection]:
        connection = Connection()
        read = once(partial(listed, connection))
        for _ in range(2):
            try:
                read()
            except RateLimited as error:
                hints.append((error.message, error.retry_after, error.fate_unknown))
        return weakref.ref(connection)

    gc.disable()
    try:
        assert reading()() is None
    finally:
        gc.enable()
    assert hints == [("too many calls", 7.0, True)] * 2


def test_threads_that_ask_at_once_share_one_call() -> None:
    calls: list[None] = []
    together = Barrier(3)

    def listed() -> int:
        calls.append(None)
        return len(calls)

    read = once(listed)

    def asking() -> int:
        together.wait()
        return read()

    with ThreadPoolExecutor(3) as pool:
        answers = [pool.submit(asking) for _ in range(3)]
    assert [answer.result() for answer in answers] == [1, 1, 1]
