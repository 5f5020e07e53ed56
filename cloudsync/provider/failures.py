"""What an error of a vendor's API means, by its status, whoever made the call: an SDK or `http.py`.

| status             | error           | temporary | fate of a write                               |
|--------------------|-----------------|-----------|-----------------------------------------------|
| 401                | `AuthError`     | no        | did nothing                                   |
| 403                | `Forbidden`     | no        | did nothing                                   |
| 404, 410           | `NotFound`      | no        | did nothing                                   |
| 402, 507           | `QuotaExceeded` | no        | did nothing                                   |
| 409, 412, 423      | `Conflict`      | yes       | did nothing; the core looks and plans again   |
| 429                | `RateLimited`   | yes       | did nothing; repeated after `Retry-After`     |
| 408, 5xx, redirect | `Transient`     | yes       | unknown, unless `did_nothing` has the status  |
| any other 4xx      | `Unsupported`   | no        | did nothing                                   |
"""

from __future__ import annotations

from cloudsync.provider.errors import (
    AuthError,
    Conflict,
    Forbidden,
    NotFound,
    ProviderError,
    QuotaExceeded,
    RateLimited,
    Transient,
    Unsupported,
)
from cloudsync.rules.frozen import dataclass


@dataclass(frozen=True, slots=True)
class Failure:
    """An answer that is an error, as a dialect judges it."""

    what: str
    """The call, for people: `POST /firewalls`."""
    status: int
    """The answer's status, or the one that its code stands for in `Dialect.means`."""
    code: str
    """The vendor's own error code; the status as text if the answer had none."""
    message: str
    """The vendor's own message, printable and shortened."""
    write: bool
    """Whether the call could have written."""
    retry_after: float | None = None
    """Seconds, by the vendor's own hint."""
    advice: str = ""
    """What a person should look at or do, from `Dialect.advice`."""
    answer: object = None
    """The answer as JSON, for a vendor that says more than a code in it; goes into no message."""

    @property
    def text(self) -> str:
        """The failure in one line."""
        advice = f" ({self.advice})" if self.advice else ""
        return f"{self.what}: {self.code}: {self.message}{advice}"


def by_status(failure: Failure, did_nothing: frozenset[int] = frozenset()) -> ProviderError:
    """The error that a status means, as the table above has it."""
    status, text = failure.status, failure.text
    if status == 401:
        return AuthError(text)
    if status == 403:
        return Forbidden(text)
    if status in (404, 410):
        return NotFound(text)
    if status in (402, 507):
        return QuotaExceeded(text)
    if status in (409, 412, 423):
        return Conflict(text)
    if status == 429:
        return RateLimited(text, retry_after=failure.retry_after)
    if status < 400:
        redirected = f"{failure.what}: redirected to another address, which is not followed"
        return Transient(redirected, fate_unknown=failure.write)
    if status == 408 or status >= 500:
        return Transient(text, fate_unknown=failure.write and status not in did_nothing)
    return Unsupported(text)
