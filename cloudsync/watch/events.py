"""What happens at an engine, as a hint to look again: one thread an engine, one `GET /events` that
stays open.

Nothing of an event is believed or even read: the engine picks those that can change which ports are
needed, and every byte of its answer only means "look again". A stream that ends is opened again
after a pause that doubles; whatever was missed meanwhile, opening it is a hint too. An engine that
refuses the request (a socket proxy) is read at the interval only.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import logging
import random
import socket
import threading
import time
from collections.abc import Callable
from urllib.parse import quote, urlsplit

from cloudsync.config.engines import engine_problem

log = logging.getLogger("cloudsync.watch")
TYPES = ("container", "network", "service")
EVENTS = ("start", "die", "died", "destroy", "remove", "connect", "disconnect", "create", "update")
"""Without those of health checks (`exec_*`, `health_status`), which come every few seconds and
change nothing. Podman says `died`."""
PATH = "/events?filters=" + quote(
    json.dumps({"type": TYPES, "event": EVENTS}, separators=(",", ":"))
)
CONNECT_SECONDS = 10.0
HINT_SECONDS = 0.02
"""The shortest time between two hints of one engine, and so the longest by which an event is heard
late. A container that starts sends several within a tenth of a second, and its run is timed from
the last one."""
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
REFUSED_PAUSE = 600.0
STEADY_SECONDS = 30.0
"""A stream that lived so long was a good one: the next pause is short again."""


def can_listen(endpoint: object) -> bool:
    """Whether the events of this engine can be had: `unix://` and `tcp://` to loopback. Others are
    read at the interval only."""
    if not isinstance(endpoint, str) or engine_problem(endpoint) is not None:
        return False
    parts = urlsplit(endpoint)
    return parts.scheme == "unix" or (
        parts.scheme == "tcp" and parts.hostname in ("localhost", "127.0.0.1", "::1")
    )


class Listener:
    """Listens to one engine until it is stopped. `hint` is called from its thread."""

    def __init__(self, host: str, endpoint: str, hint: Callable[[], None]) -> None:
        self.host, self.endpoint, self._hint = host, endpoint, hint
        self.connected = False
        self._over = threading.Event()
        self._connection: _Connection | None = None
        self._told = ""
        self._thread = threading.Thread(target=self._run, name=f"events-{host}", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread; a stream that is open is cut."""
        self._over.set()
        if (connection := self._connection) is not None:
            connection.cut()
        self._thread.join(2.0)

    def _run(self) -> None:
        pause = FIRST_PAUSE
        while not self._over.is_set():
            begun = time.monotonic()
            try:
                refused = self._listen()
            except (OSError, http.client.HTTPException, ValueError) as error:
                refused = False
                self._tell(f"its events cannot be had ({type(error).__name__}); trying again")
            self.connected = False
            if time.monotonic() - begun >= STEADY_SECONDS:
                pause = FIRST_PAUSE
            self._over.wait(REFUSED_PAUSE if refused else pause * random.uniform(0.8, 1.2))  # noqa: S311 - not a secret
            pause = min(pause * 2, LONGEST_PAUSE)

    def _listen(self) -> bool:
        """Until the stream ends; True where the engine refused it."""
        self._connection = connection = _Connection(self.endpoint)
        try:
            if self._over.is_set():
                return False
            connection.request("GET", PATH, headers={"Host": "docker"})
            answer = connection.getresponse()
            if answer.status != 200:
                if answer.status in (401, 403, 404):
                    self._tell(
                        f"GET /events is refused ({answer.status}): it is read at the interval only"
                    )
                    return True
                raise http.client.HTTPException(answer.status)
            connection.patient()
            if self._told:
                self._tell("")
                log.info("%s: its events are heard again", self.host, extra={"event": "events"})
            self.connected = True
            self._hint()
            while not self._over.is_set() and answer.read1(65536):
                self._hint()
                # An engine that floods waits meanwhile, and no core is busy with it.
                self._over.wait(HINT_SECONDS)
        finally:
            self._connection = None
            connection.close()
        return False

    def _tell(self, text: str) -> None:
        """Once as long as it stays the same."""
        if text and text != self._told and not self._over.is_set():
            log.warning("%s: %s", self.host, text, extra={"event": "events"})
        self._told = text


class _Connection(http.client.HTTPConnection):
    """GET only, because nothing else is ever asked of it; over a unix socket or loopback."""

    def __init__(self, endpoint: str) -> None:
        parts = urlsplit(endpoint)
        super().__init__(parts.hostname or "docker", parts.port or 80, timeout=CONNECT_SECONDS)
        self._path = parts.path if parts.scheme == "unix" else None

        self._stream: socket.socket | None = None

    def connect(self) -> None:
        if self._path is None:
            super().connect()
        else:
            self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self.sock.settimeout(CONNECT_SECONDS)
            self.sock.connect(self._path)
        self._stream = self.sock  # http.client forgets it where the answer ends with the connection

    def patient(self) -> None:
        """From here on wait for as long as it takes."""
        if self._stream is not None:
            self._stream.settimeout(None)

    def cut(self) -> None:
        """From another thread: end what is being waited for."""
        if (stream := self._stream) is not None:
            with contextlib.suppress(OSError):
                stream.shutdown(socket.SHUT_RDWR)
