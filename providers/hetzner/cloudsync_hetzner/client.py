"""hcloud without its own retries: one call is one request, every failure one of the provider
errors, all of it within a deadline."""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Callable, Mapping
from typing import Any

import requests
from hcloud import APIException, Client

from cloudsync import __version__
from cloudsync.provider.contract import Account
from cloudsync.provider.errors import (
    AuthError,
    Conflict,
    NotFound,
    ProviderError,
    QuotaExceeded,
    RateLimited,
    Transient,
    Unsupported,
)
from cloudsync.provider.retry import retried, seconds_of
from cloudsync.provider.settings import SecretError
from cloudsync.provider.transport import lost, secured
from cloudsync_hetzner.rules import plain
from cloudsync_hetzner.settings import HetznerAccount

CALL_SECONDS = 30.0
PAGE = 50
MAX_PAGES = 400
_NOT_APPLIED = (
    "rate_limit_exceeded",
    "locked",
    "conflict",
    "maintenance",
    "unavailable",
    "resource_unavailable",
)


class NameTaken(Conflict):
    """A firewall of this name exists by now: to repeat the call would not help, to plan again
    will."""

    temporary = False


class ReadOnlyToken(AuthError):
    """The token may read only."""


class _Headers:
    """What the vendor said beside its answers: hcloud keeps no headers. `hints`: by thread, the
    seconds of a `Retry-After`."""

    def __init__(self) -> None:
        self.rate: tuple[int, int] | None = None
        self.hints: dict[int, float] = {}

    def remember(self, answer: requests.Response, **_: object) -> None:
        """A hook of the session. `Retry-After` (seconds) is the vendor's own hint when to come
        back."""
        left, most = (
            answer.headers.get("RateLimit-Remaining", ""),
            answer.headers.get("RateLimit-Limit", ""),
        )
        if left.isdecimal() and most.isdecimal():
            self.rate = int(left), int(most)
        if (
            answer.status_code == 429
            and (hint := seconds_of(answer.headers.get("Retry-After", ""))) is not None
        ):
            self.hints[threading.get_ident()] = hint


class Api:
    """One project. Its connections are closed with the last reference to it."""

    def __init__(self, account: Account, endpoint: str) -> None:
        if not isinstance(account.settings, HetznerAccount):
            raise TypeError(f"settings of another provider for the account {account.name}")
        self.account = account
        try:
            token = account.settings.token.resolve(account.base)
        except SecretError as error:
            raise AuthError(f"no token for the account {account.name}: {error}") from None
        self._client = Client(
            token.get_secret_value(),
            api_endpoint=endpoint,
            application_name="cloudsync",
            application_version=__version__,
            timeout=CALL_SECONDS,
        )
        # hcloud repeats any request, writes too, up to 5 times on its own; here only the shared
        # policy repeats.
        self._client._client._retry_max_retries = 0
        self._headers = _Headers()
        session = secured(self._client._client._session, token.get_secret_value())
        session.hooks["response"].append(self._headers.remember)
        # hcloud's clients refer to each other: without a word their connections stay open until
        # garbage is looked for.
        weakref.finalize(self, session.close).atexit = False

    @property
    def rate(self) -> tuple[int, int] | None:
        """Requests left and allowed an hour, as the last answer said."""
        return self._headers.rate

    def get(self, path: str, query: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """A read, repeated while that may help. Raises `ProviderError`."""
        return self._within(
            lambda: self._call("GET", path, params=dict(query or {})), lambda error: error.temporary
        )

    def write(self, method: str, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """A write, repeated only where the vendor says that it did nothing. Raises `ProviderError`,
        with `fate_unknown` where it is."""
        return self._within(
            lambda: self._call(method, path, json=dict(body)),
            lambda error: error.temporary and not error.fate_unknown,
        )

    def pages(
        self, path: str, name: str, query: Mapping[str, Any] | None = None
    ) -> list[dict[str, Any]]:
        """Every item of a list. A page that is missing, or a count that does not fit, is an error:
        a part is never taken for the whole."""
        items: list[dict[str, Any]] = []
        page: Any = 1
        for _ in range(MAX_PAGES):
            answer = self.get(path, {**(query or {}), "page": page, "per_page": PAGE})
            try:
                items += answer[name]
                pagination = answer["meta"]["pagination"]
                page, total = pagination["next_page"], pagination.get("total_entries")
            except (KeyError, TypeError):
                raise Transient(
                    f"GET {path}: an answer without {name} or its page numbers"
                ) from None
            if page is None:
                if total is not None and total != len(items):
                    raise Transient(
                        f"GET {path}: {len(items)} of {total} {name} arrived; the list changed while it was read, or is cut short"
                    )
                if not all(isinstance(item, dict) for item in items):
                    raise Transient(f"GET {path}: {name} that are not objects")
                return items
            self.account.progress(
                f"{self.account.name}: reading {name}, {len(items)} of {'?' if total is None else total}"
            )
        raise Transient(f"GET {path}: more than {MAX_PAGES} pages")

    def _within(
        self, call: Callable[[], dict[str, Any]], safe: Callable[[ProviderError], bool]
    ) -> dict[str, Any]:
        return retried(call, deadline=self.account.deadline, safe=safe)

    def _call(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        what = f"{method} {path}"
        write = method != "GET"
        left = self.account.deadline - time.monotonic()
        if left <= 0:
            raise Transient(f"{what}: the run's deadline is reached")
        try:
            answer = self._client.request(method, path, timeout=min(CALL_SECONDS, left), **options)
        except APIException as error:
            raise mapped(
                what,
                error,
                write=write,
                retry_after=self._headers.hints.pop(threading.get_ident(), None),
            ) from None
        except (requests.RequestException, ValueError) as error:
            raise lost(what, error, "an answer that is not JSON", write=write) from None
        if not isinstance(answer, dict):
            raise Transient(f"{what}: an answer that is not an object", fate_unknown=write)
        return answer


def mapped(
    what: str, error: APIException, *, write: bool, retry_after: float | None = None
) -> ProviderError:
    """Hetzner's error codes (https://docs.hetzner.cloud/reference/cloud#errors) as provider errors.
    Never the request, never the token."""
    code, status = str(error.code), _status(error)
    text = f"{what}: {plain(code)}: {plain(str(error.message))[:200]}"
    if code == "rate_limit_exceeded" or status == 429:
        return RateLimited(text, retry_after=retry_after)
    if code == "unauthorized" or status == 401:
        return AuthError(f"{text} (is the token right, and of this project?)")
    if code == "token_readonly":
        return ReadOnlyToken(f"{text} (apply needs a token that may read and write)")
    if code == "forbidden" or status == 403:
        return AuthError(text)
    if code == "resource_limit_exceeded":
        return QuotaExceeded(text)
    if code == "uniqueness_error":
        return NameTaken(f"{text} (a firewall of this name exists by now; run again)")
    if code in ("conflict", "locked"):
        return Conflict(text)
    if code in ("not_found", "firewall_resource_not_found") or status == 404:
        return NotFound(text)
    if code in _NOT_APPLIED:
        return Transient(text)
    if status is not None and status < 400:
        return Transient(f"{what}: an answer that is not JSON", fate_unknown=write)
    if (status is not None and status >= 500) or code in (
        "timeout",
        "bad_gateway",
        "server_error",
        "service_error",
    ):
        return Transient(text, fate_unknown=write)
    return Unsupported(text)


def _status(error: APIException) -> int | None:
    """hcloud puts the HTTP status into `code` where the answer had no error body."""
    return error.code if isinstance(error.code, int) else None
