"""A message that is sent beside a run: whether it was delivered."""

from __future__ import annotations

import threading
import time

import pytest

from cloudsync.notify.http import NotSent, Sending


def test_what_was_delivered_is_delivered_though_its_thread_has_not_ended(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    delivered = threading.Event()
    sending = Sending("webhook", delivered.set)
    assert sending.done(time.monotonic() + 30)
    monkeypatch.setattr(threading.Thread, "is_alive", lambda _: True)
    assert sending.done(time.monotonic())
    assert not caplog.records


def test_what_is_under_way_at_the_end_is_not(caplog: pytest.LogCaptureFixture) -> None:
    may_end = threading.Event()

    def slow() -> None:
        may_end.wait(30)

    sending = Sending("webhook", slow)
    try:
        assert not sending.done(time.monotonic())
    finally:
        may_end.set()
    assert caplog.messages == ["webhook: not sent in time"]


def test_why_it_was_not_is_told(caplog: pytest.LogCaptureFixture) -> None:
    def refused() -> None:
        raise NotSent("the receiver answered 403")

    assert not Sending("webhook", refused).done(time.monotonic() + 30)
    assert caplog.messages == ["webhook: not sent: the receiver answered 403"]
