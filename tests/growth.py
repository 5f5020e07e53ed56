"""How the work of a piece of code grows with its size."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

from tests.caches import forget


def growth(work: Callable[[int], object], small: int = 500, times: int = 4) -> float:
    """How many times more operations `work(times * small)` takes than `work(small)`: linear is
    `times`.

    Counted, not timed, so that a busy machine says the same as an idle one. What the first call
    alone has to do (imports) is left out, and what a process remembers is forgotten: else the size
    that was worked on before would look as if it cost nothing.
    """
    work(small)
    counted = []
    for size in (times * small, small):
        forget()
        counted.append(operations(lambda size=size: work(size)))  # type: ignore[misc]
    return counted[0] / counted[1]


def operations(work: Callable[[], object]) -> int:
    """Lines of Python that are executed, plus calls of functions written in C.

    A loop inside a C function (`x in list`, `sorted`) counts as one call.
    """
    count = 0

    def lines(frame: FrameType, event: str, argument: Any) -> Any:
        nonlocal count
        count += event == "line"
        return lines

    def calls(frame: FrameType, event: str, argument: Any) -> None:
        nonlocal count
        count += event == "c_call"

    before = sys.gettrace(), sys.getprofile()
    sys.settrace(lines)
    sys.setprofile(calls)
    try:
        work()
    finally:
        sys.settrace(before[0])
        sys.setprofile(before[1])
    return count
