"""The configuration with its networks that move as they are now, or as they were when they could
last be read.

| the network                                               | then                                |
|-----------------------------------------------------------|-------------------------------------|
| was read within its `refresh`                             | the remembered answer is used       |
| can be read                                               | that is its answer                  |
| cannot, and an apply remembers an answer                  | that is used; it is unknown (law 1) |
| cannot, and there never was an answer from the same place | it has no address; it is unknown    |
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from cloudsync.config.configuration import Configuration, MovingNetwork
from cloudsync.config.networks import with_networks
from cloudsync.model.memory import NetworkMemory
from cloudsync.model.plan import NetworkReading, ReadStatus
from cloudsync.provider.contract import Progress, silent
from cloudsync.rules.frozen import dataclass
from cloudsync.rules.networks import NOWHERE, NetworkSet
from cloudsync.sources.networks import NetworkUnread, read_networks
from cloudsync.state import networks as state


@dataclass(frozen=True, slots=True)
class Resolved:
    """A configuration whose networks were read."""

    configuration: Configuration
    readings: tuple[NetworkReading, ...] = ()
    """Each network that moves, in the order of the configuration."""
    notes: tuple[str, ...] = ()
    """What a person should know."""


def resolved(configuration: Configuration, until: float, progress: Progress = silent) -> Resolved:
    """Read the networks that move. `until`: when reading must be over, `time.monotonic()`. Raises
    `StateError` for a state of a newer cloudsync."""
    moving = configuration.moving
    if not moving:
        return Resolved(configuration)
    loaded = state.load(configuration.state, configuration.owner, moving)
    now = datetime.now(UTC)
    memories = {
        name: memory
        for name, network in moving.items()
        if (memory := loaded.entries.get(name)) is not None and memory.origin == origin_of(network)
    }
    due = [network for name, network in moving.items() if _is_due(network, memories.get(name), now)]
    if due:
        progress(f"reading {', '.join(f'@{network.name}' for network in due)}")
    until = min(until, time.monotonic() + configuration.run.host_timeout)
    answers = read_networks(due, configuration.base, until)
    readings = tuple(
        _reading(network, answers.get(name), memories.get(name), now)
        for name, network in moving.items()
    )
    unread = {
        reading.name: reading.status.reason or ""
        for reading in readings
        if reading.status.status != "complete"
    }
    networks = {reading.name: reading.networks for reading in readings}
    notes = (
        (f"{loaded.damaged}: the last answers of [networks] are lost; the next apply rewrites it",)
        if loaded.damaged is not None
        else ()
    )
    return Resolved(with_networks(configuration, networks, unread), readings, notes)


def remember(configuration: Configuration, readings: tuple[NetworkReading, ...]) -> None:
    """Keep the good answers for runs that get none. Raises `StateError`."""
    if not configuration.moving:
        return
    fresh: Mapping[str, NetworkMemory] = {
        reading.name: NetworkMemory(
            origin_of(configuration.moving[reading.name]), reading.networks, reading.read
        )
        for reading in readings
        if reading.status.status == "complete" and reading.read is not None
    }
    state.remember(configuration.state, configuration.owner, fresh, configuration.moving)


def origin_of(network: MovingNetwork) -> str:
    """Where its answers come from, as the state holds it: a digest, since an address may have a
    secret in its query."""
    written = json.dumps([network.kind, *network.origins])
    return hashlib.sha256(written.encode()).hexdigest()[:16]


def _is_due(network: MovingNetwork, memory: NetworkMemory | None, now: datetime) -> bool:
    """A clock that was set back makes it due too."""
    if memory is None:
        return True
    return not timedelta() <= now - memory.read < timedelta(seconds=network.refresh)


def _reading(
    network: MovingNetwork,
    answer: NetworkSet | NetworkUnread | None,
    memory: NetworkMemory | None,
    now: datetime,
) -> NetworkReading:
    """`answer`: None if it was not due."""
    complete = ReadStatus("complete")
    if isinstance(answer, NetworkSet):
        return NetworkReading(network.name, network.source, complete, answer, now)
    networks, read = (NOWHERE, None) if memory is None else (memory.networks, memory.read)
    status = (
        complete
        if answer is None
        else ReadStatus("failed", answer.reason, temporary=answer.temporary)
    )
    return NetworkReading(network.name, network.source, status, networks, read)
