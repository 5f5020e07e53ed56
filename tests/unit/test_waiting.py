"""Waiting for what a vendor has accepted: however the deadline is met, the error says that it was
accepted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from cloudsync.provider.contract import Account
from cloudsync.provider.errors import AuthError, Transient
from cloudsync.provider.settings import AccountSettings
from cloudsync.provider.waiting import wait_until

SECONDS = 10.0
LATE = "accepted by the vendor, but not in effect when the run's deadline was reached"


class Clock:
    """Stands in for `time`; a pause takes `lasting` times what was asked for, as on a busy
    machine."""

    def __init__(self, lasting: float = 1.0) -> None:
        self.now, self.lasting = 0.0, lasting

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds * self.lasting


class Vendor:
    """Has put the change into effect after `looks` looks; cannot be asked any more from the
    deadline on."""

    def __init__(self, clock: Clock, looks: int = 1_000_000) -> None:
        self.clock, self.left = clock, looks

    def __call__(self) -> str | None:
        if self.clock.now >= SECONDS:
            raise Transient("GET /actions: the run's deadline is reached")
        self.left -= 1
        return "on server 7" if self.left >= 0 else None


def wait(
    monkeypatch: pytest.MonkeyPatch, clock: Clock, look: Callable[[], str | None], missing: str = ""
) -> None:
    monkeypatch.setattr("cloudsync.provider.waiting.time", clock)
    account = Account("a", AccountSettings(), Path(), SECONDS)
    wait_until(look, account, "step", "the vendor", missing)


@pytest.mark.parametrize("lasting", [1.0, 5.0, 1000.0])
def test_the_deadline_is_told_the_same_before_a_pause_and_after_one_that_lasted_too_long(
    monkeypatch: pytest.MonkeyPatch, lasting: float
) -> None:
    clock = Clock(lasting)
    with pytest.raises(Transient, match=f"^{LATE}: on server 7$") as error:
        wait(monkeypatch, clock, Vendor(clock))
    assert not error.value.fate_unknown


@pytest.mark.parametrize(("missing", "told"), [("", ""), ("rule a", ": rule a")])
def test_a_deadline_before_the_first_answer_too(
    monkeypatch: pytest.MonkeyPatch, missing: str, told: str
) -> None:
    clock = Clock()
    clock.now = SECONDS
    with pytest.raises(Transient, match=f"^{LATE}{told}$"):
        wait(monkeypatch, clock, Vendor(clock), missing)


def test_what_is_in_effect_is_waited_for_no_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    wait(monkeypatch, clock, Vendor(clock, looks=3))
    assert 0 < clock.now < SECONDS


@pytest.mark.parametrize("error", [AuthError("no"), Transient("a page of a proxy")])
def test_an_error_in_time_is_raised_as_it_is(
    monkeypatch: pytest.MonkeyPatch, error: AuthError | Transient
) -> None:
    def failing() -> str | None:
        raise error

    with pytest.raises(type(error), match=error.message):
        wait(monkeypatch, Clock(), failing)
