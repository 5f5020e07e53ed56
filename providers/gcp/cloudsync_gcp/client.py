"""Reading over REST with Google's own credentials and transport (google-auth).

The whole SDK, google.cloud.compute_v1, takes two seconds and 150 MB to import
(docs/providers/gcp.md), and its typed messages do not show a field they do not know. A plan needs
one list call; the SDK is for the writer.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import google.auth
import requests
from google.auth.credentials import AnonymousCredentials
from google.auth.exceptions import GoogleAuthError
from google.auth.transport.requests import AuthorizedSession
from google.auth.transport.requests import Request as AuthRequest

from cloudsync import __version__
from cloudsync.provider.contract import Account
from cloudsync.provider.errors import AuthError, Transient
from cloudsync.provider.retry import retried
from cloudsync.provider.transport import secured
from cloudsync_gcp.errors import of_body, of_transport, plain
from cloudsync_gcp.settings import GcpAccount

SCOPES = ("https://www.googleapis.com/auth/compute",)
CREDENTIALS = "GOOGLE_APPLICATION_CREDENTIALS"
CALL_SECONDS = 30.0
PAGE = 500
MAX_PAGES = 200


def credentials_of(account: Account) -> Any:
    """The account's credentials, by the SDK's own chain. Raises `AuthError`."""
    if settings_of(account).anonymous:
        return AnonymousCredentials()  # type: ignore[no-untyped-call]  # google-auth has types in parts only
    try:
        return google.auth.default(scopes=SCOPES)[0]
    except (GoogleAuthError, OSError, ValueError) as error:
        raise AuthError(_without_credentials(error)) from None


def settings_of(account: Account) -> GcpAccount:
    """The account's settings as this provider's own."""
    if not isinstance(account.settings, GcpAccount):
        raise TypeError(f"settings of another provider for the account {account.name}")
    return account.settings


class Api:
    """One project, for reading. Raises `AuthError` without credentials."""

    def __init__(self, account: Account, base: str) -> None:
        self.account, self.project = account, settings_of(account).project
        self._base = f"{base}/compute/v1/projects/{self.project}"
        self._session: requests.Session = secured(
            requests.Session()
            if settings_of(account).anonymous
            else AuthorizedSession(
                credentials_of(account),
                auth_request=AuthRequest(secured(requests.Session())),  # type: ignore[no-untyped-call]
            )
        )

    def pages(self, path: str) -> list[dict[str, Any]]:
        """Every item of a list. A page that is missing is an error. Raises `ProviderError`."""
        items: list[dict[str, Any]] = []
        for answer in self._paged(path):
            page = answer.get("items", [])
            if not isinstance(page, list) or not all(isinstance(item, dict) for item in page):
                raise Transient(f"GET {path}: an answer that is not the whole list")
            items += page
        return items

    def aggregated(self, path: str, kind: str) -> list[dict[str, Any]]:
        """Every item of a list over all zones. A zone that did not answer is an error. Raises
        `ProviderError`."""
        items: list[dict[str, Any]] = []
        for answer in self._paged(path):
            scopes = answer.get("items", {})
            if answer.get("unreachables") or not isinstance(scopes, dict):
                raise Transient(f"GET {path}: an answer that is not the whole list")
            for scope in scopes.values():
                page = scope.get(kind, []) if isinstance(scope, dict) else None
                if (
                    not isinstance(page, list)
                    or _partial(scope)
                    or not all(isinstance(item, dict) for item in page)
                ):
                    raise Transient(f"GET {path}: an answer that is not the whole list")
                items += page
            self.account.progress(f"reading {kind}, {len(items)} so far")
        return items

    def get(self, path: str, **query: str) -> dict[str, Any]:
        """One resource; "" is the project itself. Raises `ProviderError`."""
        return self._get(path, query)

    def granted(self, path: str, permissions: Sequence[str]) -> frozenset[str]:
        """Which of the permissions the caller has on a resource: a question, though it is a POST.
        Raises `ProviderError`."""
        answer = retried(
            lambda: self._once(
                f"{path}/testIamPermissions", {}, {"permissions": list(permissions)}
            ),
            deadline=self.account.deadline,
            safe=lambda error: error.temporary,
        )
        return frozenset(map(str, answer.get("permissions") or ()))

    def _paged(self, path: str) -> Iterator[dict[str, Any]]:
        query: dict[str, str] = {"maxResults": str(PAGE)}
        for _ in range(MAX_PAGES):
            answer = self._get(path, query)
            if _partial(answer):
                raise Transient(f"GET {path}: an answer that is not the whole list")
            yield answer
            token = answer.get("nextPageToken")
            if not token:
                return
            if token == query.get("pageToken"):
                raise Transient(f"GET {path}: the pages do not end")
            query["pageToken"] = str(token)
        raise Transient(f"GET {path}: more than {MAX_PAGES} pages")

    def _get(self, path: str, query: Mapping[str, str]) -> dict[str, Any]:
        return retried(
            lambda: self._once(path, query),
            deadline=self.account.deadline,
            safe=lambda error: error.temporary,
        )

    def _once(
        self, path: str, query: Mapping[str, str], asked: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        method = "GET" if asked is None else "POST"
        what = f"{method} {path}"
        left = self.account.deadline - time.monotonic()
        if left <= 0:
            raise Transient(f"{what}: the run's deadline is reached")
        try:
            response = self._session.request(
                method,
                f"{self._base}/{path}".removesuffix("/"),
                params=dict(query),
                json=asked,
                timeout=min(CALL_SECONDS, left),
                headers={"User-Agent": f"cloudsync/{__version__}"},
                allow_redirects=False,
            )
        except (requests.RequestException, GoogleAuthError) as error:
            raise of_transport(what, error, write=False) from None
        try:
            answer = response.json()
        except ValueError:
            answer = None
        if not 200 <= response.status_code < 300:
            raise of_body(
                what,
                response.status_code,
                answer,
                write=False,
                hint=response.headers.get("Retry-After", ""),
            )
        if not isinstance(answer, dict):
            raise Transient(f"{what}: the answer is not a JSON object")
        return answer


def _partial(answer: Mapping[str, Any]) -> bool:
    """Whether Google warns of the list (UNREACHABLE, PARTIAL_SUCCESS, ...); that a page is empty is
    no warning to heed."""
    warning = answer.get("warning")
    return bool(warning) and not (
        isinstance(warning, dict) and warning.get("code") == "NO_RESULTS_ON_PAGE"
    )


def _without_credentials(error: Exception) -> str:
    """Why there are none, and what to do. The library's own words may quote the file."""
    named = os.environ.get(CREDENTIALS)
    if not named:
        return (
            f"no Google credentials: set {CREDENTIALS}, log in with gcloud auth application-default"
            " login, or run where a service account is attached"
        )
    file = f"the file that {CREDENTIALS} names, {plain(named)},"
    if isinstance(error, OSError):
        return f"{file} cannot be read: {error.strerror}"
    if not Path(named).exists():
        return f"{file} is not there"
    return f"{file} is not a credentials file that Google's library understands"
