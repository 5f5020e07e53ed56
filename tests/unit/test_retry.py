"""The shared retry policy: what is repeated, how often, and until when."""

from __future__ import annotations

import contextlib
import gc
import time
import weakref

import pytest

from cloudsync.provider import retry
from cloudsync.provider.errors import AuthError, ProviderError, RateLimited, Transient


class Calls:
    """Raises what it is told, one after the other, then returns how often it was called."""

    def __init__(self, *errors: ProviderError) -> None:
        self.errors, self.count = list(errors), 0

    def __call__(self) -> int:
        self.count += 1
        if self.errors:
            raise self.errors.pop(0)
        return self.count


@pytest.fixture(autouse=True)
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    pauses: list[float] = []
    monkeypatch.setattr("tenacity.nap.time.sleep", pauses.append)
    return pauses


def run(calls: Calls, seconds: float = 60.0) -> int:
    return retry.retried(
        calls, deadline=time.monotonic() + seconds, safe=lambda error: error.temporary
    )


def test_a_bounded_call_that_fails_keeps_nothing_of_its_callers() -> None:
    class Connection:
        def lose(self) -> None:
            raise OSError

    def calling() -> weakref.ref[Connection]:
        connection = Connection()
        with contextlib.suppress(OSError):
            retry.bounded(connection.lose, 30.0)
        return weakref.ref(connection)

    gc.disable()
    try:
        assert calling()() is None
    finally:
        gc.enable()


def test_what_is_safe_is_repeated_until_it_works() -> None:
    assert run(Calls(Transient("a"), Transient("b"))) == 3


def test_what_is_not_safe_is_not_repeated() -> None:
    calls = Calls(AuthError("no"))
    with pytest.raises(AuthError):
        run(calls)
    assert calls.count == 1


def test_it_gives_up_after_a_few_calls_with_the_last_error() -> None:
    calls = Calls(*(Transient(str(number)) for number in range(100)))
    with pytest.raises(Transient, match=str(retry.MOST_CALLS - 1)):
        run(calls)
    assert calls.count == retry.MOST_CALLS


def test_the_vendors_hint_is_waited_out(slept: list[float]) -> None:
    run(Calls(RateLimited("slow down", retry_after=7.0)))
    assert slept[0] >= 7.0


def test_a_hint_beyond_the_deadline_is_not_waited_for(slept: list[float]) -> None:
    with pytest.raises(RateLimited):
        run(Calls(RateLimited("slow down", retry_after=3600.0)))
    assert slept == []


def test_nothing_is_repeated_in_the_last_moment() -> None:
    calls = Calls(Transient("a"))
    with pytest.raises(Transient):
        run(calls, seconds=0.5)
    assert calls.count == 1
