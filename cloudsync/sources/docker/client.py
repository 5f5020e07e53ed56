"""A client of the Docker Engine API that can only read, bounded in time and in size."""

from __future__ import annotations

import json
import re
import ssl
import time
from typing import Any

import requests
from docker import APIClient
from docker.errors import DockerException
from docker.tls import TLSConfig
from docker.transport import UnixHTTPAdapter

from cloudsync.sources.docker.endpoint import TlsFiles

MAX_ANSWER = 64 * 1024 * 1024
_FIRST_VERSION = "1.24"
_CONNECTIONS = 64
_VERSION = re.compile(r"1\.[0-9]{1,3}")


class EngineError(Exception):
    """An answer could not be had. `status`: of the HTTP answer, where there was one. `temporary`:
    trying again may mend it."""

    def __init__(self, message: str, *, status: int | None = None, temporary: bool = True) -> None:
        super().__init__(message)
        self.status, self.temporary = status, temporary


class WriteRefused(Exception):
    """Something tried to send another request than GET to the engine: a bug, stopped before
    anything was sent."""


class ReadOnlyClient(APIClient):  # type: ignore[misc, unused-ignore]  # the stubs of some versions leave it untyped
    """docker-py's client with every method but GET refused in code."""

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        """The last gate before the wire."""
        if request.method != "GET":
            raise WriteRefused(f"{request.method} is never sent to an engine")
        return super().send(request, **options)


class OneSocket(UnixHTTPAdapter):  # type: ignore[misc, unused-ignore]  # as above
    """docker-py keeps a pool of connections for every URL, so that none is ever used twice; here
    all requests share one pool."""

    def get_connection(self, url: str | bytes, proxies: Any = None) -> Any:  # noqa: ARG002 - the library's signature
        """A pool of connections to the socket."""
        return super().get_connection(self.socket_path, proxies)


class Engine:
    """One engine at `url`: `unix:///path` or `tcp://address:port`, with TLS where `tls` says so;
    nothing of the environment counts.

    `deadline`: a `time.monotonic()` moment by which all reading is over. `about`: the engine's
    answer to `GET /version`. Raises `EngineError`.
    """

    def __init__(self, url: str, deadline: float, tls: TlsFiles | None = None) -> None:
        self.deadline = deadline
        timeout = max(1, int(self._left()))
        base_url = url.replace("unix:///", "http+unix:///", 1)
        try:
            config = False if tls is None else _tls_config(tls)
            self._client = ReadOnlyClient(
                base_url, _FIRST_VERSION, timeout, config, max_pool_size=_CONNECTIONS
            )
            if url.startswith("unix:"):
                self._client.mount(
                    "http+docker://", OneSocket(base_url, timeout, max_pool_size=_CONNECTIONS)
                )
            self._client.trust_env = False  # no proxy and no other CA of the environment
        except (DockerException, requests.RequestException, OSError, ValueError) as error:
            raise connection_error(error) from None
        try:
            # The version is negotiated: what the engine says it speaks is spoken.
            answer = self._get("/version", {})
            self.about: dict[str, Any] = answer if isinstance(answer, dict) else {}
            self.api_version = str(self.about.get("ApiVersion"))
            if _VERSION.fullmatch(self.api_version) is None:
                raise EngineError(
                    "what answers there is no container engine: it does not say which API version it speaks"
                )
        except BaseException:
            self._client.close()
            raise

    def close(self) -> None:
        """Close every connection."""
        self._client.close()

    def get(self, path: str, api: str | None = None, **query: str) -> Any:
        """The JSON answer to `GET path` in the engine's own version of the API, or in `api`
        (`v4.0.0`). Raises `EngineError`."""
        return self._get(f"/{api or f'v{self.api_version}'}{path}", query, path)

    def _get(self, path: str, query: dict[str, str], shown: str | None = None) -> Any:
        shown = shown or path
        try:
            url = f"{self._client.base_url}{path}"
            with self._client.get(url, params=query, timeout=self._left(), stream=True) as answer:
                if answer.status_code != 200:
                    raise _refused(shown, answer.status_code)
                return json.loads(self._body(answer))
        except (requests.RequestException, OSError) as error:
            raise connection_error(error) from None
        except (ValueError, RecursionError):
            raise EngineError(f"the engine's answer to {_public(shown)} is not JSON") from None

    def _body(self, answer: requests.Response) -> bytes:
        parts, size = [], 0
        for part in answer.iter_content(64 * 1024):
            size += len(part)
            if size > MAX_ANSWER:
                raise EngineError(
                    f"an answer of the engine is larger than {MAX_ANSWER // (1024 * 1024)} MiB",
                    temporary=False,
                )
            self._left()
            parts.append(part)
        return b"".join(parts)

    def _left(self) -> float:
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise EngineError("the engine did not answer within host_timeout")
        return left


