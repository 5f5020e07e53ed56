"""The history of applies in a bucket, which many controllers write at once.

| object                             | what it holds                                        |
|------------------------------------|------------------------------------------------------|
| `OWNER/history/TIME-ID.json`       | one apply that changed something, or met trouble     |
| `OWNER/quiet/SHARD.json`           | the last applies of a shard that found nothing to do |
| `OWNER/running/SHARD/TIME-ID.json` | what the apply under way is about to write           |

Names begin with the time, so that a list is in order. Nothing is ever removed from the history: a
lifecycle rule of the bucket does that (docs/machines-that-publish.md).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

from cloudsync.model.state_url import StateUrl
from cloudsync.runtime.pools import side_by_side
from cloudsync.state import StateError
from cloudsync.state.history_entry import DIED, line, opened
from cloudsync.state.lease import alive
from cloudsync.state.shard_leases import lease_name
from cloudsync.state.store.contract import Changed, Store, update
from cloudsync.state.store.opened import open_store

_AT_ONCE = 16
_MOST_READ = 500
"""So many of the newest entries are read at most."""
_MOST_QUIET = 50


def begin(place: StateUrl, owner: str, entry: Mapping[str, Any]) -> None:
    """Put into the store what is about to be written to clouds. Raises `StateError`."""
    _refuse_if_lost(place)
    try:
        open_store(place).put(f"{_running(place, owner)}{entry['id']}.json", line(entry), None)
    except Changed:
        raise StateError("another run has the same id; nothing was changed") from None


def end(place: StateUrl, owner: str, entry: Mapping[str, Any], *, quiet: bool) -> str | None:
    """Keep the entry of an apply that ended. Why that could not be done, None if it was."""
    try:
        store = open_store(place)
        if quiet:
            name = f"{owner}/quiet/{place.unit}.json"
            update(store, name, partial(_with, entry))
        else:
            _put_once(store, f"{owner}/history/{entry['id']}.json", line(entry))
        store.delete(f"{_running(place, owner)}{entry['id']}.json")
    except StateError as error:
        return f"the history could not be written: {error}"
    return None


def settle(place: StateUrl, owner: str) -> None:
    """Make entries of what runs of this shard that died were about to do. Called with its lease.
    Raises `StateError`."""
    store = open_store(place)
    for running in store.list(_running(place, owner)):
        stored = store.get(running.name)
        for entry in () if stored is None else opened(stored.data):
            name = f"{owner}/history/{entry['id']}.json"
            _put_once(store, name, line({**entry, "outcome": "died", "message": DIED}))
        store.delete(running.name)


def entries(place: StateUrl, owner: str) -> list[dict[str, Any]]:
    """The newest entries of all shards, oldest first. Raises `StateError`."""
    store = open_store(place)
    history = [entry.name for entry in store.list(f"{owner}/history/")][-_MOST_READ:]
    quiet = [entry.name for entry in store.list(f"{owner}/quiet/")]
    running = [entry.name for entry in store.list(f"{owner}/running/")]
    known = {entry["id"]: entry for entry in _read(store, (*quiet, *history))}
    by_unit: dict[str, list[str]] = {}
    for name in running:
        unit = name.removeprefix(f"{owner}/running/").partition("/")[0]
        by_unit.setdefault(unit, []).append(name)
    for unit, names in by_unit.items():
        # As long as the lease is held its run is under way, or died within the last minute.
        under_way = alive(store, lease_name(owner, unit)) is not None
        outcome = {} if under_way else {"outcome": "died", "message": DIED}
        for entry in _read(store, names):
            known.setdefault(entry["id"], {**entry, **outcome})
    return sorted(known.values(), key=lambda entry: str(entry.get("started")))


def _read(store: Store, names: Iterable[str]) -> list[dict[str, Any]]:
    with side_by_side(_AT_ONCE, "history") as pool:
        read = list(pool.map(store.get, names))
    return [entry for stored in read if stored is not None for entry in opened(stored.data)]


def _with(entry: Mapping[str, Any], raw: bytes | None) -> bytes:
    before = [] if raw is None else raw.splitlines(keepends=True)
    return b"".join([*before[1 - _MOST_QUIET :], line(entry)])


def _put_once(store: Store, name: str, data: bytes) -> None:
    try:
        store.put(name, data, None)
    except Changed:
        return  # it is there already: a run that died between this and removing what was running


def _refuse_if_lost(place: StateUrl) -> None:
    if place.fence is not None and (why := place.fence.lost) is not None:
        raise StateError(f"{why}; nothing was changed", temporary=True)


def _running(place: StateUrl, owner: str) -> str:
    return f"{owner}/running/{place.unit}/"
