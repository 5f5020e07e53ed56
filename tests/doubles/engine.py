"""A fake Docker engine on a unix socket that can be told to misbehave.

For faults only: what a good engine answers is tested on a real one.
"""

from __future__ import annotations

import json
import socketserver
import sys
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, Self

from cloudsync.runtime.serving import ServerThread

Answer = tuple[int, Any]


class FakeEngine:
    """`routes`: path (without version) -> JSON value, (status, value), bytes, or a function to one
    of them. Counts requests at once."""

    def __init__(self, folder: Path, containers: int = 1) -> None:
        self.socket = folder / "engine.sock"
        self.routes: dict[str, Any] = {
            "/version": {"ApiVersion": "1.41", "MinAPIVersion": "1.12", "Version": "20.10.24"},
            "/info": {"Swarm": {"LocalNodeState": "inactive"}},
            "/networks": [
                {"Id": "n1", "Name": "bridge", "Driver": "bridge", "Internal": False, "Options": {}}
            ],
            "/containers/json": [{"Id": self.id(number)} for number in range(containers)],
        }
        for number in range(containers):
            self.routes[f"/containers/{self.id(number)}/json"] = self.container(number)
        self.requests: list[tuple[str, str]] = []
        self.at_once = self.most_at_once = 0
        self.lock = threading.Lock()
        self.slow = 0.0
        fake = self

        class Handler(_Handler):
            engine = fake

        self._server = _Server(str(self.socket), Handler)
        self._thread = ServerThread(self._server)

    @staticmethod
    def id(number: int) -> str:
        return f"{number:064x}"

    @staticmethod
    def container(number: int, **labels: str) -> dict[str, Any]:
        port = {"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": str(8000 + number)}]}
        return {
            "Id": FakeEngine.id(number),
            "Name": f"/c{number}",
            "Image": "sha256:1",
            "State": {"Status": "running"},
            "Config": {"Labels": labels},
            "HostConfig": {"NetworkMode": "bridge", "PortBindings": port},
            "NetworkSettings": {"Ports": port, "Networks": {"bridge": {"NetworkID": "n1"}}},
        }

    def lists_what_it_runs(self) -> None:
        """From now on the list describes each container, as the Engine API's ContainerSummary does,
        as it is when it is asked for."""

        def listed() -> list[dict[str, Any]]:
            answers = [
                answer
                for path, answer in tuple(self.routes.items())
                if path.startswith("/containers/") and isinstance(answer, dict)
            ]
            return [summary(answer, len(self.requests)) for answer in answers]

        self.routes["/containers/json"] = listed

    def asked(self, kind: str) -> int:
        """How often something of this kind ("containers", "images") was inspected."""
        with self.lock:
            paths = [path.split("/") for _, path in self.requests]
        return sum(len(path) == 4 and path[1] == kind for path in paths)

    @property
    def endpoint(self) -> str:
        return f"unix://{self.socket}"

    @property
    def connections(self) -> int:
        """How many there were."""
        return self._server.connections

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.stop()
        Path(self.socket).unlink(missing_ok=True)  # the server is closed, the path may remain


def summary(container: dict[str, Any], moment: int) -> dict[str, Any]:
    """What `GET /containers/json` says of a container that is inspected as this. `moment`: what the
    time in words depends on."""
    ports = [
        {
            "IP": bound["HostIp"],
            "PrivatePort": int(name.partition("/")[0]),
            "PublicPort": int(bound["HostPort"]),
            "Type": name.partition("/")[2],
        }
        for name, bindings in container["NetworkSettings"]["Ports"].items()
        for bound in bindings or ()
    ]
    return {
        "Id": container["Id"],
        "Names": [container["Name"]],
        "Image": "app",
        "ImageID": container["Image"],
        "State": container["State"]["Status"],
        "Status": f"Up {moment} seconds",
        "Labels": container["Config"]["Labels"],
        "Ports": ports[::-1] if moment % 2 else ports,
        "HostConfig": {"NetworkMode": container["HostConfig"]["NetworkMode"]},
        "NetworkSettings": {"Networks": container["NetworkSettings"]["Networks"]},
        "Mounts": [],
    }


class _Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    request_queue_size = 128
    block_on_close = False
    connections = 0

    def get_request(self) -> tuple[Any, Any]:
        self.connections += 1
        return super().get_request()

    def handle_error(self, request: object, client_address: object) -> None:
        """A reader that gave up in the middle of an answer is what many tests are about."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    engine: FakeEngine

    def address_string(self) -> str:
        return "unix"

    def _serve(self) -> None:
        engine = self.engine
        path = self.path.split("?")[0]
        path = path[path.index("/", 1) :] if path.startswith("/v1.") else path
        with engine.lock:
            engine.requests.append((self.command, path))
            engine.at_once += 1
            engine.most_at_once = max(engine.most_at_once, engine.at_once)
        try:
            if engine.slow:
                time.sleep(engine.slow)
            answer = engine.routes.get(path, (404, {"message": "no such thing"}))
            answer = answer() if isinstance(answer, Callable) else answer  # type: ignore[arg-type]
            if hasattr(answer, "serve"):
                answer.serve(self)
                return
            status, value = answer if isinstance(answer, tuple) else (200, answer)
            self._send(status, value)
        finally:
            with engine.lock:
                engine.at_once -= 1

    def _send(self, status: int, value: Any) -> None:
        data = value if isinstance(value, bytes) else json.dumps(value).encode()
        cut = isinstance(value, Truncated)
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data) * (2 if cut else 1)))
        self.end_headers()
        self.wfile.write(data)
        self.close_connection = cut

    do_GET = do_POST = do_DELETE = _serve

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name of the standard library
        """Tests read `requests` instead."""


class Truncated(bytes):
    """An answer that promises twice as much as it sends."""


class Stream:
    """What `/events` answers: a body without end, until it is cut. Put it into `routes["/events"]`;
    one may serve several clients."""

    def __init__(self) -> None:
        self._clients: list[BaseHTTPRequestHandler] = []
        self._lock = threading.Lock()
        self._cut = threading.Event()

    @property
    def listeners(self) -> int:
        with self._lock:
            return len(self._clients)

    def serve(self, handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Connection", "close")
        handler.end_headers()
        handler.close_connection = True
        with self._lock:
            self._clients.append(handler)
        self._cut.wait()

    def send(self, event: dict[str, Any]) -> None:
        """An event to everybody who listens."""
        with self._lock:
            for client in self._clients:
                client.wfile.write(json.dumps(event).encode() + b"\n")
                client.wfile.flush()

    def cut(self) -> None:
        """End every stream that is open; new ones are served again."""
        with self._lock:
            self._clients.clear()
            self._cut.set()
            self._cut = threading.Event()
