"""A proxy in front of a store, which does to requests what networks and stores do: nothing at all,
too late, refused, done and not answered, lists of yesterday."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal

from cloudsync.runtime.serving import ServerThread

Trouble = Literal[
    "none", "lost", "unanswered", "slow", "500", "503", "429", "412", "404", "stale-list"
]
"""`lost`: never forwarded. `unanswered`: done, and the connection is cut instead of an answer."""


@dataclass(slots=True)
class Asked:
    """A request, as a trouble is chosen for it."""

    method: str
    path: str
    number: int
    """From 1, over all requests."""

    @property
    def lists(self) -> bool:
        return self.method == "GET" and "list-type=2" in self.path


@dataclass(slots=True)
class Proxy:
    """Forwards to 127.0.0.1:`port`; `choose` says what happens to each request."""

    port: int
    choose: Callable[[Asked], Trouble] = lambda _: "none"
    slow_seconds: float = 0.3
    asked: list[Asked] = field(default_factory=list)
    _server: ThreadingHTTPServer | None = None
    _thread: ServerThread | None = None
    _lists: dict[str, tuple[int, list[tuple[str, str]], bytes]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def endpoint(self) -> str:
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def start(self) -> None:
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                proxy._handle(self, body)

            do_GET = do_PUT = do_DELETE = do_HEAD = do_POST = handle_any

            def log_message(self, *_: object) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = ServerThread(self._server)
        self._thread.start()

    def stop(self) -> None:
        assert self._thread is not None
        self._thread.stop()

    def _handle(self, handler: BaseHTTPRequestHandler, body: bytes) -> None:
        with self._lock:
            asked = Asked(handler.command, handler.path, len(self.asked) + 1)
            self.asked.append(asked)
        trouble = self.choose(asked)
        if trouble == "lost":
            handler.close_connection = True
            return
        if trouble in ("500", "503", "429", "412", "404"):
            _answer(handler, int(trouble), [], b"<html>Trouble</html>")
            return
        if trouble == "slow":
            time.sleep(self.slow_seconds)
        if trouble == "stale-list" and handler.path in self._lists:
            _answer(handler, *self._lists[handler.path])
            return
        status, headers, data = self._forward(handler, body)
        if asked.lists:
            self._lists.setdefault(handler.path, (status, headers, data))
        if trouble == "unanswered":
            handler.close_connection = True
            return
        _answer(handler, status, headers, data)

    def _forward(
        self, handler: BaseHTTPRequestHandler, body: bytes
    ) -> tuple[int, list[tuple[str, str]], bytes]:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.putrequest(
                handler.command, handler.path, skip_host=True, skip_accept_encoding=True
            )
            for name, value in handler.headers.items():
                if name.lower() != "connection":
                    connection.putheader(name, value)
            connection.endheaders(body)
            answer = connection.getresponse()
            return answer.status, answer.getheaders(), answer.read()
        finally:
            connection.close()


def _answer(
    handler: BaseHTTPRequestHandler, status: int, headers: list[tuple[str, str]], data: bytes
) -> None:
    handler.send_response_only(status)
    for name, value in headers:
        if name.lower() not in ("content-length", "transfer-encoding", "connection"):
            handler.send_header(name, value)
    if handler.command != "HEAD":
        handler.send_header("Content-Length", str(len(data)))
    handler.end_headers()
    if handler.command != "HEAD":
        handler.wfile.write(data)
