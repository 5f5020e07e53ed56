"""python-digitalocean without its traps: every status seen, every page counted, one endpoint, a
time-out on every call."""

from __future__ import annotations

import time
import unicodedata
from collections.abc import Mapping
from typing import Any
from urllib.parse import urljoin

import requests
from digitalocean.baseapi import BaseAPI

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
from cloudsync_digitalocean.settings import DigitalOceanAccount

CALL_SECONDS = 30.0
PAGE = 200
MAX_PAGES = 200


class NameTaken(Conflict):
    """A firewall of this name exists by now: to repeat the call would not help, to plan again
    will."""

    temporary = False


class Forbidden(AuthError):
    """The token is good, and lacks a scope."""


class _Client(BaseAPI):  # type: ignore[misc]  # the library has no types
    """The library's client with a transport of its own: the library's looses the status of an
    answer, knows no time-out, and sends POST past its session."""

    deadline = 0.0
    rate: tuple[int, int] | None = None

    def _BaseAPI__perform_request(  # noqa: N802 - the library's private name, the one place all its calls go through
        self,
        url: str,
        type: str = "GET",  # noqa: A002 - the library's word
        params: Mapping[str, Any] | None = None,
    ) -> requests.Response:
        what, write = f"{type} /{url}", type != "GET"
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise Transient(f"{what}: the run's deadline is reached")
        sent = dict(params or {})
        if not write and "page" not in sent:
            sent.pop("per_page", None)  # the library asks for pages of single objects too
        payload: dict[str, Any] = {"json" if write else "params": sent}
        headers = {
            "Authorization": f"Bearer {self.token}",
            "User-Agent": f"cloudsync/{__version__} python-digitalocean",
        }
        try:
            answer: requests.Response = self._session.request(
                type,
                urljoin(self.end_point, url),
                headers=headers,
                timeout=min(CALL_SECONDS, left),
                allow_redirects=False,
                **payload,
            )
        except requests.RequestException as error:
            raise lost(what, error, "the answer broke off", write=write) from None
        rest, most = (
            answer.headers.get("ratelimit-remaining", ""),
            answer.headers.get("ratelimit-limit", ""),
        )
        if rest.isdecimal() and most.isdecimal():
            self.rate = int(rest), int(most)
        if not 200 <= answer.status_code < 300:
            raise mapped(what, answer, write=write)
        if answer.status_code != 204 and not isinstance(_json(answer), dict):
            raise Transient(f"{what}: an answer that is not a JSON object", fate_unknown=write)
        return answer


class Api:
    """One team. Raises `AuthError` where the token cannot be had."""

    def __init__(self, account: Account, endpoint: str) -> None:
        if not isinstance(account.settings, DigitalOceanAccount):
            raise TypeError(f"settings of another provider for the account {account.name}")
        self.account = account
        try:
            token = account.settings.token.resolve(account.base)
        except SecretError as error:
            raise AuthError(f"no token for the account {account.name}: {error}") from None
        # The trailing slash matters: without it the library drops the last part of the path.
        self._client = _Client(
            token=token.get_secret_value(), end_point=f"{endpoint}/", deadline=account.deadline
        )
        secured(self._client._session, token.get_secret_value())

    @property
    def rate(self) -> tuple[int, int] | None:
        """Requests left and allowed an hour, as the last answer said."""
        return self._client.rate

    def get(self, path: str, query: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """A read, repeated while that may help. Raises `ProviderError`."""
        return self._do("GET", path, query or {})

    def write(self, method: str, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """A write, repeated only where the vendor says that it did nothing. Raises `ProviderError`,
        with `fate_unknown` where it is."""
        return self._do(method, path, body)

    def pages(
        self, path: str, name: str, query: Mapping[str, Any] | None = None
    ) -> list[dict[str, Any]]:
        """Every item of a list. A page that is missing, or a count that does not fit, is an error:
        a part is never taken for the whole."""
        items: list[dict[str, Any]] = []
        for page in range(1, MAX_PAGES + 1):
            answer = self.get(path, {**(query or {}), "page": page, "per_page": PAGE})
            try:
                items += answer[name]
                total, more = (
                    int(answer["meta"]["total"]),
                    (answer.get("links") or {}).get("pages", {}).get("next"),
                )
            except (KeyError, TypeError, ValueError, AttributeError):
                raise Transient(
                    f"GET /{path}: an answer without {name} or its page numbers"
                ) from None
            if not more:
                if total != len(items):
                    raise Transient(
                        f"GET /{path}: {len(items)} of {total} {name} arrived; the list changed while it was read, or is cut short"
                    )
                if not all(isinstance(item, dict) for item in items):
                    raise Transient(f"GET /{path}: {name} that are not objects")
                return items
            self.account.progress(f"{self.account.name}: reading {name}, {len(items)} of {total}")
        raise Transient(f"GET /{path}: more than {MAX_PAGES} pages")

    def _do(self, method: str, path: str, payload: Mapping[str, Any]) -> dict[str, Any]:
        def once() -> dict[str, Any]:
            # A page in the query switches the library's own paging off, which takes a failed page
            # for the last one.
            try:
                answer = self._client.get_data(path, type=method, params=dict(payload))
            except (AttributeError, TypeError):
                # The library looks for page links in every answer, and takes them for objects.
                raise Transient(
                    f"{method} /{path}: an answer that cannot be understood",
                    fate_unknown=method != "GET",
                ) from None
            return answer if isinstance(answer, dict) else {}

        return retried(
            once,
            deadline=self.account.deadline,
            safe=lambda error: error.temporary and not error.fate_unknown,
        )


def mapped(what: str, answer: requests.Response, *, write: bool) -> ProviderError:
    """DigitalOcean's errors (https://docs.digitalocean.com/reference/api/) as provider errors.
    Never the request, never the token."""
    body = _json(answer)
    said = body if isinstance(body, dict) else {}
    status = answer.status_code
    text = f"{what}: {plain(str(said.get('id') or status))}: {plain(str(said.get('message') or answer.reason))[:200]}"
    if status == 401:
        return AuthError(f"{text} (is the token right, and not expired?)")
    if status == 403:
        return Forbidden(
            f"{text} (the token lacks a scope; docs/providers/digitalocean.md lists them)"
        )
    if status == 404:
        return NotFound(text)
    if status == 409:
        return NameTaken(f"{text} (a firewall of this name exists by now)")
    if status == 429:
        return RateLimited(text, retry_after=seconds_of(answer.headers.get("Retry-After", "")))
    if status >= 500 or status == 408:
        return Transient(text, fate_unknown=write and status not in (503, 429))
    if status == 422 and ("more than" in text or "limit" in text):
        return QuotaExceeded(text)
    return Unsupported(text)


def plain(text: str) -> str:
    """Text without control and format characters."""
    return "".join(character for character in text if unicodedata.category(character)[0] != "C")


def _json(answer: requests.Response) -> Any:
    try:
        return answer.json()
    except ValueError:
        return None
