"""A double of an HTTP API, without the API: a server on 127.0.0.1, a log of calls, snapshots of
what the vendor had after each write, and troubles on demand.

A double of a vendor subclasses `Double` and writes `handle(request) -> (status, answer)`; the rest
is here. Troubles are announced beforehand: `double.fail(Fault("POST", "/firewalls"))`.
"""

from __future__ import annotations

import contextlib
import copy
import json
import re
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal, Self
from urllib.parse import parse_qs, urlsplit

from cloudsync.runtime.serving import ServerThread

STALL_SECONDS = 60.0
ELSEWHERE = "/elsewhere"
"""Where the trouble `redirect` points to; a call that arrives there is a violation."""
FaultKind = Literal[
    "error",
    "error-after",
    "drop-before",
    "drop-after",
    "truncate",
    "delay",
    "late",
    "stall",
    "trickle",
    "garbage",
    "mutate",
    "short",
    "stale",
    "redirect",
    "meanwhile",
]


@dataclass(frozen=True)
class Call:
    """A call that came, with the status it was answered."""

    method: str
    path: str
    query: dict[str, list[str]]
    body: Any
    status: int


@dataclass
class Fault:
    """The `skip`-th matching call (0 = the next one) and `times - 1` after it go wrong.

    | kind            | what happens                                                       |
    |-----------------|--------------------------------------------------------------------|
    | `error`         | `status` and `body` are answered, nothing takes effect             |
    | `error-after`   | the same, but the call took effect                                 |
    | `drop-before`,  | the connection is closed without an answer, before or after the    |
    | `drop-after`    | call took effect; `action` is done at that moment                  |
    | `truncate`      | it takes effect, half of the answer arrives                        |
    | `delay`, `late` | `seconds` pass before the call, or before its answer               |
    | `stall`         | it takes effect, and nothing is answered until the caller hangs up |
    | `trickle`       | it takes effect, the answer comes byte by byte, `seconds` apart    |
    | `garbage`       | it takes effect, the answer is not JSON                            |
    | `mutate`        | it takes effect, and `change` makes another answer of it           |
    | `short`         | lists in the answer lack their last item                           |
    | `stale`         | a read is answered as it was before the last write                 |
    | `redirect`      | the answer points to another address                               |
    | `meanwhile`     | `action` is done first                                             |

    `method` and `path` are regular expressions. `lasting`: from its first strike on, every matching
    call goes wrong for so many seconds, however many there are. `action` is done before an `error`
    too.
    """

    method: str
    path: str
    kind: FaultKind = "error"
    status: int = 500
    body: dict[str, Any] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    skip: int = 0
    times: int = 1
    action: Callable[[], None] | None = None
    change: Callable[[bytes], bytes] = lambda data: data
    lasting: float | None = None
    struck: int = field(default=0, init=False)
    """How often it happened."""
    since: float | None = field(default=None, init=False)
    """When it first happened, if it lasts."""

    def strikes(self, method: str, path: str) -> bool:
        """Whether this call goes wrong; counts."""
        if not re.fullmatch(self.method, method) or not re.fullmatch(self.path, path):
            return False
        if self.times <= 0 and self.lasting is None:
            return False
        if self.skip > 0:
            self.skip -= 1
            return False
        if self.lasting is not None:
            self.since = self.since or time.monotonic()
            strikes = time.monotonic() < self.since + self.lasting
        else:
            strikes = True
            self.times -= 1
        self.struck += strikes
        return strikes