def _tls_config(tls: TlsFiles) -> TLSConfig:
    """The engine's certificate is always checked, and its name too."""
    config = TLSConfig(
        client_cert=(str(tls.cert), str(tls.key)),
        ca_cert=None if tls.ca is None else str(tls.ca),
        verify=True,
    )
    ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(
        tls.cert, tls.key, password=_no_password
    )
    return config


def _no_password() -> str:
    raise EngineError(
        "the key of our TLS certificate has a password: nobody is there to type it", temporary=False
    )


def connection_error(error: Exception) -> EngineError:
    """Why the engine could not be reached, from whatever depth of the client's stack it comes."""
    chain: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None and len(chain) < 20:
        chain.append(cause)
        inner = [arg for arg in cause.args if isinstance(arg, BaseException)]
        reason = getattr(cause, "reason", None)
        cause = (
            cause.__cause__
            or (inner[0] if inner else None)
            or (reason if isinstance(reason, BaseException) else None)
            or cause.__context__
        )
    for one in chain:
        if isinstance(one, EngineError):
            return one
        if isinstance(one, ssl.SSLError):
            return _tls_error(one)
        if isinstance(one, PermissionError):
            message = "permission denied on the engine's socket: run as root, or as a user of the group docker (which is as good as root)"
            return EngineError(message, temporary=False)
        if isinstance(one, FileNotFoundError):
            return EngineError("the engine's socket does not exist: is the engine running?")
        if isinstance(one, ConnectionRefusedError):
            return EngineError("the engine refuses connections: is it running?")
        if isinstance(one, TimeoutError | requests.Timeout):
            return EngineError("the engine did not answer within host_timeout")
    return EngineError(f"the engine could not be read ({type(error).__name__})")


def _tls_error(error: ssl.SSLError) -> EngineError:
    said = str(error).lower()
    if isinstance(error, ssl.SSLCertVerificationError):
        why = f"the engine's certificate is not accepted: {error.verify_message.rstrip('.')}"
    elif "alert" in said:
        why = "the engine does not accept our TLS certificate"
    elif "wrong version number" in said or "http request" in said:
        why = "the engine does not speak TLS there"
    elif "key values mismatch" in said or "pem" in said:
        why = "our TLS certificate and its key cannot be used together"
    else:
        return EngineError(f"TLS with the engine failed ({error.reason or type(error).__name__})")
    return EngineError(why, temporary=False)


def _refused(path: str, status: int) -> EngineError:
    if status == 400 and path == "/version":
        return EngineError(
            "the engine does not answer to plain http: it may want TLS",
            status=status,
            temporary=False,
        )
    if status in (401, 403):
        message = f"the engine refuses GET {_public(path)} ({status}): a socket proxy in front of it has to allow this request"
        return EngineError(message, status=status, temporary=False)
    return EngineError(
        f"the engine answered {status} to GET {_public(path)}",
        status=status,
        temporary=status >= 500,
    )


def _public(path: str) -> str:
    """The kind of request, without ids."""
    parts = path.split("/")
    return "/".join("{id}" if len(part) >= 12 else part for part in parts)
