"""The sole right to write some firewalls of an owner: a lock of the kernel in a folder, leases in a
bucket."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from cloudsync.model.state_url import StatePlace
from cloudsync.rules.frozen import dataclass
from cloudsync.state.directory import prepare
from cloudsync.state.lock import locked

if TYPE_CHECKING:
    from cloudsync.state.lease import Lease, Standing
    from cloudsync.state.shards import Shard


@dataclass(frozen=True, slots=True)
class Held:
    """What a run holds. As a fence it is lost as soon as one of its leases is."""

    state: StatePlace
    """Where state is kept, with this as its fence."""
    leases: tuple[Lease, ...] = ()
    busy: frozenset[str] = frozenset()
    """Firewalls that another run is at work on: this one leaves them alone."""

    @property
    def lost(self) -> str | None:
        """Why nothing may be written any more; None as long as it may."""
        return next((why for lease in self.leases if (why := lease.lost) is not None), None)

    @contextmanager
    def guarded(self) -> Iterator[None]:
        """In here the process ends before it could write without its lease."""
        if not self.leases:
            yield
            return
        with min(self.leases, key=lambda lease: lease.until).guarded():
            yield


class IfFree(tuple[str, ...]):
    """Firewalls of which a run is content with those that no other run is at work on."""

    __slots__ = ()


def make_ready(state: StatePlace) -> None:
    """See that state can be written, before anything is written to a cloud. Raises `StateError`."""
    if isinstance(state, Path):
        prepare(state)
        return
    from cloudsync.state.store.opened import proved

    proved(state)


@contextmanager
def exclusive(
    state: StatePlace,
    owner: str,
    firewalls: Sequence[str] = (),
    *,
    shard: Shard | None = None,
    timeout: float = 0.0,
    standing: Standing | None = None,
) -> Iterator[Held]:
    """Hold what the run needs. `firewalls`: empty for everything. `timeout`: seconds to wait for
    another run. `standing`: for one of many runs of a service. Raises `LockHeld`, and `StateError`
    if it cannot be had at all."""
    if isinstance(state, Path):
        some = isinstance(firewalls, IfFree)
        with locked(state, owner, timeout, firewalls, some=some) as busy:
            yield Held(state, busy=busy)
        return
    from cloudsync.state.shard_leases import Wanted, leased

    wanted = Wanted(owner, tuple(firewalls) or None, shard, standing)
    with leased(state, wanted, timeout) as (fenced, leases):
        yield Held(fenced, leases)