class ApiError(Exception):
    """An answer of the vendor that is an error."""

    def __init__(
        self, status: int, body: dict[str, Any], headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(status)
        self.status, self.body, self.headers = status, body, headers or {}


@dataclass(frozen=True)
class Request:
    """A call as `handle` gets it. `path`: without the double's `base_path`."""

    method: str
    path: str
    query: dict[str, list[str]]
    body: Any
    token: str | None
    headers: Mapping[str, str] = field(default_factory=dict)

    def first(self, name: str) -> str | None:
        """The first value of a query parameter."""
        values = self.query.get(name)
        return values[0] if values else None


class Double:
    """Start it with `with`; `endpoint` is its base URL."""

    base_path = ""
    content_type = "application/json"

    def __init__(self, port: int = 0) -> None:
        self.calls: list[Call] = []
        self.faults: list[Fault] = []
        self.violations: list[str] = []
        """What the vendor's description, or this double, has against the calls so far."""
        self.history: list[tuple[str, Any]] = []
        """What a firewall had after each write that took effect, oldest first; see `snapshot`."""
        self.lock = threading.RLock()
        self.over = threading.Event()
        """Set when the double ends; an answer that trickles ends with it."""
        self.keeps_answers = False
        """Whether answers to reads are remembered, for the trouble `stale`."""
        self._answers: dict[tuple[str, str], tuple[int, Any]] = {}
        self._before_write: dict[tuple[str, str], tuple[int, Any]] = {}
        self._answered_only: tuple[str, str, object] | None = None
        double = self

        class Handler(_Handler):
            owner = double

        self._server = _Server(("127.0.0.1", port), Handler)
        self._thread = ServerThread(self._server)

    @property
    def endpoint(self) -> str:
        """The URL to configure."""
        return f"http://127.0.0.1:{self._server.server_address[1]}{self.base_path}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self._thread.stop()

    def handle(self, request: Request) -> tuple[int, Any]:
        """The vendor: status and answer of one call; None is an empty answer. Raises `ApiError`."""
        raise NotImplementedError

    def fail(self, fault: Fault) -> None:
        """Announce a trouble."""
        self.faults.append(fault)

    def answers_only(self, field: str, list_of: str, value: object) -> None:
        """From now on every object of the list `list_of`, and one that is answered by itself, has
        one more field. A call that sends it back is refused with 400, and is a violation: there are
        vendors whose answers have fields that no call takes. Which objects an answer has is what
        `objects` says."""
        self._answered_only = field, list_of, value

    def objects(self, answer: Mapping[str, Any], list_of: str) -> list[dict[str, Any]]:
        """The objects of the kind that the list `list_of` (`firewalls`) has, in one answer: a list
        of them under that name, or a single one (`firewall`). An error has none. To be overridden
        for a vendor that answers them in another way."""
        answered = answer.get(list_of, answer.get(list_of.removesuffix("s")))
        listed = answered if isinstance(answered, list) else [answered]
        return [value for value in listed if isinstance(value, dict)]

    def snapshot(self, name: str, state: Any) -> None:
        """Remember what a firewall has now; to be called whenever `handle` changed it. `state` must
        not change afterwards."""
        self.history.append((name, state))

    def count(self, method: str, path: str) -> int:
        """How often a path (a regular expression, without the base) was called."""
        return sum(
            call.method == method and re.fullmatch(path, call.path) is not None
            for call in self.calls
        )

    def writes(self) -> list[Call]:
        """The calls that could have written."""
        return [call for call in self.calls if call.method != "GET"]

    def reset_calls(self) -> None:
        """Forget the calls so far, and what they were answered."""
        self.calls.clear()
        self._answers.clear()
        self._before_write.clear()

    def headers(self) -> dict[str, str]:
        """Headers of every answer."""
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
        """One call with the trouble that strikes it."""
        if request.path.startswith(ELSEWHERE):
            sent = " with its credentials" if request.token else ""
            self.violations.append(f"a redirect was followed{sent}")
            return 404, None, {}, None
        with self.lock:
            fault = next((f for f in self.faults if f.strikes(request.method, request.path)), None)
        kind = fault.kind if fault is not None else None
        if fault is not None and kind in ("delay", "meanwhile", "drop-before", "error"):
            _before(fault)
        if fault is not None and kind in ("error", "redirect"):
            elsewhere = {"Location": f"{self.endpoint.removesuffix(self.base_path)}{ELSEWHERE}"}
            if kind == "redirect":
                return 307, None, elsewhere | fault.headers, fault
            return fault.status, fault.body, fault.headers, fault
        if fault is not None and kind == "drop-before":
            return 0, None, {}, fault
        status, body, more = self._handled(request, stale=kind == "stale")
        if fault is not None and kind == "short":
            body = {
                key: value[:-1] if isinstance(value, list) else value for key, value in body.items()
            }
        if fault is not None and kind == "error-after":
            return fault.status, fault.body, fault.headers, fault
        if fault is not None and kind == "drop-after" and fault.action is not None:
            fault.action()
        return status, body, more, fault

    def _handled(self, request: Request, *, stale: bool) -> tuple[int, Any, dict[str, str]]:
        key = (request.path, json.dumps(request.query, sort_keys=True))
        more: dict[str, str] = {}
        with self.lock:
            if stale and key in self._before_write:
                status, body = self._before_write[key]
                return status, body, more
            if request.method != "GET":
                self._before_write = dict(self._answers)
            try:
                self._refuse_echo(request)
                status, body = self.handle(request)
            except ApiError as error:
                status, body, more = error.status, error.body, error.headers
            if request.method == "GET" and self.keeps_answers:
                self._answers[key] = (status, copy.deepcopy(body))
            self.check(request, status, body)
        return status, self._with_more(body), more

    def _refuse_echo(self, request: Request) -> None:
        if self._answered_only is None or request.method == "GET":
            return
        field = self._answered_only[0]
        if json.dumps(field) in json.dumps(request.body, default=str):
            problem = f"{request.method} {request.path} sends {field!r} back"
            self.violations.append(problem)
            raise ApiError(400, {"message": problem})

    def _with_more(self, answer: Any) -> Any:
        if self._answered_only is None or not isinstance(answer, dict):
            return answer
        field, list_of, value = self._answered_only
        answer = copy.deepcopy(answer)
        for answered in self.objects(answer, list_of):
            answered[field] = value
        return answer


def _before(fault: Fault) -> None:
    if fault.kind == "delay":
        time.sleep(fault.seconds)
    elif fault.action is not None:
        fault.action()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    # A vendor turns no caller away who comes with several connections at once.
    request_queue_size = 128


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
        query = parse_qs(parts.query, keep_blank_values=True)
        whole = Request(self.command, path, query, body, token, dict(self.headers))
        request = self.owner.named(whole)
        status, answer, more, fault = self.owner.answer(request)
        self.owner.calls.append(
            Call(request.method, request.path, request.query, request.body, status)
        )
        self._reply(status, answer, more, fault)

    def _reply(self, status: int, answer: Any, more: dict[str, str], fault: Fault | None) -> None:
        kind = fault.kind if fault is not None else None
        if kind in ("drop-before", "drop-after"):
            self.close_connection = True
            return
        if fault is not None and kind == "late":
            time.sleep(fault.seconds)
        if kind == "stall":
            self._until_the_caller_hangs_up()
            return
        data = self.owner.encode(answer)
        if kind == "garbage":
            data = b"<html>502 Bad Gateway</html>"
        if fault is not None and kind == "mutate":
            data = fault.change(data)
        self.send_response(status)
        for name, value in (self.owner.headers() | more).items():
            self.send_header(name, value)
        self.send_header("Content-Type", self.owner.content_type)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if kind == "truncate":
            data = data[: len(data) // 2]
            self.close_connection = True
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            if fault is not None and kind == "trickle":
                self._trickle(data, fault.seconds)
            else:
                self.wfile.write(data)

    def _trickle(self, data: bytes, seconds: float) -> None:
        self.close_connection = True
        for byte in data:
            self.wfile.write(bytes((byte,)))
            self.wfile.flush()
            if self.owner.over.wait(seconds):
                return

    def _until_the_caller_hangs_up(self) -> None:
        self.close_connection = True
        self.connection.settimeout(STALL_SECONDS)
        with contextlib.suppress(OSError):
            self.connection.recv(1)

    do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = _serve  # noqa: N815 - names of the standard library

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name of the standard library
        """Tests read `calls` instead."""


def until_interrupted() -> None:
    """For a double that a person starts in a shell."""
    with contextlib.suppress(KeyboardInterrupt):
        threading.Event().wait()
