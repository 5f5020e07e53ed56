"""Documents whose loss only makes later runs more careful: a damaged one counts as none.

One that a newer cloudsync wrote, or a store that does not answer, still stops the run.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import field
from functools import lru_cache
from typing import Any, Generic, TypeVar

from cloudsync.model.state_url import StatePlace
from cloudsync.rules.frozen import dataclass
from cloudsync.state import StateError
from cloudsync.state.documents import documents_of, read_all
from cloudsync.state.store.contract import StoreError

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Recollection(Generic[T]):
    """What applies remember."""

    entries: Mapping[str, T] = field(default_factory=dict)
    """By name."""
    damaged: str | None = None
    """Why a document, which is there, could not be read: then nothing of it is remembered."""


@dataclass(frozen=True, slots=True)
class Kind(Generic[T]):
    """A kind of such documents."""

    name: str
    """As in `MOST_BYTES`."""
    version: int
    """The newest that is known, and the one that is written."""
    entries: Callable[[Any], Mapping[str, T]]
    """From the JSON value of a document; raises what a value of another shape raises (`KeyError`,
    `TypeError`, `ValueError`, …) for one that is damaged."""

    def load(
        self, state: StatePlace, owner: str, names: Iterable[str] | None = None
    ) -> Recollection[T]:
        """What is remembered. `names`: the entries that matter; None for all. Raises `StateError`
        for a document of a newer cloudsync, or if the store cannot be read."""
        try:
            read = read_all(documents_of(state, owner, self.name, names))
        except StoreError:
            raise
        except StateError as error:
            return Recollection(damaged=str(error))
        opened = [self.opened(raw, document.where) for document, raw in read]
        return Recollection(
            {name: entry for each in opened for name, entry in each.entries.items()},
            next((each.damaged for each in opened if each.damaged is not None), None),
        )

    def opened(self, raw: bytes | None, where: str) -> Recollection[T]:
        """What one document holds. Raises `StateError` for one of a newer cloudsync."""
        if raw is None:
            return Recollection()
        try:
            return _opened(self, raw)
        except _NewerVersion as error:
            raise StateError(
                f"the state file {where} is of version {error.version}, which this cloudsync does "
                "not know"
            ) from None
        except (
            ValueError,
            KeyError,
            IndexError,
            TypeError,
            AttributeError,
            RecursionError,
            OverflowError,
        ):
            return Recollection(damaged=f"{where} is damaged")


class _NewerVersion(Exception):
    def __init__(self, version: int) -> None:
        super().__init__(version)
        self.version = version


@lru_cache(maxsize=8)
def _opened(kind: Kind[Any], raw: bytes) -> Recollection[Any]:
    """What the very same bytes hold is known: `watch` reads, run after run, what nothing changed.
    Raises `_NewerVersion`, and what a damaged document raises."""
    value = json.loads(raw)
    version = value["version"]
    if isinstance(version, int) and version > kind.version:
        raise _NewerVersion(version)
    return Recollection(kind.entries(value))
