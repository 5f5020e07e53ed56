"""The last good answers of the networks that move: what is used while they cannot be read.

Only an apply writes it. A file that is damaged is like none: then a network that cannot be read has
no answer at all, which is more careful.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cloudsync.model.memory import NetworkMemory
from cloudsync.rules.networks import NetworkSet
from cloudsync.state import StateError
from cloudsync.state.directory import StateFile

_VERSION = 1
_KIND = "networks.json"


@dataclass(frozen=True, slots=True)
class Answers:
    """What applies remember."""

    networks: Mapping[str, NetworkMemory] = field(default_factory=dict)
    """By name."""
    damaged: str | None = None
    """Why the file, which is there, could not be read."""


def load(state: Path, owner: str) -> Answers:
    """All of it. Raises `StateError` for a file of a newer cloudsync."""
    file = StateFile.of(state, owner, _KIND)
    try:
        if (raw := file.read()) is None:
            return Answers()
    except StateError as error:
        return Answers(damaged=str(error))
    try:
        value = json.loads(raw)
        version = value["version"]
        if isinstance(version, int) and version > _VERSION:
            raise StateError(
                f"the state file {file.path} is of version {version}, which this cloudsync does "
                "not know"
            )
        return Answers({str(name): _read(entry) for name, entry in value["networks"].items()})
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError):
        return Answers(damaged=f"{file.path} is damaged")


def remember(
    state: Path, owner: str, fresh: Mapping[str, NetworkMemory], known: Iterable[str]
) -> None:
    """Take in the answers of a run; those of networks that are not `known` (by the configuration)
    any more are forgotten. Written only where it differs. Raises `StateError`."""
    loaded = load(state, owner)
    names = set(known)
    after = {name: entry for name, entry in loaded.networks.items() if name in names} | dict(fresh)
    if after == loaded.networks and loaded.damaged is None:
        return
    value = {
        "version": _VERSION,
        "networks": {name: _written(entry) for name, entry in sorted(after.items())},
    }
    StateFile.of(state, owner, _KIND).write((json.dumps(value, indent=1) + "\n").encode())


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
