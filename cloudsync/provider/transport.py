"""Requests of the `requests` library as cloudsync makes them, and what one that got no usable
answer means."""

from __future__ import annotations

import time
from typing import Any

import requests
from requests.auth import AuthBase

from cloudsync.provider.errors import Transient
from cloudsync.provider.retry import bounded

CONNECT_SECONDS = 5.0


class Bearer(AuthBase):
    """A token as requests' own kind of credentials: over a plain header it would put those that the
    user's ~/.netrc has for the host, or for any host (`default`). `token`: None sends none at
    all."""

    def __init__(self, token: str | None) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._token is not None:
            request.headers["Authorization"] = f"Bearer {self._token}"
        return request


class _Session(requests.Session):
    """Never follows a redirect, whatever a library asks for: the answer of another address is not
    the vendor's."""

    def request(self, *args: Any, **options: Any) -> requests.Response:
        return super().request(*args, **{**options, "allow_redirects": False})


def session(token: str | None = None) -> requests.Session:
    """A session that sends this token and no other credentials, and follows no redirect. Proxies of
    the environment hold, except on the way to loopback."""
    made = _Session()
    made.auth = Bearer(token)
    return made


class _SessionUntil(_Session):
    """Ends every request at a deadline, however slowly the answer trickles in."""

    def __init__(self, deadline: float, seconds: float) -> None:
        super().__init__()
        self._deadline, self._seconds = deadline, seconds

    def request(self, *args: Any, **options: Any) -> requests.Response:
        seconds = min(self._seconds, self._deadline - time.monotonic())
        if seconds <= 0:
            raise requests.ConnectTimeout("the run's deadline is reached")
        timeout = min(CONNECT_SECONDS, seconds), seconds
        send = super().request
        try:
            return bounded(lambda: send(*args, **{**options, "timeout": timeout}), seconds)
        except TimeoutError:
            raise requests.Timeout from None  # which the library knows


def session_until(deadline: float, seconds: float) -> requests.Session:
    """A session for a library that makes requests of its own accord (to log in, to discover), with
    what `session` promises and no token: each request takes at most `seconds`, and none outlasts
    `deadline` (`time.monotonic()`), whatever time-out the library asks for. A request after the
    deadline is not sent (`requests.ConnectTimeout`)."""
    made = _SessionUntil(deadline, seconds)
    made.auth = Bearer(None)
    return made


def secured(made: requests.Session, token: str | None = None) -> requests.Session:
    """The session of an SDK, with what `session` promises: a redirect is an error of its own
    (`requests.TooManyRedirects`), and nothing of ~/.netrc is sent."""
    made.auth = Bearer(token)
    made.max_redirects = 0
    return made


def lost(what: str, error: Exception, unreadable: str, *, write: bool) -> Transient:
    """`what` (the call, for a person) ended in `error`. `unreadable`: what is said of an answer
    that came but cannot be used.

    A write's fate is unknown, except where no connection came about: then nothing was sent.
    """
    if isinstance(error, requests.Timeout | TimeoutError):
        unsent = isinstance(error, requests.ConnectTimeout)
        return Transient(f"{what}: no answer in time", fate_unknown=write and not unsent)
    if isinstance(error, requests.ConnectionError):
        # urllib3 tells it by the name of the exception that requests wraps, several layers down.
        never_sent = "NewConnectionError" in repr(error)
        return Transient(f"{what}: the connection failed", fate_unknown=write and not never_sent)
    return Transient(f"{what}: {unreadable}", fate_unknown=write)
