"""One look at a machine: the table, the interfaces of a default route, and what is saved for boot,
in one call. A machine that does not drop anything yet, and is to, is asked once more: whether an
SSH server listens.
"""

from __future__ import annotations

import dataclasses
import hashlib
import shlex
from collections.abc import Iterable
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from cloudsync.provider.errors import ProviderError, Transient
from cloudsync.rules.frozen import dataclass
from cloudsync_host.kernel import READ, Kernel, is_absent
from cloudsync_host.layout import Shape
from cloudsync_host.listing import Table, UnknownListing, table_from
from cloudsync_host.settings import HostFirewall
from cloudsync_host.transaction import Goal, saved
from cloudsync_host.ways_in import WaysIn, listeners_from, login_from

_ROUTES, _SAVED, _TABLE = "@cloudsync routes", "@cloudsync saved", "@cloudsync table"
_LOGIN, _UNKNOWN = "@cloudsync login", "@cloudsync unknown"
_WAYS_IN = (
    f"echo {_LOGIN} $SSH_CONNECTION; {{ ss -Hltnp || ss -Hltn; }} 2>/dev/null || echo '{_UNKNOWN}'"
)
_ROUTE_FILES = (Path("/proc/net/route"), Path("/proc/net/ipv6_route"))
_REJECT = 0x0200  # RTF_REJECT: an unreachable route has no interface


@dataclass(frozen=True, slots=True)
class Seen:
    """`table`: None where there is none. `uplinks`: sorted. `saved`: the SHA-256 of the saved file,
    None where there is none. `ways_in`: None while dropping is not what comes next."""

    table: Table | None
    uplinks: tuple[str, ...] = ()
    saved: str | None = None
    ways_in: WaysIn | None = None

    def is_saved(self, shape: Shape) -> bool:
        """Whether the next boot loads the table as it is outside a trial."""
        if self.table is None:
            return False
        goal = Goal(self.table.elements, shape, self.table.marker)
        return self.saved == _digest(_Drawn(goal))


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class _Drawn:
    """A table as a key: comments are part of what is saved, though not of what makes elements
    equal."""

    goal: Goal

    def __hash__(self) -> int:
        return hash((self.goal.marker, self.goal.shape, len(self.goal.elements)))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, _Drawn) or self.goal != other.goal:
            return False
        pairs = zip(self.goal.elements, other.goal.elements, strict=True)
        return all(ours is theirs or ours.comment == theirs.comment for ours, theirs in pairs)


@lru_cache(maxsize=64)
def _digest(drawn: _Drawn) -> str:
    """Of the file that a table is saved in: to write it out again at each look takes longer than
    to see that nothing of it differs."""
    return digest(saved(drawn.goal))


def look(kernel: Kernel, settings: HostFirewall) -> Seen:
    """Raises `ProviderError`: what was not read completely is not known (law 1)."""
    seen = _look_here if kernel.destination is None else _look_there
    return seen(kernel, settings)


def look_before_dropping(kernel: Kernel, settings: HostFirewall) -> Seen:
    """`look`, and where the configuration wants a machine to drop that does not yet, what people
    log in by. Raises `ProviderError`."""
    seen = look(kernel, settings)
    drops = seen.table is not None and not seen.table.observes
    if settings.enforce == "observe" or drops:
        return seen
    return replace(seen, ways_in=read_ways_in(kernel))


def read_ways_in(kernel: Kernel) -> WaysIn:
    """What listens for SSH, and how cloudsync came in. Raises `ProviderError`."""
    # A login shell may print a greeting before what it was asked.
    _, has_login, answer = kernel.read(_WAYS_IN).partition(_LOGIN)
    if not has_login:
        raise Transient(f"the answer of {kernel.where} is not complete")
    first, _, listing = answer.partition("\n")
    words = first.split()
    login = login_from(words) if kernel.destination is not None else None
    try:
        return WaysIn(listeners_from(listing), login)
    except ValueError:
        return WaysIn(None, login)


