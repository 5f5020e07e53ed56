"""What every double of a cloud API shares: an HTTP server on 127.0.0.1, a log of calls, faults on
demand, and the vendor's own description.

A double answers `handle(request) -> (status, body)`; the shell does the rest. Faults are told beforehand:
`cloud.fail(Fault("POST", "/actions"))`.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import threading
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Literal, Self
from urllib.parse import parse_qs, urlsplit

STALL_SECONDS = 60.0
DESCRIPTIONS = (
    "digitalocean-firewalls.openapi.json",
    "gcp-compute-firewalls.discovery.json",
    "hetzner-cloud-firewalls.openapi.json",
)
"""What the vendors publish of their APIs. They are theirs and no part of the project: they lie in
the folder `CLOUDSYNC_SPECS`, or in `../shared/specs` beside the checkout."""
SPECS = Path(
    os.environ.get("CLOUDSYNC_SPECS")
    or Path(__file__).resolve().parents[2].parent / "shared" / "specs"
)
Kind = Literal[
    "error",
    "drop-before",
    "drop-after",
    "truncate",
    "delay",
    "late",
    "stall",
    "garbage",
    "mutate",
    "short",
    "meanwhile",
]


@dataclass(frozen=True)
class Call:
    method: str
    path: str
    query: dict[str, list[str]]
    body: Any
    status: int


@dataclass
class Fault:
    """The `skip`-th matching call (0 = the next one) and `times - 1` after it go wrong.

    `error`: `status` and `body` are answered, nothing takes effect. `drop-before`, `drop-after`:
    the connection is closed without an answer, before or after the call took effect; `action`,
    which may kill the caller, is done at that moment. `truncate`: it takes effect, half of the
    answer arrives. `delay`: `seconds` pass first; `late`: they pass before the answer. `stall`: it
    takes effect, and nothing is answered until the caller hangs up. `garbage`: it takes effect, the
    answer is no JSON. `mutate`: it takes effect, and `change` makes another answer of the right
    one. `short`: lists in the answer lack their last item. `meanwhile`: `action` is done first.
    `method` and `path` are regular expressions.
    """

    method: str
    path: str
    kind: Kind = "error"
    status: int = 500
    body: dict[str, Any] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    skip: int = 0
    times: int = 1
    action: Callable[[], None] | None = None
    change: Callable[[bytes], bytes] = lambda data: data

    def strikes(self, method: str, path: str) -> bool:
        if (
            not re.fullmatch(self.method, method)
            or not re.fullmatch(self.path, path)
            or self.times <= 0
        ):
            return False
        if self.skip > 0:
            self.skip -= 1
            return False
        self.times -= 1
        return True


class ApiError(Exception):
    """An answer of the vendor that is an error."""

    def __init__(
        self, status: int, body: dict[str, Any], headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(status)
        self.status, self.body, self.headers = status, body, headers or {}


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    query: dict[str, list[str]]
    body: Any
    token: str | None
    headers: Mapping[str, str] = field(default_factory=dict)

    def one(self, name: str) -> str | None:
        return self.query.get(name, [None])[0]  # type: ignore[list-item]


class Double:
    """Start it with `with`; `endpoint` is its base URL."""

    base_path = ""
    content_type = "application/json"

    def __init__(self, port: int = 0) -> None:
        self.calls: list[Call] = []
        self.faults: list[Fault] = []
        self.violations: list[str] = []
        self.lock = threading.RLock()
        double = self

        class Handler(_Handler):
            owner = double

        self._server = _Server(("127.0.0.1", port), Handler)
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        )

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}{self.base_path}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def fail(self, fault: Fault) -> None:
        self.faults.append(fault)

    def count(self, method: str, path: str) -> int:
        """How often a path (a regular expression, without the base) was called."""
        return sum(
            call.method == method and re.fullmatch(path, call.path) is not None
            for call in self.calls
        )

    def writes(self) -> list[Call]:
        return [call for call in self.calls if call.method != "GET"]

    def reset_calls(self) -> None:
        self.calls.clear()

    def handle(self, request: Request) -> tuple[int, Any]:
        raise NotImplementedError

    def headers(self) -> dict[str, str]:
        return {}

    def named(self, request: Request) -> Request:
        """The request under the name that calls and faults know it by: an API with one URL for
        everything puts its action into `path`."""
        return request

    def encode(self, answer: Any) -> bytes:
        """An answer, or a fault's body, as the vendor puts it on the wire."""
        return b"" if answer is None else json.dumps(answer).encode()

    def check(self, request: Request, status: int, answer: Any) -> None:
        """Hold request and answer against the vendor's description."""

    def answer(self, request: Request) -> tuple[int, Any, dict[str, str], Fault | None]:
        with self.lock:
            fault = next(
                (one for one in self.faults if one.strikes(request.method, request.path)), None
            )
        if fault is not None and fault.kind == "delay":
            time.sleep(fault.seconds)
        if (
            fault is not None
            and fault.kind in ("meanwhile", "drop-before")
            and fault.action is not None
        ):
            fault.action()
        if fault is not None and fault.kind == "error":
            return fault.status, fault.body, fault.headers, fault
        if fault is not None and fault.kind == "drop-before":
            return 0, None, {}, fault
        with self.lock:
            try:
                status, body = self.handle(request)
                more: dict[str, str] = {}
            except ApiError as error:
                status, body, more = error.status, error.body, error.headers
            self.check(request, status, body)
        if fault is not None and fault.kind == "short":
            body = {
                key: value[:-1] if isinstance(value, list) else value for key, value in body.items()
            }
        if fault is not None and fault.kind == "drop-after" and fault.action is not None:
            fault.action()
        if fault is not None and fault.kind == "late":
            time.sleep(fault.seconds)
        return status, body, more, fault


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = (
        128  # a vendor turns nobody away who comes with several connections at once
    )


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 65536  # an answer is one segment, else Nagle's algorithm costs 40 ms a call
    owner: Double

    def _serve(self) -> None:
        parts = urlsplit(self.path)
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        try:
            body = json.loads(raw) if raw else None
        except ValueError:
            body = raw
        path = parts.path.removeprefix(self.owner.base_path)
        token = (self.headers.get("Authorization") or "").removeprefix("Bearer ") or None
        request = self.owner.named(
            Request(
                self.command,
                path,
                parse_qs(parts.query, keep_blank_values=True),
                body,
                token,
                dict(self.headers),
            )
        )
        status, answer, more, fault = self.owner.answer(request)
        self.owner.calls.append(
            Call(request.method, request.path, request.query, request.body, status)
        )
        if fault is not None and fault.kind in ("drop-before", "drop-after"):
            self.close_connection = True
            return
        if fault is not None and fault.kind == "stall":
            self._until_the_caller_hangs_up()
            return
        data = self.owner.encode(answer)
        if fault is not None and fault.kind == "garbage":
            data = b"<html>502 Bad Gateway</html>"
        if fault is not None and fault.kind == "mutate":
            data = fault.change(data)
        self.send_response(status)
        for name, value in (self.owner.headers() | more).items():
            self.send_header(name, value)
        self.send_header("Content-Type", self.owner.content_type)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if fault is not None and fault.kind == "truncate":
            data = data[: len(data) // 2]
            self.close_connection = True
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.wfile.write(data)

    def _until_the_caller_hangs_up(self) -> None:
        self.close_connection = True
        self.connection.settimeout(STALL_SECONDS)
        with contextlib.suppress(OSError):
            self.connection.recv(1)

    do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = _serve

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name of the standard library
        """Tests read `calls` instead."""


def until_interrupted() -> None:
    """For a double that a person starts in a shell."""
    with contextlib.suppress(KeyboardInterrupt):
        threading.Event().wait()


def not_at_hand() -> str | None:
    """What is not checked for want of descriptions, in one line; None if all of them are here."""
    missing = [name for name in DESCRIPTIONS if not (SPECS / name).is_file()]
    if not missing:
        return None
    return (
        f"NOT CHECKED: requests and answers of the doubles are not held against the vendors' "
        f"descriptions; {SPECS} lacks {', '.join(missing)} (CLOUDSYNC_SPECS names the folder)"
    )


@cache
def openapi(name: str) -> dict[str, Any] | None:
    """The vendor's description; None where it is not at hand, and then nothing is held against
    it."""
    path = SPECS / name
    return json.loads(path.read_text()) if path.is_file() else None  # type: ignore[no-any-return]


@cache
def validator(name: str, path: str, method: str, where: str) -> Callable[[Any], list[str]] | None:
    """A check of a body against one schema: `where` is `request` or a status."""
    from openapi_schema_validator import OAS30Validator

    description = openapi(name)
    operation = (description or {"paths": {}})["paths"].get(path, {}).get(method.lower())
    if operation is None:
        return None
    part = (
        operation.get("requestBody")
        if where == "request"
        else operation["responses"].get(where) or operation["responses"].get(where[0] + "XX")
    )
    schema = (part or {}).get("content", {}).get("application/json", {}).get("schema")
    if schema is None:
        return None
    checker = OAS30Validator(schema)

    def problems(body: Any) -> list[str]:
        errors = [
            f"{'/'.join(map(str, error.absolute_path))}: {error.message[:200]}"
            for error in checker.iter_errors(body)
        ]
        return [*errors, *undescribed(schema, body)] if where == "request" else errors

    return problems


def undescribed(schema: Mapping[str, Any], body: Any, at: str = "") -> list[str]:
    """Keys of a request that its schema does not know: vendors ignore or refuse them, and a
    description seldom says so."""
    if isinstance(body, list):
        return [
            problem
            for number, item in enumerate(body)
            for problem in undescribed(schema.get("items", {}), item, f"{at}{number}/")
        ]
    known = schema.get("properties")
    if not isinstance(body, dict) or not known:
        return []
    if "additionalProperties" in schema:
        return []
    strange = [f"{at}{name}: not described" for name in body if name not in known]
    return strange + [
        problem
        for name, value in body.items()
        if name in known
        for problem in undescribed(known[name], value, f"{at}{name}/")
    ]


def strange_query(
    name: str, path: str, request: Request, everywhere: Collection[str] = ()
) -> list[str]:
    """Names in the query that the description does not know. `everywhere`: those that the vendor
    describes once for all lists."""
    operation = ((openapi(name) or {}).get("paths", {}).get(path) or {}).get(request.method.lower())
    if operation is None:
        return []
    known = {parameter["name"] for parameter in operation.get("parameters", ())} | {*everywhere}
    return [f"query: {key} is not described" for key in request.query if key not in known]
