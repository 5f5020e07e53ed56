"""The leases of the shards that a run is about, in a store: all of them, or none."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import field, replace

from cloudsync.model.state_url import StateUrl
from cloudsync.rules.frozen import dataclass
from cloudsync.state.lease import Lease, Standing, Unit, acquire, alive, waiting
from cloudsync.state.lock import LockHeld
from cloudsync.state.shards import Layout, Shard, layout_from, layout_kept
from cloudsync.state.store.contract import Changed, Store
from cloudsync.state.store.opened import proved

_CROSSINGS = 16
"""So often runs that begin at one moment may get into each other's way."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What leases a run is after."""

    owner: str
    """Of the configuration."""
    firewalls: tuple[str, ...] | None
    """None for all."""
    shard: Shard | None
    """None: every shard of the layout."""
    standing: Standing | None
    """None for a run by a person."""


@contextmanager
def leased(
    state: StateUrl, wanted: Wanted, timeout: float
) -> Iterator[tuple[StateUrl, tuple[Lease, ...]]]:
    """Hold the leases, renewed in here; where state is kept, with them as its fence. Raises
    `LockHeld` and `StateError`."""
    store = proved(state)
    with ExitStack() as stack:
        leases = _leases(store, wanted, timeout)
        for lease in leases:
            stack.enter_context(lease.kept())
        yield replace(state, fence=_Fence(leases)), leases


@dataclass(frozen=True, slots=True)
class _Fence:
    leases: tuple[Lease, ...] = field(default=())

    @property
    def unit(self) -> str:
        return self.leases[0].unit

    @property
    def number(self) -> tuple[int, int]:
        return self.leases[0].number

    @property
    def lost(self) -> str | None:
        return next((why for lease in self.leases if (why := lease.lost) is not None), None)


class _Crossed(LockHeld):
    """Another run wrote the layout at the same moment: worth another look at once."""


def _leases(store: Store, wanted: Wanted, timeout: float) -> tuple[Lease, ...]:
    crossings = _CROSSINGS
    for last in waiting(timeout):
        while True:
            try:
                return _at_once(store, wanted)
            except _Crossed:
                if not (crossings := crossings - 1):
                    raise
            except LockHeld:
                if last:
                    raise
                break
    raise AssertionError("not reached")


def _at_once(store: Store, wanted: Wanted) -> tuple[Lease, ...]:
    """All leases, or none. The layout is read before and after: who changes it looks at the old
    leases after that, so one of both sees the other."""
    owner = wanted.owner
    layout = _layout(store, owner, wanted.shard)
    taken: list[Lease] = []
    try:
        for shard in layout.units(wanted.firewalls, wanted.shard):
            unit = Unit(shard.unit, layout.epoch)
            lease = acquire(store, _name(owner, shard), unit, standing=wanted.standing)
            taken.append(lease)
        now, _ = _read(store, owner)
        if (now.count, now.epoch) != (layout.count, layout.epoch):
            raise _Crossed(f"the firewalls of {owner} were cut into {now.count} shards just now")
    except BaseException:
        for lease in taken:
            lease.release()
        raise
    return tuple(taken)


def _layout(store: Store, owner: str, shard: Shard | None) -> Layout:
    """The layout in use, changed to what the shard says once no run of another one is under way.
    Raises `LockHeld` until then."""
    layout, version = _read(store, owner)
    if layout.before is not None:
        _refuse_if_alive(store, owner, layout.before)
        layout = replace(layout, before=None)
        version = _write(store, owner, layout, version)
    if shard is None or shard.count == layout.count:
        return layout
    _refuse_if_alive(store, owner, layout.count)
    cut = Layout(shard.count, layout.epoch + 1, before=layout.count)
    _write(store, owner, cut, version)
    _refuse_if_alive(store, owner, layout.count)
    return cut


def _refuse_if_alive(store: Store, owner: str, count: int) -> None:
    for number in range(count):
        if (who := alive(store, _name(owner, Shard(number, count)))) is not None:
            raise LockHeld(
                f"{who}; the firewalls are cut into another number of shards once it ended"
            )


def _read(store: Store, owner: str) -> tuple[Layout, str | None]:
    name = _layout_name(owner)
    stored = store.get(name)
    layout = layout_from(None if stored is None else stored.data, store.where(name))
    return layout, None if stored is None else stored.version


def _write(store: Store, owner: str, layout: Layout, version: str | None) -> str:
    try:
        return store.put(_layout_name(owner), layout_kept(layout), version)
    except Changed:
        raise _Crossed(f"another run cuts the firewalls of {owner} just now") from None


def _layout_name(owner: str) -> str:
    return f"{owner}/shards.json"


def lease_name(owner: str, unit: str) -> str:
    """The object of a shard's lease."""
    return f"{owner}/leases/{unit}.json"


def _name(owner: str, shard: Shard) -> str:
    return lease_name(owner, shard.unit)