def _look_here(kernel: Kernel, settings: HostFirewall) -> Seen:
    """Files are read without a program: nft is the only one that is started."""
    routes = [line for path in _ROUTE_FILES for line in _lines(path)]
    saved_file = None
    if settings.saved_file is not None:
        try:
            saved_file = hashlib.sha256(Path(settings.saved_file).read_bytes()).hexdigest()
        except OSError:
            saved_file = None  # written again, which says why if it cannot be
    try:
        listing = kernel.list_table()
    except ProviderError as error:
        if not is_absent(error):
            raise
        return Seen(None, uplinks_of(routes), saved_file)
    return Seen(_table(kernel, listing), uplinks_of(routes), saved_file)


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except FileNotFoundError:  # a kernel without IPv6
        return []
    except OSError as error:
        raise ProviderError(f"{path} cannot be read: {error.strerror}") from None


def _look_there(kernel: Kernel, settings: HostFirewall) -> Seen:
    path = settings.saved_file
    file = f"sha256sum -- {shlex.quote(path)} 2>/dev/null" if path is not None else ":"
    script = (
        f"echo '{_ROUTES}'; cat /proc/net/route; echo; cat /proc/net/ipv6_route 2>/dev/null; "
        f"echo '{_SAVED}'; {file}; echo '{_TABLE}'; exec $as {READ}"
    )
    try:
        answer = kernel.read(script)
    except ProviderError as error:
        if not is_absent(error):
            raise
        # The rest of the answer is not with the error; without a table this is asked rarely.
        answer = kernel.read(script.replace(f"exec $as {READ}", "exit 0"))
        routes, file_digest, _ = _parts(answer, kernel)
        return Seen(None, uplinks_of(routes), file_digest)
    routes, file_digest, listing = _parts(answer, kernel)
    return Seen(_table(kernel, listing), uplinks_of(routes), file_digest)


def _table(kernel: Kernel, listing: str) -> Table:
    try:
        return table_from(listing)
    except UnknownListing as error:
        message = f"{kernel.where}: {error}; nothing is written while the table is not understood"
        raise (Transient if error.temporary else ProviderError)(message) from None


def _parts(answer: str, kernel: Kernel) -> tuple[list[str], str | None, str]:
    before, has_table, listing = answer.partition(f"{_TABLE}\n")
    # A login shell may print a greeting before what it was asked.
    _, has_routes, after = before.partition(f"{_ROUTES}\n")
    routes, has_saved, file = after.partition(f"{_SAVED}\n")
    if not (has_routes and has_saved and has_table):
        raise Transient(f"the answer of {kernel.where} is not complete")
    words = file.split()
    return routes.splitlines(), words[0] if words else None, listing


def uplinks_of(routes: Iterable[str]) -> tuple[str, ...]:
    """The interfaces of a default route, out of /proc/net/route and /proc/net/ipv6_route."""
    uplinks = set()
    for line in routes:
        fields = line.split()
        if len(fields) == 11 and fields[1] == fields[7] == "00000000":
            uplinks.add(fields[0])
        elif (
            len(fields) == 10
            and fields[:2] == ["0" * 32, "00"]
            and not int(fields[8], 16) & _REJECT
        ):
            uplinks.add(fields[9])
    return tuple(sorted(uplinks - {"lo", "*"}))


def unfiltered(settings: HostFirewall, uplinks: tuple[str, ...]) -> tuple[str, ...]:
    """The interfaces of a default route that the configuration leaves open: a name that is
    misspelt in `interfaces` must not look like a wall."""
    listed = settings.interfaces if isinstance(settings.interfaces, list) else uplinks
    return tuple(link for link in uplinks if link in settings.trusted or link not in listed)


def shape_of(settings: HostFirewall, uplinks: tuple[str, ...], *, enforced: bool) -> Shape:
    """How the configuration wants the chains."""
    filtered: tuple[str, ...] | None = None
    if settings.interfaces == "uplinks":
        filtered = uplinks
    elif settings.interfaces != "all":
        filtered = tuple(settings.interfaces)
    return Shape(
        filtered=filtered,
        uplinks=uplinks if filtered is None else (),
        trusted=tuple(settings.trusted),
        peers=tuple(settings.peers),
        cut_established=settings.established == "cut",
        enforced=enforced,
    )


def digest(text: str) -> str:
    """As `sha256sum` prints it."""
    return hashlib.sha256(text.encode()).hexdigest()
