"""What is Hetzner's own in HTTP: its error codes and its pages."""

from __future__ import annotations

from cloudsync.provider.errors import (
    AuthError,
    Conflict,
    NotFound,
    ProviderError,
    QuotaExceeded,
    RateLimited,
    Transient,
)
from cloudsync.provider.http import Dialect, Failure, Paging

_NOT_APPLIED = ("locked", "maintenance", "unavailable", "resource_unavailable")
_UNKNOWN = ("timeout", "bad_gateway", "server_error", "service_error")


class ReadOnlyToken(AuthError):
    """The token may read only."""


def judge(failure: Failure) -> ProviderError | None:
    """Hetzner's error codes (https://docs.hetzner.cloud/reference/cloud#errors)."""
    text = failure.text
    match failure.code:
        case "rate_limit_exceeded":
            return RateLimited(text, retry_after=failure.retry_after)
        case "unauthorized":
            return AuthError(f"{text} (is the token right, and of this project?)")
        case "token_readonly":
            return ReadOnlyToken(f"{text} (apply needs a token that may read and write)")
        case "resource_limit_exceeded":
            return QuotaExceeded(text)
        case "uniqueness_error":
            return Conflict(f"{text} (a firewall of this name exists by now)")
        case "conflict":
            return Conflict(text)
        case "not_found" | "firewall_resource_not_found":
            return NotFound(text)
        case code if code in _NOT_APPLIED:
            return Transient(text)
        case code if code in _UNKNOWN:
            return Transient(text, fate_unknown=failure.write)
        case _:
            return None


DIALECT = Dialect(
    "Hetzner",
    Paging(50, next="meta.pagination.next_page", total="meta.pagination.total_entries"),
    judge,
)
