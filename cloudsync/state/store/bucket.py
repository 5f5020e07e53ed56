"""A store in a bucket of an object store: Amazon S3 and what speaks like it, Google Cloud Storage,
Azure.

The wire is obstore's (the `object_store` crate). What is ours is what an answer means:

| the store answers                   | then                                                       |
|-------------------------------------|------------------------------------------------------------|
| that there is no such object        | it is absent; only in these words: any other 404 (no such  |
|                                     | bucket, a web server that is no store) is a failure        |
| 412, or 409, or that it exists      | `Changed`                                                  |
| 5xx, 429, nothing at all, to a read | asked again, a few times                                   |
| the same, to a write                | its fate is unknown: the object is read, and if it carries |
|                                     | the number of this very write, it was done                 |
"""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Callable
from dataclasses import field, replace
from typing import TYPE_CHECKING, TypeVar

from cloudsync.rules.frozen import dataclass
from cloudsync.state.store.contract import Changed, Entry, Stored, StoreError, StoreRefused

if TYPE_CHECKING:
    from obstore.store import ObjectStore

log = logging.getLogger("cloudsync.state")
T = TypeVar("T")
_WRITE = "cloudsyncwrite"
"""The attribute that holds the number of the write that made an object."""
MOST_BYTES = 16 * 1024 * 1024
_PAUSES = (0.2, 0.8, 2.0)
"""Seconds before each further try."""
_ABSENT = ("NoSuchKey", "BlobNotFound", "The specified blob does not exist")
"""The stores' words for an object that is not there, in a bucket that is. Azure's last ones are to
those who remove it."""


