"""Threads of a group: those that have ended are gone, and late ones are left behind."""

from __future__ import annotations

import threading
import time

import pytest

from cloudsync.runtime.pools import gather


def threads(name: str) -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith(name)]


def test_no_thread_outlives_a_group_whose_tasks_ended() -> None:
    for _ in range(200):
        assert gather({"a": lambda: 1, "b": lambda: 2}, "ended", time.monotonic() + 60) == {
            "a": 1,
            "b": 2,
        }
        assert threads("ended") == []


def test_no_thread_outlives_a_group_whose_task_failed() -> None:
    def fails() -> None:
        raise ValueError("no")

    for _ in range(200):
        with pytest.raises(ValueError, match="no"):
            gather({"a": fails}, "failed", time.monotonic() + 60)
        assert threads("failed") == []


def test_a_late_task_is_left_behind() -> None:
    over = threading.Event()
    try:
        ended = gather({"soon": lambda: 1, "late": over.wait}, "late", time.monotonic() + 0.5)
        assert ended == {"soon": 1}
        assert threads("late") != []
    finally:
        over.set()
