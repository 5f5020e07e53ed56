"""Nobody waits for a double that is over."""

from __future__ import annotations

import socket
import time
from typing import Any
from urllib.parse import urlsplit

from tests.doubles.http import Double, Fault, Request


class Greeter(Double):
    def handle(self, request: Request) -> tuple[int, Any]:
        return 200, {"greeting": "good morning"}


def test_an_answer_that_trickles_ends_with_its_double() -> None:
    with Greeter() as double:
        double.fail(Fault("GET", "/", "trickle", seconds=60.0))
        port = urlsplit(double.endpoint).port
        caller = socket.create_connection(("127.0.0.1", port), timeout=10)
        caller.sendall(b"GET / HTTP/1.1\r\nHost: double\r\n\r\n")
        received = b""
        while b"\r\n\r\n{" not in received:
            received += caller.recv(4096)
    before = time.monotonic()
    with caller:
        assert caller.recv(4096) == b""
    assert time.monotonic() - before < 5
