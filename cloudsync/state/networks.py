"""The last good answers of the networks that move: what is used while they cannot be read.

Only an apply writes it. A file that is damaged is like none: then a network that cannot be read has
no answer at all, which is more careful.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any

from cloudsync.model.memory import NetworkMemory
from cloudsync.model.state_url import StatePlace
from cloudsync.rules.networks import NetworkSet
from cloudsync.state import StateError
from cloudsync.state.documents import documents, documents_of, read_all, update_all
from cloudsync.state.store.contract import StoreError

_VERSION = 1
_KIND = "networks.json"


@dataclass(frozen=True, slots=True)
class Answers:
    """What applies remember."""

    networks: Mapping[str, NetworkMemory] = field(default_factory=dict)
    """By name."""
    damaged: str | None = None
    """Why the file, which is there, could not be read."""


def load(state: StatePlace, owner: str, names: Iterable[str] | None = None) -> Answers:
    """What is remembered. `names`: the networks that matter; None for all. Raises `StateError` for
    a document of a newer cloudsync, or if the store cannot be read."""
    try:
        read = read_all(documents_of(state, owner, _KIND, names))
    except StoreError:
        raise
    except StateError as error:
        return Answers(damaged=str(error))
    answers = [_answers(raw, document.where) for document, raw in read]
    networks = {name: entry for answer in answers for name, entry in answer.networks.items()}
    damaged = [answer.damaged for answer in answers if answer.damaged is not None]
    return Answers(networks, damaged[0] if damaged else None)


def remember(
    state: StatePlace, owner: str, fresh: Mapping[str, NetworkMemory], known: Collection[str]
) -> None:
    """Take in the answers of a run; those of networks that are not `known` (by the configuration)
    any more are forgotten. Written only where it differs. Raises `StateError`."""
    changes = [
        (
            document,
            partial(
                _merged,
                document.where,
                {name: fresh[name] for name in names if name in fresh},
                known,
            ),
        )
        for document, names in documents(state, owner, _KIND, known)
    ]
    update_all(changes, "nothing was changed")


def _merged(
    where: str, fresh: Mapping[str, NetworkMemory], known: Collection[str], raw: bytes | None
) -> bytes | None:
    loaded = _answers(raw, where)
    after = {name: entry for name, entry in loaded.networks.items() if name in known} | dict(fresh)
    if after == loaded.networks and loaded.damaged is None:
        return None
    value = {
        "version": _VERSION,
        "networks": {name: _written(entry) for name, entry in sorted(after.items())},
    }
    return (json.dumps(value, indent=1) + "\n").encode()


def _answers(raw: bytes | None, where: str) -> Answers:
    if raw is None:
        return Answers()
    try:
        value = json.loads(raw)
        version = value["version"]
        if isinstance(version, int) and version > _VERSION:
            raise StateError(
                f"the state file {where} is of version {version}, which this cloudsync does "
                "not know"
            )
        return Answers({str(name): _read(entry) for name, entry in value["networks"].items()})
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError):
        return Answers(damaged=f"{where} is damaged")


def _written(entry: NetworkMemory) -> dict[str, Any]:
    return {
        "origin": entry.origin,
        "read": entry.read.isoformat(timespec="seconds"),
        "networks": list(entry.networks.cidrs()),
    }


def _read(value: Mapping[str, Any]) -> NetworkMemory:
    read = datetime.fromisoformat(value["read"])
    if read.tzinfo is None:
        raise ValueError("a moment without its zone")
    networks = NetworkSet.of(value["networks"])
    if not networks:
        raise ValueError("no network")
    return NetworkMemory(str(value["origin"]), networks, read.astimezone(UTC))
