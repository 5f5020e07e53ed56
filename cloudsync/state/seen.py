"""The last-seen times: what containers needed when an apply last looked, and since when it is
missed (grace).

Only what an apply knows is written, and only where it differs. A file that is not there, or cannot
be read, starts all timers anew.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from cloudsync.model.memory import Memory, Missing
from cloudsync.rules import Rule, RuleSet
from cloudsync.rules.networks import NetworkSet
from cloudsync.runtime.clock import Moment
from cloudsync.state import StateError
from cloudsync.state.directory import content, replace

_VERSION = 1
_MAX_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Seen:
    """By firewall what is remembered. `damaged`: why the file, which is there, could not be read;
    then nothing is remembered."""

    memories: Mapping[str, Memory] = field(default_factory=dict)
    damaged: str | None = None


def load(state: Path, owner: str) -> Seen:
    """What applies remembered. Raises `StateError` for a file of a newer cloudsync."""
    path = _path(state, owner)
    try:
        if (raw := content(path, _MAX_BYTES)) is None:
            return Seen()
    except StateError as error:
        return Seen(damaged=str(error))
    try:
        value = json.loads(raw)
        version = value["version"]
        if isinstance(version, int) and version > _VERSION:
            raise StateError(
                f"the state file {path} is of version {version}, which this cloudsync does not know"
            )
        return Seen({str(name): _memory(one) for name, one in value["firewalls"].items()})
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError):
        return Seen(damaged=f"{path} is damaged")


def save(state: Path, owner: str, memories: Mapping[str, Memory]) -> None:
    """Write it. Raises `StateError`."""
    path = _path(state, owner)
    value = {
        "version": _VERSION,
        "firewalls": {name: _written(one) for name, one in sorted(memories.items())},
    }
    try:
        replace(path, (json.dumps(value, indent=1) + "\n").encode())
    except OSError as error:
        raise StateError(
            f"the state file {path} cannot be written: {error.strerror}; nothing was changed"
        ) from None


def same(before: Memory | None, now: Memory) -> bool:
    """Whether writing `now` would tell nothing new: while no timer runs, the moment of the last
    look does not matter."""
    return before is not None and (before.identity, before.hosts, before.missing) == (
        now.identity,
        now.hosts,
        (),
    ) == (
        now.identity,
        now.hosts,
        now.missing,
    )


def _path(state: Path, owner: str) -> Path:
    return state / f"{owner}.seen.json"


def _written(memory: Memory) -> dict[str, Any]:
    looked = memory.looked
    return {
        "identity": memory.identity,
        "looked": {
            "wall": looked.wall.isoformat(),
            "boot": looked.boot,
            "up": looked.up,
            "machine": looked.machine,
        },
        "hosts": {host: _texts(rules) for host, rules in memory.hosts.items()},
        "missing": [
            {
                "since": one.since.isoformat(timespec="seconds"),
                "waited_seconds": round(one.waited, 3),
                "rules": _texts(one.rules),
            }
            for one in memory.missing
        ],
    }


def _memory(value: Mapping[str, Any]) -> Memory:
    looked = value["looked"]
    moment = Moment(
        _moment(looked["wall"]), str(looked["boot"]), _seconds(looked["up"]), str(looked["machine"])
    )
    return Memory(
        str(value["identity"]),
        moment,
        {str(host): _rules(rules) for host, rules in value["hosts"].items()},
        tuple(
            Missing(_rules(one["rules"]), _moment(one["since"]), _seconds(one["waited_seconds"]))
            for one in value["missing"]
        ),
    )


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("a moment without its zone")
    return moment


def _seconds(value: float) -> float:
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float)
        or not math.isfinite(value)
        or value < 0
    ):
        raise ValueError("not a number of seconds")
    return float(value)


def _texts(rules: RuleSet) -> list[dict[str, Any]]:
    return [
        {"protocol": rule.protocol, "ports": rule.ports, "sources": list(rule.sources.cidrs())}
        for rule in rules
    ]


def _rules(values: list[Mapping[str, Any]]) -> RuleSet:
    return RuleSet.of(
        Rule.of(one["protocol"], one["ports"], NetworkSet.of(one["sources"])) for one in values
    )
