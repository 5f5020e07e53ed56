"""What applies remember of hosts: which engine answered under its name, and since when it is not
known completely.

Only an apply writes it. It makes a plan more careful, never bolder: a lost file means that the
engine is met as if for the first time.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from cloudsync.model.memory import EngineMemory, Remembered
from cloudsync.model.ports import Complete, Discovery, Failed
from cloudsync.state import StateError
from cloudsync.state.directory import StateFile

_VERSION = 1


def recall(state: Path, owner: str) -> EngineMemory:
    """Everything remembered, to be handed to the sources. Raises `StateError` as `remembered`
    does."""
    return EngineMemory(remembered(state, owner), str(path_of(state, owner)))


def path_of(state: Path, owner: str) -> Path:
    """The file, for messages too."""
    return StateFile.of(state, owner, "engines.json").path


def remembered(state: Path, owner: str) -> dict[str, Remembered]:
    """By host. Raises `StateError` for a file that is there and cannot be read: a check that
    silently forgets is none."""
    file = StateFile.of(state, owner, "engines.json")
    path = file.path
    if (raw := file.read()) is None:
        return {}
    try:
        value = json.loads(raw)
        if value["version"] != _VERSION:
            raise StateError(
                f"the state file {path} is of version {value['version']!r}, which this cloudsync does not know"
            )
        return {str(name): _host(host) for name, host in value["hosts"].items()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        message = "is damaged; if every host still has its own engine, remove it, and the next apply writes it again"
        raise StateError(f"the state file {path} {message}") from None


def remember(state: Path, owner: str, discoveries: Mapping[str, Discovery], now: datetime) -> None:
    """Take in what an apply met; written only where it differs. A known id is never replaced here.
    Raises `StateError`."""
    before = remembered(state, owner)
    after = before | {
        host: _taken_in(before.get(host, Remembered()), discovery, now)
        for host, discovery in discoveries.items()
    }
    if after == before:
        return
    hosts = {host: _written(known) for host, known in after.items()}
    StateFile.of(state, owner, "engines.json").write(
        (
            json.dumps({"version": _VERSION, "hosts": hosts}, indent=1, sort_keys=True) + "\n"
        ).encode()
    )


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
    return Remembered({**answered, **known.engines}, since, down)


def _written(host: Remembered) -> dict[str, object]:
    value: dict[str, object] = {"engines": dict(host.engines)}
    if host.unknown_since is not None:
        value["unknown_since"] = host.unknown_since.isoformat(timespec="seconds")
    return value | ({"down": True} if host.down else {})


def _host(value: Mapping[str, object]) -> Remembered:
    engines, since = value["engines"], value.get("unknown_since")
    if not isinstance(engines, dict):
        raise TypeError
    moment = None if since is None else datetime.fromisoformat(str(since)).astimezone(UTC)
    return Remembered(
        {str(engine): str(id_) for engine, id_ in engines.items()},
        moment,
        value.get("down") is True,
    )
