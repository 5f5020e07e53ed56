"""What is DigitalOcean's own in HTTP: its errors and its pages."""

from __future__ import annotations

from cloudsync.provider.errors import AuthError, ProviderError, QuotaExceeded
from cloudsync.provider.http import Dialect, Failure, Paging, Rest


def judge(failure: Failure) -> ProviderError | None:
    """The one status of two meanings (https://docs.digitalocean.com/reference/api/)."""
    full = "more than" in failure.message or "limit" in failure.message
    return QuotaExceeded(failure.text) if failure.status == 422 and full else None


DIALECT = Dialect(
    "DigitalOcean",
    Paging(200, next="links.pages.next", total="meta.total"),
    judge,
    code="id",
    message="message",
    advice={
        401: "is the token right, and not expired?",
        403: "the token lacks a scope; docs/providers/digitalocean.md lists them",
        409: "a firewall of this name exists by now",
    },
)


def ask_for_scope(api: Rest, things: str, scope: str) -> None:
    """One small read that a token without `scope` may not do: such a token gets firewalls with
    their attachments cut away, silently. Raises `AuthError`."""
    try:
        api.probe(f"/{things}")
    except AuthError as error:
        raise hidden(scope, error) from None


def hidden(scope: str, error: ProviderError) -> AuthError:
    """The refusal of a token that does not show everything."""
    return AuthError(
        f"the token lacks {scope}: DigitalOcean hides what firewalls are attached to from it "
        f"({error.message})"
    )
