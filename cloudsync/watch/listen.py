"""The report at `/`, `/metrics` and `/healthz` over HTTP, on loopback only."""

from __future__ import annotations

import base64
import contextlib
import hmac
import json
import socket
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from cloudsync.notify.metrics import CONTENT_TYPE
from cloudsync.provider.settings import SecretError
from cloudsync.rules.frozen import dataclass
from cloudsync.rules.networks import is_loopback
from cloudsync.runtime.serving import ServerThread
from cloudsync.state import StateError

_SECONDS = 5.0
"""For a whole request."""
MOST_CONNECTIONS = 8


@dataclass(frozen=True, slots=True)
class Health:
    """`healthy`: a successful run is not long ago. `reason` says so in words."""

    healthy: bool
    reason: str
    values: dict[str, Any]


class Board:
    """What is answered; the loop writes it, requests read it. Assignments of whole values need no
    lock."""

    def __init__(self) -> None:
        self.metrics = ""
        self.page: Callable[[], str] = lambda: ""
        """Makes the report; raises `StateError`."""
        self.token: Callable[[], str | None] = lambda: None
        """What a reader of the report must know, None for nothing; raises `SecretError`."""
        self.health = Health(healthy=False, reason="no run has ended yet", values={})


class Server:
    """Listens at once; `stop` ends it. Raises `OSError` where the address cannot be had."""

    def __init__(self, address: tuple[str, int], board: Board) -> None:
        class Handler(_Handler):
            pass

        Handler.board = board
        self._server = (_Server6 if ":" in address[0] else _Server)(address, Handler)
        self.port: int = self._server.server_address[1]
        self._thread = ServerThread(self._server, "listen")
        self._thread.start()

    def stop(self) -> None:
        """Close the address."""
        self._thread.stop(2.0)


class _Server(ThreadingHTTPServer):
    """Answers a few connections at once and closes all others: whoever can reach loopback could
    otherwise take every thread and file that the service may have."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = MOST_CONNECTIONS

    def __init__(self, *address_and_handler: Any) -> None:
        self._free = threading.BoundedSemaphore(MOST_CONNECTIONS)
        super().__init__(*address_and_handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        """In a thread of its own, if one is free."""
        if not self._free.acquire(blocking=False):
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """One request, cut when its time is over: the time-out of a socket is about silence, and a
        byte now and then would hold the thread for ever."""
        alarm = threading.Timer(_SECONDS, _cut, [request])
        alarm.daemon = True
        alarm.start()
        try:
            super().process_request_thread(request, client_address)
        finally:
            alarm.cancel()
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is nothing to tell."""


class _Server6(_Server):
    address_family = socket.AF_INET6


def _cut(request: socket.socket) -> None:
    with contextlib.suppress(OSError):
        request.shutdown(socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    server_version, sys_version = "cloudsync", ""
    timeout = _SECONDS
    board: Board

    def do_GET(self) -> None:
        if not _is_here(self.headers.get("Host", "")):
            self._answer(
                421, "text/plain; charset=utf-8", "this answers at a loopback address only\n"
            )
            return
        path = urlsplit(self.path).path
        if path == "/metrics":
            self._answer(200, CONTENT_TYPE, self.board.metrics)
        elif path == "/healthz":
            health = self.board.health
            body = json.dumps({"healthy": health.healthy, "reason": health.reason, **health.values})
            self._answer(200 if health.healthy else 503, "application/json", body + "\n")
        elif path == "/":
            self._answer_page()
        else:
            self._answer(404, "text/plain; charset=utf-8", "/, /metrics or /healthz\n")

    def do_HEAD(self) -> None:
        self.do_GET()

    def _answer_page(self) -> None:
        try:
            token = self.board.token()
            if token is not None and not _knows(self.headers.get("Authorization", ""), token):
                self._answer(401, "text/plain; charset=utf-8", "the page needs its token\n")
                return
            self._answer(200, "text/html; charset=utf-8", self.board.page())
        except (SecretError, StateError) as error:
            self._answer(503, "text/plain; charset=utf-8", f"{error}\n")

    def _answer(self, status: int, kind: str, text: str) -> None:
        body = text.encode("utf-8", "backslashreplace")
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        if status == 401:
            self.send_header("WWW-Authenticate", 'Basic realm="cloudsync", charset="UTF-8"')
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name of the standard library
        """Requests are not logged."""


def _knows(authorization: str, token: str) -> bool:
    """Whether the header has the token: as a bearer token, or as the password of any user."""
    scheme, _, given = authorization.partition(" ")
    if scheme.lower() == "basic":
        try:
            given = base64.b64decode(given, validate=True).decode().partition(":")[2]
        except ValueError:
            return False
    elif scheme.lower() != "bearer":
        return False
    return hmac.compare_digest(given.strip().encode(), token.encode())


def _is_here(host: str) -> bool:
    """Whether the Host header names loopback: a web page that lets its own name point here gets
    nothing (DNS rebinding)."""
    try:
        return is_loopback(urlsplit(f"//{host}").hostname)
    except ValueError:
        return False
