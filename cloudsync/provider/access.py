"""What credentials are good for: one row for each thing a run needs, as `cloudsync check-access`
shows them.

A provider answers with as few calls as it can and writes nothing: where the vendor has a dry run or
lists the permissions of a caller it asks that; where it has neither, the row is `unknown` and says
how to find out. A permission that only exposure needs is not needed with `policy.foreign =
"ignore"`: its row says `needed_for = "exposure"` and the core decides.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import TYPE_CHECKING, Literal

from cloudsync.provider.answers import Nothing
from cloudsync.provider.errors import AuthError, Forbidden, NotFound, ProviderError
from cloudsync.rules.frozen import dataclass

if TYPE_CHECKING:
    from cloudsync.provider.http import Rest

State = Literal["ok", "missing", "near", "unknown"]
"""`near`: a quota that is nearly used up. `unknown`: the vendor does not tell without a write, or
did not answer."""
NeededFor = Literal["plan", "apply", "exposure"]


@dataclass(frozen=True, slots=True)
class Access:
    """One thing. `what`: the vendor's own word for it (`ec2:DescribeInstances`, `droplet:read`,
    `token`), `detail` a sentence.

    `temporary`: an `unknown` that trying again may fix.
    """

    what: str
    needed_for: NeededFor
    state: State
    detail: str = ""
    temporary: bool = False


NEAR = 0.9


def of_quota(what: str, used: int, most: int, needed_for: NeededFor = "apply") -> Access:
    """A row for a quota: `near` from nine tenths on."""
    state: State = "near" if used >= NEAR * most else "ok"
    return Access(what, needed_for, state, f"{used} of {most} used")


def rows_of(look: Callable[[], Sequence[Access]], of: str = "token") -> Sequence[Access]:
    """The rows that `look` finds out; if it ends in an error, the one row that says why. `of`: what
    the credentials are called."""
    try:
        return look()
    except AuthError as error:
        return (Access(of, "plan", "missing", error.message),)
    except ProviderError as error:
        return (Access(of, "plan", "unknown", error.message, error.temporary),)


def unread(what: str, error: ProviderError) -> Access:
    """A row for something of the configuration that could not be read."""
    state: State = "missing" if isinstance(error, NotFound) else "unknown"
    return Access(what, "plan", state, error.message, error.temporary)


def of_rate(rate: tuple[int, int] | None) -> tuple[Access, ...]:
    """The row for `Rest.rate`; none if the vendor does not say."""
    if rate is None:
        return ()
    left, most = rate
    return (of_quota("requests an hour", most - left, most, "plan"),)


def asked(
    what: str,
    needed_for: NeededFor,
    ask: Callable[[], object],
    granted: str,
    proofs: tuple[type[ProviderError], ...] = (),
    lacking: type[AuthError] = AuthError,
) -> Access:
    """A row for a permission, by a call that needs it and writes nothing: a read, or a write that
    cannot succeed. `granted`: what the row says if the call is not refused. `proofs`: errors that
    only somebody with the permission gets (`NotFound` for an object that is not there). `lacking`:
    the error for a permission that is missing; an `AuthError` that is none is raised."""
    try:
        ask()
    except lacking as error:
        return Access(what, needed_for, "missing", error.message)
    except AuthError:
        raise
    except ProviderError as error:
        if isinstance(error, proofs):
            return Access(what, needed_for, "ok", granted)
        return Access(what, needed_for, "unknown", error.message, error.temporary)
    if proofs:
        return Access(what, needed_for, "unknown", "the vendor's answer does not show it")
    return Access(what, needed_for, "ok", granted)


def as_listed(
    permissions: Sequence[str],
    needed_for: NeededFor,
    look: Callable[[], Collection[str]],
    granted: str,
    lacking: str,
) -> Sequence[Access]:
    """Rows for permissions of a vendor that lists those of the caller, by one call. `look`: asks
    which of them the caller has. `granted`, `lacking`: what a row says."""
    try:
        has = look()
    except ProviderError as error:
        return unknown(permissions, needed_for, error.message, temporary=error.temporary)
    return [
        Access(what, needed_for, "ok", granted)
        if what in has
        else Access(what, needed_for, "missing", lacking)
        for what in permissions
    ]


def unknown(
    permissions: Iterable[str], needed_for: NeededFor, why: str, *, temporary: bool = False
) -> Sequence[Access]:
    """Rows for permissions that the vendor does not report."""
    return [Access(what, needed_for, "unknown", why, temporary) for what in permissions]


def asked_to_read(api: Rest, what: str, path: str, needed_for: NeededFor) -> Access:
    """A row for reading a list, by one item of it."""
    return asked(what, needed_for, lambda: api.probe(path), "granted", lacking=Forbidden)


def asked_to_write(
    api: Rest, what: str, method: str, path: str, *proofs: type[ProviderError]
) -> Access:
    """A row for a write, by one without a content that cannot succeed. `proofs`: as in `asked`."""

    def write() -> None:
        api.write(method, path, {}, Nothing)

    return asked(what, "apply", write, "granted", proofs, lacking=Forbidden)
