"""The one retry policy every provider shares: full jitter, the vendor's own hint honoured, never past the deadline."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from tenacity import RetryCallState, Retrying, retry_if_exception, wait_random_exponential

from cloudsync.provider.errors import ProviderError, RateLimited

Result = TypeVar("Result")
FIRST_SECONDS = 0.5
LONGEST_SECONDS = 20.0
LEAST_SECONDS = 1.0
MOST_CALLS = 6


def retried(
    call: Callable[[], Result], *, deadline: float, safe: Callable[[ProviderError], bool], most: int = MOST_CALLS
) -> Result:
    """`call()`, and again while it raises an error that is `safe` to repeat, `most` times at most and not past `deadline`
    (`time.monotonic()`): a vendor that is down is told within seconds, and the next run tries again.

    What is safe is the caller's to say: a read is; a write only where it surely took no effect. Raises the last error.
    """

    def too_late(state: RetryCallState) -> bool:
        # A call begun in the last moment would only end in our own time-out, and hide the error that is the real reason.
        return state.attempt_number >= most or time.monotonic() + state.upcoming_sleep + LEAST_SECONDS >= deadline

    def wait(state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        if isinstance(error, RateLimited) and error.retry_after is not None:
            return max(0.0, error.retry_after) + _jitter(state) * 0.1
        return _jitter(state)

    retrying = Retrying(
        retry=retry_if_exception(lambda error: isinstance(error, ProviderError) and safe(error)),
        wait=wait,
        stop=too_late,
        reraise=True,
    )
    return retrying(call)


def seconds_of(hint: str) -> float | None:
    """The vendor's hint when to come back, as in `Retry-After` (RFC 9110, 10.2.3); None for a date, which no vendor here sends."""
    return float(hint) if hint.isdecimal() else None


_jitter = wait_random_exponential(multiplier=FIRST_SECONDS, max=LONGEST_SECONDS)
