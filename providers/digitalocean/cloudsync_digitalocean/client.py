"""What is DigitalOcean's own in HTTP: its errors and its pages."""

from __future__ import annotations

from cloudsync.provider.answers import Nothing
from cloudsync.provider.errors import AuthError, Conflict, ProviderError, QuotaExceeded
from cloudsync.provider.http import Dialect, Failure, Paging, Rest


class Forbidden(AuthError):
    """The token is good, and lacks a scope."""


def judge(failure: Failure) -> ProviderError | None:
    """DigitalOcean's errors (https://docs.digitalocean.com/reference/api/)."""
    status, text = failure.status, failure.text
    if status == 401:
        return AuthError(f"{text} (is the token right, and not expired?)")
    if status == 403:
        lacks = "the token lacks a scope; docs/providers/digitalocean.md lists them"
        return Forbidden(f"{text} ({lacks})")
    if status == 409:
        return Conflict(f"{text} (a firewall of this name exists by now)")
    if status == 422 and ("more than" in text or "limit" in text):
        return QuotaExceeded(text)
    return None


DIALECT = Dialect(
    "DigitalOcean", Paging(200, next="links.pages.next", total="meta.total"), judge, "id", "message"
)


def ask_for_scope(api: Rest, things: str, scope: str) -> None:
    """One small read that a token without `scope` may not do: such a token gets firewalls with
    their attachments cut away, silently. Raises `AuthError`."""
    try:
        api.get(f"/{things}", Nothing, {"page": 1, "per_page": 1})
    except AuthError as error:
        raise hidden(scope, error) from None


def hidden(scope: str, error: ProviderError) -> AuthError:
    """The refusal of a token that does not show everything."""
    return AuthError(
        f"the token lacks {scope}: DigitalOcean hides what firewalls are attached to from it "
        f"({error.message})"
    )
