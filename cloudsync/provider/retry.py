"""The one retry policy every provider shares: full jitter, the vendor's own hint honoured, never
past the deadline."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from cloudsync.provider.errors import Conflict, ProviderError, RateLimited, Transient

if TYPE_CHECKING:
    from tenacity import RetryCallState

Result = TypeVar("Result")
GRACE_SECONDS = 0.5
"""How long after its time a call may still report its own time-out, which says more."""
LEAST_SECONDS = 1.0
MOST_CALLS = 6


@dataclass(slots=True)
class Backoff:
    """The waits between calls, in seconds: a random time up to `first`, then up to twice as much,
    and so on up to `longest` (full jitter)."""

    first: float = 0.5
    longest: float = 20.0

    def seconds(self, state: RetryCallState) -> float:
        """How long to wait before the next call."""
        from tenacity import wait_random_exponential

        return wait_random_exponential(multiplier=self.first, max=self.longest)(state)


_backoff = Backoff()


@contextmanager
def backoff(first: float, longest: float) -> Iterator[None]:
    """Wait this long instead, in all threads of the process, while the context lasts: for tests
    against a double, which needs no consideration."""
    before = _backoff.first, _backoff.longest
    _backoff.first, _backoff.longest = first, longest
    try:
        yield
    finally:
        _backoff.first, _backoff.longest = before


def retried(
    call: Callable[[], Result],
    *,
    deadline: float,
    safe: Callable[[ProviderError], bool],
    most: int = MOST_CALLS,
) -> Result:
    """`call()`, and again while it raises an error that is `safe` to repeat, `most` times at most
    and not past `deadline` (`time.monotonic()`): a vendor that is down is told within seconds, and
    the next run tries again.

    What is safe is the caller's to say: a read is; a write only where it surely took no effect.
    Raises the last error.
    """
    try:
        return call()
    except ProviderError as error:
        if not safe(error):
            raise
        return _again(call, error, deadline, safe, most)


def repeated(
    call: Callable[[], Result], *, deadline: float, write: bool, once: bool = False
) -> Result:
    """`retried` by the rule that fits most vendors: a read while trying again may help; a write
    only if it surely did nothing, or if the vendor does it `once` however often it is sent. A
    `Conflict` of a write is never repeated, since the core looks and plans again."""

    def safe(error: ProviderError) -> bool:
        lost = error.fate_unknown and not once
        return error.temporary and not (write and (lost or isinstance(error, Conflict)))

    return retried(call, deadline=deadline, safe=safe)


def seconds_left(deadline: float, what: str) -> float:
    """How long until `deadline` (`time.monotonic()`). `what`: the call that is to be made; raises
    `Transient` if it is too late for it."""
    left = deadline - time.monotonic()
    if left <= 0:
        raise Transient(f"{what}: the run's deadline is reached")
    return left


def bounded(call: Callable[[], Result], seconds: float) -> Result:
    """`call()`, given up after `seconds` whatever trickles in: the time-out of a socket starts
    again with every byte. Raises `TimeoutError`; nobody knows then whether a write took effect, or
    will."""
    results: list[Result] = []
    errors: list[Exception] = []

    def attempt() -> None:
        try:
            results.append(call())
        except Exception as error:  # noqa: BLE001 - raised again in the caller's thread
            errors.append(error)

    thread = threading.Thread(target=attempt, name="call", daemon=True)
    thread.start()
    thread.join(seconds + GRACE_SECONDS)
    if errors:
        # Not kept here: its traceback has this frame, and with it all that the callers hold.
        raise errors.pop()
    if not results:
        raise TimeoutError
    return results[0]


def _again(
    call: Callable[[], Result],
    first: ProviderError,
    deadline: float,
    safe: Callable[[ProviderError], bool],
    most: int,
) -> Result:
    """`first` is how the first call ended. Most runs never come here, and are spared the import."""
    from tenacity import Retrying, retry_if_exception

    def too_late(state: RetryCallState) -> bool:
        # A call begun in the last moment would only end in our own time-out, and hide the error
        # that is the real reason.
        return (
            state.attempt_number >= most
            or time.monotonic() + state.upcoming_sleep + LEAST_SECONDS >= deadline
        )

    def wait(state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        if isinstance(error, RateLimited) and error.retry_after is not None:
            return max(0.0, error.retry_after) + _backoff.seconds(state) * 0.1
        return _backoff.seconds(state)

    ended = [first]

    def attempt() -> Result:
        if ended:
            raise ended.pop()
        return call()

    retrying = Retrying(
        retry=retry_if_exception(lambda error: isinstance(error, ProviderError) and safe(error)),
        wait=wait,
        stop=too_late,
        reraise=True,
    )
    return retrying(attempt)


def seconds_of(hint: str) -> float | None:
    """The vendor's hint when to come back, as in `Retry-After` (RFC 9110, 10.2.3); None for a date,
    which no vendor here sends."""
    return float(hint) if hint.isdecimal() else None
