"""The documents of the state, wherever it is kept: read whole, changed by a merge.

| kept in        | documents of firewalls and hosts            | those of a whole run       |
|----------------|---------------------------------------------|----------------------------|
| a folder       | one file for all: `OWNER.seen.json`         | `OWNER.report.json`        |
| a bucket       | an object each: `OWNER/seen/FIREWALL.json`  | `OWNER/report/SHARD.json`  |

A merge is over what was read, under a short lock or over its version: two runs at once never lose
each other's entries. Every object carries the fence of its writer, and one with an older fence is
refused: a run that was frozen past its lease writes nothing any more.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Protocol

from cloudsync.model.state_url import Fence, StatePlace, StateUrl
from cloudsync.rules.frozen import dataclass
from cloudsync.runtime.pools import side_by_side
from cloudsync.state import StateError
from cloudsync.state.directory import StateFile, open_own
from cloudsync.state.store.contract import Store, update

_AT_ONCE = 16
Change = Callable[[bytes | None], bytes | None]
"""What is there (None: nothing) to what is to be there (None: leave it as it is)."""


class Document(Protocol):
    """One document: JSON text."""

    @property
    def where(self) -> str:
        """Its path or URL, for messages."""
        ...

    def read(self) -> bytes | None:
        """All of it; None if there is none. Raises `StateError`."""
        ...

    def update(self, change: Change, consequence: str = "nothing was changed") -> None:
        """Change it over what is there. `consequence`: what it means if that fails. Raises
        `StateError`."""
        ...


@dataclass(frozen=True, slots=True)
class FileDocument:
    """A file of the state directory."""

    file: StateFile
    """What is read and written."""
    lock: Path
    """The file that is locked meanwhile."""

    @property
    def where(self) -> str:
        return str(self.file.path)

    def read(self) -> bytes | None:
        return self.file.read()

    def update(self, change: Change, consequence: str = "nothing was changed") -> None:
        try:
            handle = open_own(self.lock, os.O_RDWR)
        except OSError as error:
            raise StateError(
                f"the lock {self.lock} cannot be opened: {error.strerror}; {consequence}"
            ) from None
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            data = change(self.file.read())
            if data is not None:
                self.file.write(data, consequence)
        except OSError as error:
            raise StateError(
                f"the lock {self.lock} cannot be taken: {error.strerror}; {consequence}"
            ) from None
        finally:
            os.close(handle)


@dataclass(frozen=True, slots=True)
class ObjectDocument:
    """An object of a bucket: the document, and the fence of who wrote it."""

    store: Store
    """Where it lies."""
    name: str
    """Of the object."""
    fence: Fence | None
    """None: nobody else may write meanwhile."""

    @property
    def where(self) -> str:
        return self.store.where(self.name)

    def read(self) -> bytes | None:
        stored = self.store.get(self.name)
        return None if stored is None else self._opened(stored.data)[1]

    def update(self, change: Change, consequence: str = "nothing was changed") -> None:
        def fenced(raw: bytes | None) -> bytes | None:
            fence, before = (None, None) if raw is None else self._opened(raw)
            self._refuse_if_outdated(fence, consequence)
            data = change(before)
            return None if data is None or data == before else self._closed(data)

        update(self.store, self.name, fenced)

    def _refuse_if_outdated(self, written: tuple[str, int, int] | None, consequence: str) -> None:
        if self.fence is None:
            return
        if (why := self.fence.lost) is not None:
            raise StateError(f"{self.where} is not written: {why}; {consequence}", temporary=True)
        if written is None:
            return
        unit, *number = written
        mine = self.fence.number
        if (unit == self.fence.unit and tuple(number) > mine) or number[0] > mine[0]:
            raise StateError(
                f"{self.where} is not written: another controller took over; {consequence}",
                temporary=True,
            )

    def _closed(self, data: bytes) -> bytes:
        value = {
            "fence": None if self.fence is None else [self.fence.unit, *self.fence.number],
            "value": json.loads(data),
        }
        return (json.dumps(value, indent=1) + "\n").encode()

    def _opened(self, raw: bytes) -> tuple[tuple[str, int, int] | None, bytes]:
        try:
            value = json.loads(raw)
            fence = value["fence"]
            if fence is not None:
                unit, epoch, number = fence
                fence = (str(unit), int(epoch), int(number))
            return fence, (json.dumps(value["value"], indent=1) + "\n").encode()
        except (ValueError, KeyError, TypeError, RecursionError):
            raise StateError(f"the state object {self.where} is damaged") from None


def document(place: StatePlace, owner: str, kind: str) -> Document:
    """The document of a whole run: `kind` of `MOST_BYTES`. Raises `StateError`."""
    if isinstance(place, Path):
        return _file(place, owner, kind)
    from cloudsync.state.store.opened import open_store

    name = f"{owner}/{kind.removesuffix('.json')}/{place.unit}.json"
    return ObjectDocument(open_store(place), name, place.fence)


def documents(
    place: StatePlace, owner: str, kind: str, names: Iterable[str]
) -> list[tuple[Document, tuple[str, ...]]]:
    """The documents that hold something of these firewalls or hosts, each with those it is about.
    Raises `StateError`."""
    if isinstance(place, Path):
        return [(_file(place, owner, kind), tuple(names))]
    from cloudsync.state.store.opened import open_store

    store = open_store(place)
    folder = f"{owner}/{kind.removesuffix('.json')}"
    return [
        (ObjectDocument(store, f"{folder}/{name}.json", place.fence), (name,))
        for name in sorted(set(names))
    ]


def documents_of(
    place: StatePlace, owner: str, kind: str, names: Iterable[str] | None
) -> list[Document]:
    """The same without what they are about; None for `names`: all that there are."""
    if names is None:
        names = () if isinstance(place, Path) else names_kept(place, owner, kind)
    return [each for each, _ in documents(place, owner, kind, names)]


def read_all(of: Iterable[Document]) -> list[tuple[Document, bytes | None]]:
    """Every document with what it holds, several at once. Raises `StateError`."""
    several = list(of)
    if len(several) <= 1:
        return [(each, each.read()) for each in several]
    with side_by_side(min(_AT_ONCE, len(several)), "state") as pool:
        return list(zip(several, pool.map(lambda each: each.read(), several), strict=True))


def update_all(changes: Iterable[tuple[Document, Change]], consequence: str) -> None:
    """Change every document, several at once. Raises `StateError` once all were tried."""
    several = list(changes)
    if len(several) <= 1:
        for each, change in several:
            each.update(change, consequence)
        return
    with side_by_side(min(_AT_ONCE, len(several)), "state") as pool:
        tries = [pool.submit(each.update, change, consequence) for each, change in several]
    for done in tries:
        done.result()


def where_documents_are(place: StatePlace, owner: str, kind: str) -> str:
    """The file, or what the objects' URLs begin with, for messages."""
    if isinstance(place, Path):
        return str(StateFile.of(place, owner, kind).path)
    return f"{place.url.rstrip('/')}/{owner}/{kind.removesuffix('.json')}/"


def names_kept(place: StateUrl, owner: str, kind: str) -> list[str]:
    """The firewalls or hosts that a bucket holds a document of. Raises `StateError`."""
    from cloudsync.state.store.opened import open_store

    folder = f"{owner}/{kind.removesuffix('.json')}/"
    entries = open_store(place).list(folder)
    return [entry.name.removeprefix(folder).removesuffix(".json") for entry in entries]


def _file(place: Path, owner: str, kind: str) -> FileDocument:
    return FileDocument(StateFile.of(place, owner, kind), place / f"{owner}.files.lock")
