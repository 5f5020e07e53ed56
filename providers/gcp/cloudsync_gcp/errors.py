"""Google's failures as provider errors: of the REST answers, of the operations, and of the three
families the SDK raises."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from google.auth import exceptions as auth

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
from cloudsync.provider.retry import seconds_of
from cloudsync.provider.transport import lost

_RATE = (
    "rateLimitExceeded",
    "userRateLimitExceeded",
    "RATE_LIMIT_EXCEEDED",
    "CONCURRENT_OPERATIONS_QUOTA_EXCEEDED",
)
_QUOTA = ("quotaExceeded", "QUOTA_EXCEEDED", "limitExceeded", "QUOTA_LIMIT")
_BUSY = (
    "resourceNotReady",
    "RESOURCE_NOT_READY",
    "resourceInUseByAnotherResource",
    "RESOURCE_OPERATION_RATE_EXCEEDED",
)


_REQUEST = re.compile(r"^(?:[A-Z]+ https?://\S+: )+")


class NotReady(Transient):
    """Another operation runs on the same rule: nothing was done."""


def of_answer(
    what: str, status: int, reasons: Iterable[str], explanation: str, *, write: bool, hint: str = ""
) -> ProviderError:
    """An error by its HTTP status and its reasons; 403 is a rate limit as often as a permission,
    and only the reason says which."""
    named = [reason for reason in reasons if reason]
    # The SDK puts "PUT https://…: " in front, which would leave no room for the reason.
    text = plain(_REQUEST.sub("", explanation))[:200]
    message = f"{what}: {plain(named[0] if named else str(status))[:80]}: {text}"
    if status == 429 or any(reason in _RATE for reason in named):
        return RateLimited(message, retry_after=seconds_of(hint))
    if any(reason in _BUSY for reason in named):
        return NotReady(message)
    if any(reason in _QUOTA for reason in named):
        return QuotaExceeded(message)
    if status == 401:
        return AuthError(f"{message} (Google does not accept the credentials)")
    if status == 403:
        return AuthError(f"{message} (the role in docs/providers/gcp.md has what is needed)")
    if status == 404:
        return NotFound(message)
    if status in (409, 412):
        return Conflict(f"{message} (somebody else changed the rules meanwhile)")
    if status >= 500 or status == 408:
        return Transient(message, fate_unknown=write)
    return Unsupported(message)


def of_body(
    what: str, status: int, answer: object, *, write: bool, hint: str = ""
) -> ProviderError:
    """An error by its JSON body: `{"error": {"errors": [{"reason", "message"}], "details":
    [{"reason"}]}}`."""
    body = answer.get("error") if isinstance(answer, Mapping) else None
    error: Mapping[str, Any] = body if isinstance(body, Mapping) else {}
    entries = [
        entry
        for key in ("errors", "details")
        for entry in error.get(key) or ()
        if isinstance(entry, Mapping)
    ]
    reasons = [str(entry.get("reason") or "") for entry in entries]
    return of_answer(what, status, reasons, str(error.get("message") or ""), write=write, hint=hint)


def of_transport(what: str, error: Exception, *, write: bool) -> ProviderError:
    """A failure below HTTP, or of the credentials."""
    if isinstance(error, auth.TransportError):
        return Transient(f"{what}: the credentials could not be refreshed: the connection failed")
    if isinstance(error, auth.RefreshError):
        return AuthError(
            f"{what}: Google refuses to refresh the credentials; are they revoked or expired?"
        )
    if isinstance(error, auth.GoogleAuthError):
        return AuthError(f"{what}: the Google credentials cannot be used ({type(error).__name__})")
    return lost(what, error, "an answer that cannot be read", write=write)


def plain(text: str) -> str:
    """Text without control characters, on one line."""
    return "".join(character if character.isprintable() else " " for character in text)
