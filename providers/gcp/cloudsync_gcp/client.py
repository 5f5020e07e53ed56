"""One project of Compute Engine over REST, with Google's own credentials (google-auth).

Not by the SDK, google.cloud.compute_v1: it takes two seconds and 150 MB to import, its own waiting
forgets the endpoint of the configuration, and its typed messages lose fields that they do not know,
which a full update would then take off a rule.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import google.auth
import requests
from google.auth import exceptions
from google.auth.transport.requests import AuthorizedSession
from google.auth.transport.requests import Request as AuthRequest

from cloudsync.provider.answers import Answer, at, printable
from cloudsync.provider.contract import Account
from cloudsync.provider.errors import (
    AuthError,
    Conflict,
    NotFound,
    ProviderError,
    QuotaExceeded,
    RateLimited,
    Transient,
)
from cloudsync.provider.failures import Failure, by_status
from cloudsync.provider.http import Dialect, Paging, Rest
from cloudsync.provider.transport import secured, session
from cloudsync_gcp.settings import account_of, base_of

SCOPES = ("https://www.googleapis.com/auth/compute",)
CREDENTIALS = "GOOGLE_APPLICATION_CREDENTIALS"


class NotReady(Conflict):
    """Another operation runs on the same rule: nothing was done."""


_BY_REASON: Mapping[type[ProviderError], frozenset[str]] = {
    RateLimited: frozenset(
        (
            "rateLimitExceeded",
            "userRateLimitExceeded",
            "RATE_LIMIT_EXCEEDED",
            "CONCURRENT_OPERATIONS_QUOTA_EXCEEDED",
        )
    ),
    NotReady: frozenset(
        (
            "resourceNotReady",
            "RESOURCE_NOT_READY",
            "resourceInUseByAnotherResource",
            "RESOURCE_OPERATION_RATE_EXCEEDED",
        )
    ),
    QuotaExceeded: frozenset(("quotaExceeded", "QUOTA_EXCEEDED", "limitExceeded", "QUOTA_LIMIT")),
    Conflict: frozenset(("RESOURCE_ALREADY_EXISTS",)),
    NotFound: frozenset(("RESOURCE_NOT_FOUND",)),
}
_ADVICE = {
    401: "Google does not accept the credentials",
    403: "the role in docs/providers/gcp.md has what is needed",
    409: "somebody else changed the rules meanwhile",
    412: "somebody else changed the rules meanwhile",
}


class Permissions(Answer):
    """Those of a question that the caller has."""

    permissions: tuple[str, ...] = ()


class Api(Rest):
    """One project. Raises `AuthError` without credentials."""

    def __init__(self, account: Account) -> None:
        super().__init__(account, f"{base_of(account)}/compute/v1", _session(account), DIALECT)
        self.project = account_of(account).project

    def path(self, resource: str = "") -> str:
        """The path of a resource of the project; "" is the project itself."""
        return f"/projects/{self.project}/{resource}".removesuffix("/")

    def listed(self, resource: str) -> list[dict[str, Any]]:
        """Every item of a list. Raises `ProviderError`."""
        path = self.path(resource)
        return [item for page in self.answers(path) for item in _items(path, page, "items")]

    def aggregated(self, kind: str) -> list[dict[str, Any]]:
        """Every item of a list over all zones. A zone that did not answer is an error. Raises
        `ProviderError`."""
        path = self.path(f"aggregated/{kind}")
        items: list[dict[str, Any]] = []
        for page in self.answers(path):
            scopes = page.get("items", {})
            if page.get("unreachables") or _warned(page) or not isinstance(scopes, dict):
                raise _partial(path)
            items += (item for scope in scopes.values() for item in _items(path, scope, kind))
            self.account.progress(f"reading {kind}, {len(items)} so far")
        return items

    def granted(self, resource: str, permissions: Sequence[str]) -> frozenset[str]:
        """Which of the permissions the caller has on a resource. Raises `ProviderError`."""
        path = self.path(f"{resource}/testIamPermissions")
        answer = self.ask(path, Permissions, {"permissions": list(permissions)})
        return frozenset(answer.permissions)


def error_of(failure: Failure, reasons: Sequence[str]) -> ProviderError:
    """An error by its reasons and its HTTP status; 403 is a rate limit as often as a permission,
    and only the reason says which."""
    failure = replace(failure, code=printable(reasons[0])[:80] if reasons else str(failure.status))
    kinds = (kind for kind, names in _BY_REASON.items() if not names.isdisjoint(reasons))
    kind = RateLimited if failure.status == 429 else next(kinds, None)
    if kind is RateLimited:
        return RateLimited(failure.text, retry_after=failure.retry_after)
    if kind is not None:
        return kind(failure.text)
    return by_status(replace(failure, advice=_ADVICE.get(failure.status, "")))


def judge(failure: Failure) -> ProviderError:
    """An error by its JSON body: `{"error": {"errors": [{"reason", "message"}], "details":
    [{"reason"}]}}`."""
    lists = (at(failure.answer, f"error.{key}") for key in ("errors", "details"))
    entries = (entry for listed in lists if isinstance(listed, list) for entry in listed)
    reasons = (entry.get("reason") for entry in entries if isinstance(entry, dict))
    return error_of(failure, [str(reason) for reason in reasons if reason])


DIALECT = Dialect(
    "Google",
    Paging(
        500,
        token="nextPageToken",  # noqa: S106 - the name of a field
        token_on_last=False,
        page_parameter="pageToken",
        size_parameter="maxResults",
    ),
    judge,
    did_nothing=frozenset(),
    once=True,
)


class _Session(AuthorizedSession):
    """Adds Google's credentials to every request and refreshes them; follows no redirect."""

    def request(self, *args: Any, **options: Any) -> requests.Response:
        """Raises `ProviderError` if the credentials cannot be used: nothing was sent then."""
        try:
            # google-auth has types in parts only.
            send: Any = super().request
            answer: requests.Response = send(*args, **{**options, "allow_redirects": False})
        except exceptions.TransportError:
            reason = "the Google credentials could not be refreshed: the connection failed"
            raise Transient(reason) from None
        except exceptions.RefreshError:
            reason = "Google refuses to refresh the credentials; are they revoked or expired?"
            raise AuthError(reason) from None
        except exceptions.GoogleAuthError as error:
            kind = type(error).__name__
            raise AuthError(f"the Google credentials cannot be used ({kind})") from None
        return answer


