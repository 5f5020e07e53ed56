"""The one small error tree every provider maps its SDK's failures to.

A message is one line for the person who must act: what failed, on what, what the vendor said (its
code and its short message), what to do. Never a secret, never a whole payload. `temporary`: trying
again later may fix it (exit 75); otherwise somebody must act (exit 1).
"""

from __future__ import annotations


class ProviderError(Exception):
    """Something at a vendor failed. `fate_unknown`: a write was sent and nobody knows whether it
    took effect."""

    temporary = False

    def __init__(self, message: str, *, fate_unknown: bool = False) -> None:
        super().__init__(message)
        self.message = message
        self.fate_unknown = fate_unknown


def without_frames(error: ProviderError) -> ProviderError:
    """The same error as if it had not been raised. One that is kept would hold the frames that it
    went through, and they the connections of the run."""
    bare = type(error).__new__(type(error), *error.args)
    bare.__dict__.update(error.__dict__)
    return bare


class AuthError(ProviderError):
    """Credentials are missing, wrong, expired or not allowed to do this."""


class Forbidden(AuthError):
    """The credentials are good, and lack a permission."""


class NotFound(ProviderError):
    """Something the configuration names does not exist at the vendor."""


class RateLimited(ProviderError):
    """Too many calls. `retry_after`: seconds, the vendor's own hint, where it gave one."""

    temporary = True

    def __init__(
        self, message: str, *, retry_after: float | None = None, fate_unknown: bool = False
    ) -> None:
        super().__init__(message, fate_unknown=fate_unknown)
        self.retry_after = retry_after


class Conflict(ProviderError):
    """Somebody else changed or holds the object; look again, then try again."""

    temporary = True


class QuotaExceeded(ProviderError):
    """A limit of the vendor or the account is reached."""


class Transient(ProviderError):
    """Timeouts, lost connections, 5xx: try again."""

    temporary = True


class Unsupported(ProviderError):
    """The vendor, or this provider, cannot do what was asked."""


class PluginDefect(ProviderError):
    """A bug of the plugin, found by `cloudsync.provider.guarded`; a plugin never raises it itself.
    Not temporary: somebody must repair the plugin."""
