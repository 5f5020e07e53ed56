"""Something that is told of runs: keeps every request, and answers what it is told to."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self

from cloudsync.runtime.serving import ServerThread


@dataclass(frozen=True)
class Told:
    path: str
    headers: dict[str, str]
    body: bytes


class Receiver:
    """`status`: of its answers; `delay`: seconds before one; `location`: of a redirect."""

    def __init__(self) -> None:
        self.told: list[Told] = []
        self.status, self.delay, self.location = 200, 0.0, ""
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
                receiver.told.append(
                    Told(
                        self.path,
                        {name.lower(): value for name, value in self.headers.items()},
                        body,
                    )
                )
                time.sleep(receiver.delay)
                self.send_response(receiver.status)
                if receiver.location:
                    self.send_header("Location", receiver.location)
                self.send_header("Content-Length", "0")
                self.end_headers()

            do_GET = do_POST

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name of the standard library
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.block_on_close = False
        self._thread = ServerThread(self._server)

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}{path}"

    @property
    def paths(self) -> list[str]:
        return [one.path for one in self.told]

    def take(self) -> list[Told]:
        told, self.told = self.told, []
        return told

    def until(self, fits: Callable[[list[Told]], bool], seconds: float = 20.0) -> list[Told]:
        end = time.monotonic() + seconds
        while not fits(self.told):
            assert time.monotonic() < end, self.paths
            time.sleep(0.02)
        return self.told

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.stop()
