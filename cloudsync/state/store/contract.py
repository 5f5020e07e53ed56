"""What state needs of a store: read with a version, write only over the version that was read.

A write that is not over what the writer read raises `Changed`. So two writers never lose each
other's updates, wherever they run, and a lease needs no other service (`state/lease.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Protocol

from cloudsync.rules.frozen import dataclass
from cloudsync.state import StateError

_TRIES = 100


class Changed(Exception):
    """The object is not what the writer read; nothing was written."""


class StoreError(StateError):
    """The store did not answer, or not as it must. What was asked of it may be done or not."""


class StoreRefused(StoreError):
    """The store refuses the credentials, or what they may do."""


@dataclass(frozen=True, slots=True)
class Stored:
    """An object as it was read."""

    data: bytes
    """All of it."""
    version: str
    """Opaque; another one after every write of other data."""
    modified: datetime
    """When it was written, by the store's clock: whole seconds at some stores."""


@dataclass(frozen=True, slots=True)
class Entry:
    """An object in a list."""

    name: str
    """Below the prefix."""
    version: str
    """An ETag, as the store gives it."""
    modified: datetime
    """By the store's clock."""


class Store(Protocol):
    """Objects by name, at most a few MiB each. Names are `/`-separated words of `[A-Za-z0-9._-]`.

    Every method raises `StoreError` if the store cannot be asked or refuses.
    """

    def where(self, name: str) -> str:
        """The object's full name, for messages."""
        ...

    def get(self, name: str) -> Stored | None:
        """The object; None only if the store says that there is none."""
        ...

    def put(self, name: str, data: bytes, over: str | None) -> str:
        """Write it if it is still of the version `over` (None: if there is none), and return its
        new version. Raises `Changed`."""
        ...

    def delete(self, name: str) -> None:
        """Remove it; one that is not there is well."""
        ...

    def list(self, prefix: str) -> Sequence[Entry]:
        """Everything whose name begins with `prefix`, by name. It may lag behind writes: what it
        lacks may be there all the same."""
        ...


def update(store: Store, name: str, change: Callable[[bytes | None], bytes | None]) -> None:
    """Read, change and write, again and again until nobody else wrote in between. `change` is pure:
    what is there (None: nothing) to what is to be there (None: leave it as it is). Raises
    `StoreError`."""
    for _ in range(_TRIES):
        stored = store.get(name)
        data = change(None if stored is None else stored.data)
        if data is None or (stored is not None and data == stored.data):
            return
        try:
            store.put(name, data, None if stored is None else stored.version)
        except Changed:
            continue
        return
    raise StoreError(f"{store.where(name)} changes faster than it can be written", temporary=True)
