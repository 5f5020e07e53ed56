"""What is Brook's own in HTTP."""

from __future__ import annotations

from cloudsync.provider.errors import AuthError, ProviderError
from cloudsync.provider.http import Dialect, Failure, Paging


def judge(failure: Failure) -> ProviderError | None:
    """Errors that mean more than their status says."""
    if failure.status == 401:
        return AuthError(f"{failure.text} (is the token right, and not expired?)")
    return None


DIALECT = Dialect(
    "Brook",
    Paging(50, last="pages", total="results", size_parameter="page_size"),
    judge,
    message="error.reason",
)
