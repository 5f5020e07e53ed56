"""A client of the Docker Engine API that can only read, bounded in time, in size and in what it
hands over.

It is the standard library's HTTP client over one socket: GET is the only method it has, redirects
are not followed, and nothing of the user's environment counts (no proxy, no `.netrc`, no registry
password of the docker command's `config.json`).
"""

from __future__ import annotations

import http.client
import io
import json
import math
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import urlencode, urlsplit

from cloudsync.sources.docker.endpoint import TlsFiles

MAX_ANSWER = 16 * 1024 * 1024
"""Bytes of one answer; a list of 5,000 containers has about 10 MiB."""
MAX_TOTAL = 64 * 1024 * 1024
"""Bytes of all answers of one engine."""
MAX_VALUES = 500_000
"""JSON values of one answer: `[{},{},…]` takes 30 times its own size once it is parsed."""

_VERSION = re.compile(r"1\.[0-9]{1,3}", re.ASCII)
_TARGET = re.compile(r"/[A-Za-z0-9_./:@%?&=+,~-]*", re.ASCII)
_CHUNK = 64 * 1024
_REFUSAL_SECONDS = 2.0
"""How long an engine that cuts connections off is listened to."""
_CUT_OFF = (
    http.client.RemoteDisconnected,
    BrokenPipeError,
    ConnectionResetError,
    ssl.SSLEOFError,
)
"""The other side closed the connection, perhaps while it was idle."""


class EngineError(Exception):
    """An answer could not be had. `status`: of the HTTP answer, if there was one. `temporary`:
    trying again may help."""

    def __init__(self, message: str, *, status: int | None = None, temporary: bool = True) -> None:
        super().__init__(message)
        self.status, self.temporary = status, temporary


