"""How the time of a piece of work grows with its size."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable


def growth(work: Callable[[int], object], small: int = 2_500, times: int = 4) -> float:
    """How many times more of the processor the quickest run of `times * small` takes than that of
    `small`: linear is `times`. Runs take turns, so that somebody else's load meets both; what the
    garbage of other tests costs is left out."""
    taken: dict[int, list[float]] = {small: [], times * small: []}
    gc.collect()
    gc.disable()
    try:
        for _ in range(3):
            for count, seconds in taken.items():
                start = time.process_time()
                work(count)
                seconds.append(time.process_time() - start)
    finally:
        gc.enable()
    return min(taken[times * small]) / min(taken[small])
