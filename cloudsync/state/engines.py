"""What applies remember of hosts: which engine answered under its name, and since when it is not
known completely.

Only an apply writes it. It makes a plan more careful, never bolder: a lost file means that the
engine is met as if for the first time.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from cloudsync.model.memory import EngineMemory, Remembered
from cloudsync.model.ports import Complete, Discovery, Failed
from cloudsync.model.state_url import StatePlace
from cloudsync.runtime.clock import instant
from cloudsync.state import StateError
from cloudsync.state.documents import (
    documents,
    documents_of,
    names_kept,
    read_all,
    update_all,
    where_documents_are,
)

_KIND = "engines.json"
_VERSION = 1


def recall(state: StatePlace, owner: str, names: Iterable[str] | None = None) -> EngineMemory:
    """What is remembered, to be handed to the sources. Raises `StateError` as `remembered` does."""
    return EngineMemory(remembered(state, owner, names), where_documents_are(state, owner, _KIND))


def path_of(state: StatePlace, owner: str) -> Path:
    """The file, for messages too; of a bucket what the objects' URLs begin with."""
    return Path(where_documents_are(state, owner, _KIND))


def remembered(
    state: StatePlace, owner: str, names: Iterable[str] | None = None
) -> dict[str, Remembered]:
    """By host. `names`: the hosts that matter; None for all. Raises `StateError` for a document
    that is there and cannot be read: a check that silently forgets is none."""
    hosts: dict[str, Remembered] = {}
    for document, raw in read_all(documents_of(state, owner, _KIND, names)):
        hosts |= _read(raw, document.where)
    return hosts


def hosts_remembered(state: StatePlace, owner: str) -> list[str]:
    """The names of all hosts that anything is remembered of. Raises `StateError`."""
    if isinstance(state, Path):
        return sorted(remembered(state, owner))
    return names_kept(state, owner, _KIND)


def remember(
    state: StatePlace,
    owner: str,
    discoveries: Mapping[str, Discovery],
    now: datetime,
    known: Mapping[str, Remembered] | None = None,
) -> None:
    """Take in what an apply met; written only where it differs. A known id is never replaced here.
    `known`: what the same run has recalled; hosts that add nothing to it are not looked at again.
    Raises `StateError`."""
    if known is not None:
        discoveries = {
            host: discovery
            for host, discovery in discoveries.items()
            if host not in known or _taken_in(known[host], discovery, now) != known[host]
        }
    changes = [
        (
            document,
            partial(_merged, document.where, {name: discoveries[name] for name in names}, now),
        )
        for document, names in documents(state, owner, _KIND, discoveries)
    ]
    update_all(changes, "nothing was changed")


def _merged(
    where: str, discoveries: Mapping[str, Discovery], now: datetime, raw: bytes | None
) -> bytes | None:
    before = _read(raw, where)
    after = before | {
        host: _taken_in(before.get(host, Remembered()), discovery, now)
        for host, discovery in discoveries.items()
    }
    if after == before:
        return None
    hosts = {host: _written(known) for host, known in after.items()}
    value = {"version": _VERSION, "hosts": hosts}
    return (json.dumps(value, indent=1, sort_keys=True) + "\n").encode()


def _read(raw: bytes | None, where: str) -> dict[str, Remembered]:
    if raw is None:
        return {}
    try:
        value = json.loads(raw)
        if value["version"] != _VERSION:
            raise StateError(
                f"the state file {where} is of version {value['version']!r}, "
                "which this cloudsync does not know"
            )
        return {str(name): _host(host) for name, host in value["hosts"].items()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        message = (
            "is damaged; if every host still has its own engine, remove it, "
            "and the next apply writes it again"
        )
        raise StateError(f"the state file {where} {message}") from None


def _taken_in(known: Remembered, discovery: Discovery, now: datetime) -> Remembered:
    answered = (
        {}
        if isinstance(discovery, Failed)
        else {engine.engine: engine.id for engine in discovery.engines}
    )
    since = None if isinstance(discovery, Complete) else known.unknown_since or now.astimezone(UTC)
    down = isinstance(discovery, Failed)
    if isinstance(discovery, Failed) and discovery.skipped:
        down = known.down
    read = 0 if isinstance(discovery, Failed) else discovery.sequence
    sequence = max(known.sequence, read)
    return Remembered({**answered, **known.engines}, since, down, sequence)


def _written(host: Remembered) -> dict[str, object]:
    value: dict[str, object] = {"engines": dict(host.engines)}
    if host.unknown_since is not None:
        value["unknown_since"] = host.unknown_since.isoformat(timespec="seconds")
    if host.sequence:
        value["sequence"] = host.sequence
    return value | ({"down": True} if host.down else {})


def _host(value: Mapping[str, object]) -> Remembered:
    engines, since = value["engines"], value.get("unknown_since")
    if not isinstance(engines, dict):
        raise TypeError
    moment = None if since is None else instant(str(since))
    return Remembered(
        {str(engine): str(id_) for engine, id_ in engines.items()},
        moment,
        value.get("down") is True,
        sequence if isinstance(sequence := value.get("sequence", 0), int) else 0,
    )