class Engine:
    """One engine at `url`: `unix:///path` or `tcp://address:port`, with TLS if `tls` is given.
    Several threads may use it at once.

    `deadline`: a `time.monotonic()` moment by which all reading is over, however slowly bytes
    arrive. `about`: the engine's answer to `GET /version`. Raises `EngineError`.
    """

    def __init__(self, url: str, deadline: float, tls: TlsFiles | None = None) -> None:
        self.deadline = deadline
        self._url = urlsplit(url)
        self._tls = None if tls is None else _tls_context(tls)
        self._idle: list[_Connection] = []
        self._lock = threading.Lock()
        self._received = 0
        try:
            # The version is negotiated: what the engine says it speaks is spoken.
            answer = self._get("/version", {})
            self.about: dict[str, Any] = answer if isinstance(answer, dict) else {}
            self.api_version = str(self.about.get("ApiVersion"))
            if _VERSION.fullmatch(self.api_version) is None:
                raise EngineError(
                    "not a container engine: its answer to GET /version names no API version"
                )
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close every connection that is not in use."""
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def get(self, path: str, api: str | None = None, **query: str) -> Any:
        """The JSON answer to `GET path` in the engine's own version of the API, or in `api`
        (`v4.0.0`). Raises `EngineError`."""
        return self._get(f"/{api or f'v{self.api_version}'}{path}", query, path)

    def _get(self, path: str, query: dict[str, str], shown: str | None = None) -> Any:
        shown = shown or path
        target = f"{path}?{urlencode(query)}" if query else path
        if _TARGET.fullmatch(target) is None:
            raise EngineError(f"not a request for an engine: {_public(shown)!r}", temporary=False)
        try:
            status, body = self._answer(target)
        except _CUT_OFF as error:
            raise self._refusal() or connection_error(error) from None
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise connection_error(error) from None
        if status != http.client.OK:
            raise _refused(shown, status)
        return _parsed(body, shown)

    def _answer(self, target: str) -> tuple[int, bytes]:
        """Status and body. A connection that the engine closed while it was idle is replaced
        once."""
        with self._lock:
            connection = self._idle.pop() if self._idle else None
        if connection is not None:
            try:
                return self._ask(connection, target)
            except _CUT_OFF:
                self._left()
        return self._ask(_Connection(self), target)

    def _ask(self, connection: _Connection, target: str) -> tuple[int, bytes]:
        reusable = False
        try:
            connection.request("GET", target, headers={"Host": "docker"})
            with connection.getresponse() as answer:
                body = self._body(answer)
                reusable = not answer.will_close
                return answer.status, body
        finally:
            if reusable:
                with self._lock:
                    self._idle.append(connection)
            else:
                connection.close()

    def _body(self, answer: http.client.HTTPResponse) -> bytes:
        chunks, size = [], 0
        while chunk := answer.read(_CHUNK):
            size += len(chunk)
            with self._lock:
                self._received += len(chunk)
                total = self._received
            if size > MAX_ANSWER or total > MAX_TOTAL:
                what = "an answer of the engine is" if size > MAX_ANSWER else "its answers are"
                limit = MAX_ANSWER if size > MAX_ANSWER else MAX_TOTAL
                raise EngineError(f"{what} larger than {limit >> 20} MiB", temporary=False)
            chunks.append(chunk)
        if answer.length:
            raise EngineError("the engine's answer ended too early")
        return b"".join(chunks)

    def _refusal(self) -> EngineError | None:
        """Why an engine with TLS cuts us off, if it says so. It judges our certificate after the
        handshake (TLS 1.3), and what it says of it is lost if our request has come meanwhile: here
        it is given time to say it, and asked for nothing."""
        if self._tls is None:
            return None
        try:
            wire = self.connected()
            try:
                wire.receive(bytearray(1), _REFUSAL_SECONDS)
            finally:
                wire.close()
        except _CUT_OFF:
            return None
        except ssl.SSLError as error:
            return _tls_error(error)
        except (OSError, EngineError):
            return None
        return None

    def _left(self) -> float:
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise EngineError("the engine did not answer within host_timeout")
        return left

    def connected(self) -> _Wire:
        """A new connection to the engine. Raises `OSError` and `EngineError`."""
        if self._url.scheme == "unix":
            plain = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                plain.settimeout(self._left())
                plain.connect(self._url.path)
            except FileNotFoundError:
                plain.close()
                raise EngineError(
                    f"{self._url.path} does not exist: is the engine running?"
                ) from None
            except BaseException:
                plain.close()
                raise
            return _Wire(plain, self._left)
        address = (self._url.hostname or "", self._url.port or 0)
        plain = socket.create_connection(address, timeout=self._left())
        if self._tls is None:
            return _Wire(plain, self._left)
        try:
            plain.settimeout(self._left())
            return _Wire(
                self._tls.wrap_socket(plain, server_hostname=self._url.hostname), self._left
            )
        except BaseException:
            plain.close()
            raise


class _Connection(http.client.HTTPConnection):
    """One connection of an `Engine`."""

    def __init__(self, engine: Engine) -> None:
        super().__init__("docker")
        self._engine = engine

    def connect(self) -> None:
        self.sock = self._engine.connected()  # what http.client uses of a socket


class _Wire:
    """A socket as far as http.client uses one. Every operation has what is left of the engine's
    time: a time-out of the socket alone starts again with every byte that trickles in."""

    def __init__(self, connected: socket.socket, left: Callable[[], float]) -> None:
        self._socket, self._left = connected, left
        self._files = 0
        self._closed = False

    def sendall(self, data: bytes) -> None:
        self._socket.settimeout(self._left())
        self._socket.sendall(data)

    def makefile(self, mode: str) -> io.BufferedReader:
        """What is received, as a file."""
        assert mode == "rb"  # noqa: S101 - http.client asks for nothing else
        self._files += 1
        return io.BufferedReader(_Received(self))

    def receive(self, buffer: bytearray, seconds: float = math.inf) -> int:
        """As `socket.recv_into`, within `seconds`."""
        self._socket.settimeout(min(self._left(), seconds))
        return self._socket.recv_into(buffer)

    def close(self) -> None:
        """Closed once the last file of it is: an answer that ends with the connection is still to
        be read when http.client closes it."""
        self._closed = True
        if not self._files:
            self._socket.close()

    def file_closed(self) -> None:
        """A file of it was closed."""
        self._files -= 1
        if self._closed:
            self.close()


class _Received(io.RawIOBase):
    """The bytes that arrive at a socket."""

    def __init__(self, wire: _Wire) -> None:
        super().__init__()
        self._wire = wire

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self._wire.receive(buffer)

    def close(self) -> None:
        if not self.closed:
            self._wire.file_closed()
        super().close()


def _parsed(body: bytes, shown: str) -> Any:
    if sum(body.count(mark) for mark in (b",", b"[", b"{")) > MAX_VALUES:
        raise EngineError(
            f"the engine's answer to {_public(shown)} has more than {MAX_VALUES:,} values",
            temporary=False,
        )
    try:
        return json.loads(body, parse_int=_integer)
    except (ValueError, RecursionError):
        raise EngineError(f"the engine's answer to {_public(shown)} is not JSON") from None


def _integer(digits: str) -> int:
    """Nothing that is read has more than 20 digits, and longer ones take time that grows with their
    square."""
    return int(digits) if len(digits) <= 20 else 0


def _tls_context(tls: TlsFiles) -> ssl.SSLContext:
    """The engine's certificate is always checked, and its name too."""
    try:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        if tls.ca is None:
            context.load_default_certs()
        else:
            context.load_verify_locations(tls.ca)
        context.load_cert_chain(tls.cert, tls.key, password=_no_password)
    except (OSError, ValueError) as error:
        raise connection_error(error) from None
    return context