def _session(account: Account) -> requests.Session:
    if account_of(account).anonymous:
        return session()
    try:
        credentials = google.auth.default(scopes=SCOPES)[0]
    except (exceptions.GoogleAuthError, OSError, ValueError) as error:
        raise AuthError(_without_credentials(error)) from None
    authorized: Any = _Session
    return secured(authorized(credentials, auth_request=AuthRequest(secured(requests.Session()))))


def _without_credentials(error: Exception) -> str:
    """Why there are none, and what to do. The library's own words may quote the file."""
    named = os.environ.get(CREDENTIALS)
    if not named:
        return (
            f"no Google credentials: set {CREDENTIALS}, log in with gcloud auth application-default"
            " login, or run where a service account is attached"
        )
    file = f"the file that {CREDENTIALS} names, {printable(named)},"
    if isinstance(error, OSError):
        return f"{file} cannot be read: {error.strerror}"
    if not Path(named).exists():
        return f"{file} is not there"
    return f"{file} is not a credentials file that Google's library understands"


def _items(path: str, holder: object, name: str) -> list[dict[str, Any]]:
    """The list in the field `name`, which Google leaves out if it is empty."""
    items = holder.get(name, []) if isinstance(holder, dict) else None
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise _partial(path)
    if _warned(holder):
        raise _partial(path)
    return items


def _warned(holder: object) -> bool:
    """Whether Google warns of the list (UNREACHABLE, PARTIAL_SUCCESS, ...); that a page is empty is
    no warning to heed."""
    code = at(holder, "warning.code")
    return bool(at(holder, "warning")) and code != "NO_RESULTS_ON_PAGE"


def _partial(path: str) -> Transient:
    return Transient(f"GET {path}: an answer that is not the whole list")
