"""From where the configuration says that state is kept to an open store."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from cloudsync.config.models import ENDPOINT_VARIABLES, endpoint_problem
from cloudsync.model.state_url import StatePlace, StateUrl
from cloudsync.provider.settings import SecretError
from cloudsync.state.store.bucket import BucketStore
from cloudsync.state.store.contract import Changed, Store, StoreError, StoreRefused
from cloudsync.state.store.folder import FolderStore

if TYPE_CHECKING:
    from obstore.store import ObjectStore

PROOF = "conditional-writes.json"
"""Holds that the store was seen to refuse a write over another version than it has."""
_PROOF_AGE = timedelta(days=1)
_REQUEST_SECONDS = 15
_CONNECT_SECONDS = 5


def open_store(place: StatePlace) -> Store:
    """The store; nothing is asked of it yet. Raises `StoreError`."""
    if isinstance(place, Path):
        return FolderStore(place)
    return _opened(place)


@lru_cache(maxsize=8)
def _opened(place: StateUrl) -> Store:
    store = BucketStore(_client(place, os.environ), place.url)
    return replace(store, bare_tags=_bare_tags(store, place))


def proved(place: StateUrl) -> Store:
    """The store, seen to do conditional writes: once a day with five requests, else by what an
    earlier run left. Raises `StoreError` for one that cannot."""
    _opened.cache_clear()  # credentials may be others by now
    store = BucketStore(_client(place, os.environ), place.url)
    proof = _proof(store, place)
    if proof is None or datetime.now(UTC) - proof[0] > _PROOF_AGE:
        _keep(store, place, bare=_prove(store))
    return _opened(place)


def check_conditional(place: StatePlace, name: str, data: bytes) -> None:
    """See the store refuse to create the object `name` again, which was just written as `data`:
    for a machine that may write nothing else. Not asked if a run has proved the store. Raises
    `StoreError`."""
    if isinstance(place, Path) or _is_proved(place):
        return
    store = _opened(place)
    if _accepts(store, name, data, None):
        raise StoreError(
            f"{place.url} does not do conditional writes (an object was created twice), so two "
            "machines could undo each other. Publish into another store, or a folder"
        )


@lru_cache(maxsize=8)
def _is_proved(place: StateUrl) -> bool:
    try:
        return _proof(BucketStore(_client(place, os.environ), place.url), place) is not None
    except StoreRefused:
        return False


def endpoint_of(place: StateUrl, environ: Mapping[str, str]) -> str | None:
    """Where the store answers: as the configuration says, else as the SDKs' variables do. Raises
    `StoreError` for plain http to another machine."""
    endpoint = place.endpoint
    if endpoint is None and place.url.startswith("s3://"):
        endpoint = next(filter(None, map(environ.get, ENDPOINT_VARIABLES)), None)
    if endpoint is not None and (problem := endpoint_problem(endpoint)) is not None:
        raise StoreError(f"the endpoint of {place.url} {problem}")
    return None if endpoint is None else endpoint.rstrip("/")


def _client(place: StateUrl, environ: Mapping[str, str]) -> ObjectStore:
    try:
        import obstore
    except ImportError:
        raise StoreError(
            f"state in {place.url} needs the package obstore: install cloudsync-firewall[store]"
        ) from None
    from obstore.store import AzureStore, GCSStore, S3Store

    endpoint = endpoint_of(place, environ)
    parts = urlsplit(place.url)
    prefix = parts.path.strip("/") or None
    common: dict[str, Any] = {
        "prefix": prefix,
        "client_options": {
            "timeout": f"{_REQUEST_SECONDS}s",
            "connect_timeout": f"{_CONNECT_SECONDS}s",
            "allow_http": endpoint is not None and endpoint.startswith("http:"),
            "user_agent": "cloudsync",
        },
        "retry_config": {"max_retries": 0},
    }
    try:
        if parts.scheme == "s3":
            return S3Store(parts.netloc, **common, **_s3(place, endpoint, environ))
        if parts.scheme == "gs":
            common["config"] = {} if endpoint is None else {"base_url": endpoint}
            return GCSStore(parts.netloc, **common)
        common["config"] = {} if endpoint is None else {"endpoint": endpoint}
        return AzureStore(parts.netloc, **common)
    except (obstore.exceptions.BaseError, ValueError, OSError):
        raise StoreError(f"{place.url} cannot be opened: are its credentials set?") from None


def _s3(place: StateUrl, endpoint: str | None, environ: Mapping[str, str]) -> dict[str, Any]:
    region = place.region or environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION")
    if region is None and endpoint is None:
        raise StoreError(f"the region of {place.url} is not known: set region, or AWS_REGION")
    values: dict[str, Any] = {"region": region or "us-east-1", "conditional_put": "etag"}
    if endpoint is not None:
        values["endpoint"] = endpoint
    try:
        if place.access_key_id is not None and place.secret_access_key is not None:
            values["access_key_id"] = place.access_key_id.resolve(place.base).get_secret_value()
            values["secret_access_key"] = place.secret_access_key.resolve(
                place.base
            ).get_secret_value()
    except SecretError as error:
        raise StoreError(f"the credentials of {place.url}: {error}") from None
    return values


def _bare_tags(store: BucketStore, place: StateUrl) -> bool:
    """A machine that only publishes may not read it; the store finds out by itself then."""
    try:
        proof = _proof(store, place)
    except StoreRefused:
        return False
    return proof is not None and proof[1]


def _proof(store: BucketStore, place: StateUrl) -> tuple[datetime, bool] | None:
    """When this very store was last seen to do conditional writes, and how it wants tags."""
    if (stored := store.get(PROOF)) is None:
        return None
    try:
        value = json.loads(stored.data)
        if value["url"] != place.url or value["endpoint"] != endpoint_of(place, os.environ):
            return None
        moment = datetime.fromisoformat(value["seen"])
        if moment.tzinfo is None or moment > datetime.now(UTC) + _PROOF_AGE:
            return None
        return moment, value["bare_tags"] is True
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


def _prove(store: BucketStore) -> bool:
    """See the store refuse what it must and accept what it may; whether it wants bare tags. Raises
    `StoreError`."""
    name = f"conditional-writes-{secrets.token_hex(8)}.json"
    try:
        if not _accepts(store, name, b"1", None):
            raise StoreError(f"{store.where(name)} could not be written", temporary=True)
        if _accepts(store, name, b"2", None):
            raise _refusal(store, "an object was created twice")
        stored = store.get(name)
        if stored is None:
            raise StoreError(f"{store.where(name)} was written, and cannot be read", temporary=True)
        for bare in (False, True):
            trial = replace(store, bare_tags=bare)
            if _accepts(trial, name, b"3", stored.version):
                if _accepts(trial, name, b"4", stored.version):
                    raise _refusal(store, "a write over an older version was accepted")
                return bare
        raise _refusal(store, "a write over the version that is there was refused")
    finally:
        store.delete(name)


def _accepts(store: Store, name: str, data: bytes, over: str | None) -> bool:
    try:
        store.put(name, data, over)
    except Changed:
        return False
    return True


def _refusal(store: BucketStore, what: str) -> StoreError:
    return StoreError(
        f"{store.url} does not do conditional writes ({what}), so two runs could undo each other; "
        "nothing was changed. Keep state in another store, or in a folder"
    )


def _keep(store: BucketStore, place: StateUrl, *, bare: bool) -> None:
    value = {
        "url": place.url,
        "endpoint": endpoint_of(place, os.environ),
        "bare_tags": bare,
        "seen": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    stored = store.get(PROOF)
    trial = replace(store, bare_tags=bare)
    try:
        trial.put(PROOF, json.dumps(value).encode(), None if stored is None else stored.version)
    except Changed:
        return  # another run proved it at the same moment