def _no_password() -> str:
    raise EngineError("the TLS key is encrypted; use an unencrypted key", temporary=False)


def connection_error(error: BaseException) -> EngineError:
    """Why the engine could not be reached, from whatever depth of the client's stack it comes."""
    for cause in _causes(error):
        if isinstance(cause, EngineError):
            return cause
        if isinstance(cause, ssl.SSLError):
            return _tls_error(cause)
        for kind, message, temporary in _REASONS:
            if isinstance(cause, kind):
                return EngineError(message, temporary=temporary)
    return EngineError(f"the engine could not be read ({type(error).__name__})")


_REASONS: tuple[tuple[type[Exception], str, bool], ...] = (
    (
        PermissionError,
        (
            "permission denied on the engine's socket: run as root, or as a user of the group"
            " docker (which is as good as root)"
        ),
        False,
    ),
    (ConnectionRefusedError, "the engine refuses connections: is it running?", True),
    (TimeoutError, "the engine did not answer within host_timeout", True),
    (http.client.IncompleteRead, "the engine's answer ended too early", True),
)


def _causes(error: BaseException) -> Iterable[BaseException]:
    """The error and what is wrapped in it."""
    cause: BaseException | None = error
    for _ in range(20):
        if cause is None:
            return
        yield cause
        wrapped = [argument for argument in cause.args if isinstance(argument, BaseException)]
        cause = cause.__cause__ or (wrapped[0] if wrapped else None) or cause.__context__


def _tls_error(error: ssl.SSLError) -> EngineError:
    words = str(error).lower()
    if isinstance(error, ssl.SSLCertVerificationError):
        why = f"the engine's certificate is not accepted: {error.verify_message.rstrip('.')}"
    elif "alert" in words:
        why = "the engine does not accept our TLS certificate"
    elif "wrong version number" in words or "http request" in words:
        why = "the engine does not speak TLS there"
    elif "key values mismatch" in words or "pem" in words or "no certificate or crl" in words:
        why = "our TLS certificate and its key cannot be used together"
    else:
        return EngineError(f"TLS with the engine failed ({error.reason or type(error).__name__})")
    return EngineError(why, temporary=False)


def _refused(path: str, status: int) -> EngineError:
    if status == 400 and path == "/version":
        return EngineError(
            "the engine does not answer plain http: it may want TLS",
            status=status,
            temporary=False,
        )
    if status in (401, 403):
        message = (
            f"the engine refuses GET {_public(path)} ({status}): a socket proxy in front of it has"
            " to allow this request"
        )
        return EngineError(message, status=status, temporary=False)
    return EngineError(
        f"the engine answered {status} to GET {_public(path)}",
        status=status,
        temporary=status >= 500,
    )


def _public(path: str) -> str:
    """The kind of request, without ids."""
    return "/".join("{id}" if len(word) >= 12 else word for word in path.split("/"))
