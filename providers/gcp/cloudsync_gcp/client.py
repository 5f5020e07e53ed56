"""One project of Compute Engine over REST, with Google's own credentials (google-auth).

Not by the SDK, google.cloud.compute_v1: it takes two seconds and 150 MB to import, its own waiting
forgets the endpoint of the configuration, and its typed messages lose fields that they do not know,
which a full update would then take off a rule.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import google.auth
import requests
from google.auth import exceptions
from google.auth.transport.requests import AuthorizedSession
from google.auth.transport.requests import Request as AuthRequest

from cloudsync.provider.answers import Answer, at, printable
from cloudsync.provider.contract import Account
from cloudsync.provider.errors import AuthError, Conflict, ProviderError, Transient
from cloudsync.provider.failures import Failure, by_status
from cloudsync.provider.http import Dialect, Paging, Rest, understood
from cloudsync.provider.transport import secured, session
from cloudsync_gcp import provider
from cloudsync_gcp.settings import ENDPOINT
from cloudsync_gcp.vpc_rules import GoogleAnswer, Texts

SCOPES = ("https://www.googleapis.com/auth/compute",)
CREDENTIALS = "GOOGLE_APPLICATION_CREDENTIALS"


class NotReady(Conflict):
    """Another operation runs on the same rule: nothing was done."""


PartModel = TypeVar("PartModel", bound="Part")
_NOT_READY = 423
_MEANS = {
    "rateLimitExceeded": 429,
    "userRateLimitExceeded": 429,
    "RATE_LIMIT_EXCEEDED": 429,
    "CONCURRENT_OPERATIONS_QUOTA_EXCEEDED": 429,
    "resourceNotReady": _NOT_READY,
    "RESOURCE_NOT_READY": _NOT_READY,
    "resourceInUseByAnotherResource": _NOT_READY,
    "RESOURCE_OPERATION_RATE_EXCEEDED": _NOT_READY,
    "quotaExceeded": 402,
    "QUOTA_EXCEEDED": 402,
    "limitExceeded": 402,
    "QUOTA_LIMIT": 402,
    "RESOURCE_ALREADY_EXISTS": 409,
    "RESOURCE_NOT_FOUND": 404,
}
"""By Google's reason, the status whose error it is."""
_CHANGED = "somebody else changed the rules meanwhile"
_ADVICE = {
    401: "Google does not accept the credentials",
    403: "the role in docs/providers/gcp.md has what is needed",
    409: _CHANGED,
    412: _CHANGED,
}


class Part(GoogleAnswer):
    """A list, one page of it or what it has of one zone. Google leaves out what is empty."""

    warning: dict[str, Any] | None = None
    unreachables: Texts = ()

    @property
    def is_whole(self) -> bool:
        """Whether Google warns of nothing that is missing (UNREACHABLE, PARTIAL_SUCCESS, ...); that
        a page is empty is no warning to heed."""
        heeded = self.warning is not None and self.warning.get("code") != "NO_RESULTS_ON_PAGE"
        return not heeded and not self.unreachables


class _Objects(Part):
    items: tuple[dict[str, Any], ...] = ()


class Permissions(Answer):
    """Those of a question that the caller has."""

    permissions: tuple[str, ...] = ()


class Api(Rest):
    """One project. Raises `AuthError` without credentials."""

    def __init__(self, account: Account) -> None:
        endpoint = f"{account.settings.endpoint or ENDPOINT}/compute/v1"
        super().__init__(account, endpoint, _session(account), DIALECT)
        self.project = provider.account_of(account).project

    def path(self, resource: str = "") -> str:
        """The path of a resource of the project; "" is the project itself."""
        return f"/projects/{self.project}/{resource}".removesuffix("/")

    def listed(self, resource: str) -> list[dict[str, Any]]:
        """Every item of a list. Raises `ProviderError`."""
        return [item for page in self.parts(resource, _Objects) for item in page.items]

    def parts(self, resource: str, model: type[PartModel]) -> Iterator[PartModel]:
        """The pages of a list, typed. Raises `ProviderError`, for a page too that is not whole."""
        what = f"GET {self.path(resource)}"
        for answer in self.answers(self.path(resource)):
            page = understood(what, answer, model)
            if not page.is_whole:
                raise Transient(f"{what}: an answer that is not the whole list")
            yield page

    def granted(self, resource: str, permissions: Sequence[str]) -> frozenset[str]:
        """Which of the permissions the caller has on a resource. Raises `ProviderError`."""
        path = self.path(f"{resource}/testIamPermissions")
        answer = self.ask(path, Permissions, {"permissions": list(permissions)})
        return frozenset(answer.permissions)


def error_of(failure: Failure, reasons: Sequence[str]) -> ProviderError:
    """An error by its reasons and its HTTP status; 403 is a rate limit as often as a permission,
    and only the reason says which."""
    code = printable(reasons[0])[:80] if reasons else str(failure.status)
    statuses = [_MEANS[reason] for reason in reasons if reason in _MEANS]
    status = 429 if 429 in (failure.status, *statuses) else (*statuses, failure.status)[0]
    failure = replace(failure, status=status, code=code, advice=_ADVICE.get(status, ""))
    return NotReady(failure.text) if status == _NOT_READY else by_status(failure)


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
    if provider.account_of(account).anonymous:
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
