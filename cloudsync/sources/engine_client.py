"""A client of the Docker Engine API that can only read, bounded in time and in size."""

from __future__ import annotations

import json
import time
from typing import Any

import requests
from docker import APIClient
from docker.errors import DockerException

MAX_ANSWER = 64 * 1024 * 1024


class EngineError(Exception):
    """An answer could not be had. `status`: of the HTTP answer, where there was one. `temporary`: trying again may mend it."""

    def __init__(self, message: str, *, status: int | None = None, temporary: bool = True) -> None:
        super().__init__(message)
        self.status, self.temporary = status, temporary


class WriteRefused(Exception):
    """Something tried to send another request than GET to the engine: a bug, stopped before anything was sent."""


class ReadOnlyClient(APIClient):  # type: ignore[misc, unused-ignore]  # the stubs of some versions leave it untyped
    """docker-py's client with every method but GET refused in code."""

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        """The last gate before the wire."""
        if request.method != "GET":
            raise WriteRefused(f"{request.method} is never sent to an engine")
        return super().send(request, **options)


class Engine:
    """One engine. `deadline`: a `time.monotonic()` moment by which all reading is over."""

    def __init__(self, endpoint: str, deadline: float, concurrency: int) -> None:
        self.deadline = deadline
        base_url = endpoint.replace("unix:///", "http+unix:///", 1)
        try:
            # The version is negotiated: docker-py asks /version and speaks what the engine speaks.
            self._client = ReadOnlyClient(
                base_url=base_url, version="auto", timeout=max(1, int(self._left())), max_pool_size=concurrency
            )
        except (DockerException, requests.RequestException, OSError, ValueError) as error:
            raise connection_error(error) from None

    def close(self) -> None:
        """Close every connection."""
        self._client.close()

    def get(self, path: str, **query: str) -> Any:
        """The JSON answer to `GET path`. Raises `EngineError`."""
        try:
            url = f"{self._client.base_url}/v{self._client.api_version}{path}"
            with self._client.get(url, params=query, timeout=self._left(), stream=True) as answer:
                if answer.status_code != 200:
                    raise _refused(path, answer.status_code)
                return json.loads(self._body(answer))
        except (requests.RequestException, OSError) as error:
            raise connection_error(error) from None
        except (ValueError, RecursionError):
            raise EngineError(f"the engine's answer to {_public(path)} is not JSON") from None

    def _body(self, answer: requests.Response) -> bytes:
        parts, size = [], 0
        for part in answer.iter_content(64 * 1024):
            size += len(part)
            if size > MAX_ANSWER:
                raise EngineError(f"an answer of the engine is larger than {MAX_ANSWER // (1024 * 1024)} MiB", temporary=False)
            self._left()
            parts.append(part)
        return b"".join(parts)

    def _left(self) -> float:
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise EngineError("the engine did not answer within host_timeout")
        return left


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
        if isinstance(one, PermissionError):
            message = "permission denied on the engine's socket: run as root, or as a user of the group docker (which is as good as root)"
            return EngineError(message, temporary=False)
        if isinstance(one, FileNotFoundError):
            return EngineError("the engine's socket does not exist: is the engine running?")
        if isinstance(one, ConnectionRefusedError):
            return EngineError("the engine refuses connections: is it running?")
        if isinstance(one, requests.HTTPError) and one.response is not None:
            return _refused("/version", one.response.status_code)
        if isinstance(one, TimeoutError | requests.Timeout):
            return EngineError("the engine did not answer within host_timeout")
    return EngineError(f"the engine could not be read ({type(error).__name__})")


def _refused(path: str, status: int) -> EngineError:
    if status in (401, 403):
        message = f"the engine refuses GET {_public(path)} ({status}): a socket proxy in front of it has to allow this request"
        return EngineError(message, status=status, temporary=False)
    return EngineError(f"the engine answered {status} to GET {_public(path)}", status=status, temporary=status >= 500)


def _public(path: str) -> str:
    """The kind of request, without ids."""
    parts = path.split("/")
    return "/".join("{id}" if len(part) >= 12 else part for part in parts)
