"""The last good answers of the networks that move: what is used while they cannot be read.

Only an apply writes it. A file that is damaged is like none: then a network that cannot be read has
no answer at all, which is more careful.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from functools import partial
from typing import Any

from cloudsync.model.memory import NetworkMemory
from cloudsync.model.state_url import StatePlace
from cloudsync.rules.networks import NetworkSet
from cloudsync.runtime.clock import instant
from cloudsync.state.documents import documents, update_all
from cloudsync.state.recollection import Kind


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
        for document, names in documents(state, owner, _KIND.name, known)
    ]
    update_all(changes, "nothing was changed")


def _merged(
    where: str, fresh: Mapping[str, NetworkMemory], known: Collection[str], raw: bytes | None
) -> bytes | None:
    before = _KIND.opened(raw, where)
    after = {name: entry for name, entry in before.entries.items() if name in known} | dict(fresh)
    if after == before.entries and before.damaged is None:
        return None
    value = {
        "version": _KIND.version,
        "networks": {name: _written(entry) for name, entry in sorted(after.items())},
    }
    return (json.dumps(value, indent=1) + "\n").encode()


def _written(entry: NetworkMemory) -> dict[str, Any]:
    return {
        "origin": entry.origin,
        "read": entry.read.isoformat(timespec="seconds"),
        "networks": list(entry.networks.cidrs()),
    }


def _read(value: Mapping[str, Any]) -> NetworkMemory:
    read = instant(value["read"])
    networks = NetworkSet.of(value["networks"])
    if not networks:
        raise ValueError("no network")
    return NetworkMemory(str(value["origin"]), networks, read)


def _entries(value: Any) -> dict[str, NetworkMemory]:
    return {str(name): _read(entry) for name, entry in value["networks"].items()}


_KIND = Kind("networks.json", 1, _entries)
load = _KIND.load