@dataclass(frozen=True, slots=True)
class BucketStore:
    """Objects of one bucket below a prefix."""

    client: ObjectStore = field(repr=False)  # obstore panics when an account is in a variable
    """Opened at the prefix, without retries of its own."""
    url: str
    """`s3://bucket/prefix`, for people."""
    bare_tags: bool = False
    """`If-Match` carries the tag without its quotes: Ceph before its version 18 compares it with
    the bare one."""
    pause: Callable[[float], object] = time.sleep
    """Waits so many seconds between attempts."""

    def where(self, name: str) -> str:
        """The object's URL."""
        return f"{self.url.rstrip('/')}/{name}"

    def get(self, name: str) -> Stored | None:
        """The object; None only if the store says so. Raises `StoreError`."""
        return self._read(name)[0]

    def _read(self, name: str) -> tuple[Stored | None, str | None]:
        """The object, and the number of the write that made it."""
        import obstore

        def read() -> tuple[Stored | None, str | None]:
            try:
                answer = obstore.get(self.client, name)
                if answer.meta["size"] > MOST_BYTES:
                    size = answer.meta["size"]
                    raise StoreError(f"{self.where(name)} is too large: {size} bytes")
                data = bytes(answer.bytes())
            except FileNotFoundError as error:
                if any(word in str(error) for word in _ABSENT):
                    return None, None
                raise
            version = _joined(answer.meta["e_tag"] or "", answer.meta.get("version"))
            write = answer.attributes.get(_WRITE)
            return Stored(data, version, answer.meta["last_modified"]), write

        return self._asked("read", name, read)

    def put(self, name: str, data: bytes, over: str | None) -> str:
        """Write it over the version `over`. Raises `Changed` and `StoreError`."""
        if len(data) > MOST_BYTES:
            raise StoreError(
                f"{self.where(name)} would become too large: at most {MOST_BYTES} bytes"
            )
        from obstore.exceptions import BaseError

        write = secrets.token_hex(8)
        for pause in (*_PAUSES, None):
            problem: StoreError | None = None
            try:
                return self._put(name, data, over, write)
            except Changed:
                pass  # perhaps by an earlier try of this very write, and perhaps the store is wrong
            except (BaseError, OSError) as error:
                problem = self._problem("written", name, error)
                if not problem.temporary:
                    raise problem from None
            stored, written_by = self._read(name)
            if stored is not None and written_by == write:
                return stored.version
            if (None if stored is None else stored.version) != over:
                raise Changed(name)
            if problem is None and over is not None and not self.bare_tags:
                return replace(self, bare_tags=True).put(name, data, over)
            if pause is None:
                raise Changed(name) if problem is None else problem
            self.pause(pause)
        raise AssertionError("not reached")

    def _put(self, name: str, data: bytes, over: str | None, write: str) -> str:
        import obstore
        from obstore.exceptions import AlreadyExistsError, PreconditionError

        mode = "create" if over is None else self._condition(over)
        try:
            answer = obstore.put(
                self.client,
                name,
                data,
                attributes={_WRITE: write},
                mode=mode,  # type: ignore[arg-type] # its types want both keys
                use_multipart=False,
            )
        except (AlreadyExistsError, PreconditionError):
            raise Changed(name) from None
        except FileNotFoundError as error:
            if over is not None and any(word in str(error) for word in _ABSENT):
                raise Changed(name) from None  # AWS: If-Match of an object that is gone
            raise
        tag = answer["e_tag"] or ""
        return _joined(tag, answer["version"])

    def _condition(self, over: str) -> dict[str, str]:
        tag, _, version = over.partition(" ")
        condition = {"e_tag": tag if self.bare_tags else f'"{tag}"'} if tag else {}
        return condition | ({"version": version} if version else {})

    def delete(self, name: str) -> None:
        """Remove the object. Raises `StoreError`."""
        import obstore

        def remove() -> None:
            try:
                obstore.delete(self.client, name)
            except FileNotFoundError as error:
                if not any(word in str(error) for word in _ABSENT):
                    raise

        self._asked("removed", name, remove)

    def list(self, prefix: str) -> list[Entry]:
        """Everything whose name begins with `prefix`. Raises `StoreError`."""
        import obstore

        folder, _, beginning = prefix.rpartition("/")

        def listed() -> list[Entry]:
            pages = obstore.list(self.client, folder or None)
            return sorted(
                (
                    Entry(
                        meta["path"],
                        _joined(meta["e_tag"] or "", meta.get("version")),
                        meta["last_modified"],
                    )
                    for page in pages
                    for meta in page
                    if meta["path"].removeprefix(f"{folder}/").startswith(beginning)
                ),
                key=lambda entry: entry.name,
            )

        return self._asked("listed", prefix, listed)

    def _asked(self, done: str, name: str, ask: Callable[[], T]) -> T:
        """The answer to a question that may be asked again. Raises `StoreError`."""
        from obstore.exceptions import BaseError

        for pause in (*_PAUSES, None):
            try:
                return ask()
            except (BaseError, OSError) as error:
                problem = self._problem(done, name, error)
                if not problem.temporary or pause is None:
                    raise problem from None
                log.debug("%s; asking again", problem)
                self.pause(pause)
        raise AssertionError("not reached")

    def _problem(self, done: str, name: str, error: Exception) -> StoreError:
        """What an exception of obstore means."""
        from obstore.exceptions import BaseError, PermissionDeniedError, UnauthenticatedError

        what = f"{self.where(name)} cannot be {done}"
        refused = any(f"status code: {code}" in str(error) for code in (401, 403))
        if refused or isinstance(error, PermissionDeniedError | UnauthenticatedError):
            return StoreRefused(f"{what}: the store refuses the credentials, or what they may do")
        if isinstance(error, FileNotFoundError):
            return StoreError(f"{what}: there is no such bucket, or no object store answers there")
        if isinstance(error, BaseError):
            return StoreError(f"{what}: {_in_words(str(error))}", temporary=True)
        return StoreError(f"{what}: {type(error).__name__}", temporary=True)


def _joined(tag: str, version: str | None) -> str:
    """The version in one spelling: Azure's lists leave the quotes of a tag out."""
    tag = tag.strip('"')
    return f"{tag} {version}" if version else tag


def _in_words(message: str) -> str:
    """The first line of an error of obstore, without the request's address and the answer's
    body."""
    line = message.partition("\n")[0]
    for mark in ("status code: ", "HTTP error: "):
        if mark in line:
            return (
                f"the store answered {line.partition(mark)[2].partition(': ')[0]}"[:200]
                if (mark == "status code: ")
                else "the store did not answer"
            )
    return "the store did not answer as it must"
