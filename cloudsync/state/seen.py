"""The last-seen times: what containers needed when an apply last looked, and since when it is
missed (grace).

Only what an apply knows is written, and only where it differs. A file that is not there, or cannot
be read, starts all timers again.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from cloudsync.model.memory import Memory, Missing
from cloudsync.rules import RuleSet
from cloudsync.runtime.clock import Moment
from cloudsync.state import StateError
from cloudsync.state.directory import StateFile
from cloudsync.state.rule_table import RuleTableReader, RuleTableWriter, spelled_out

_VERSION = 2
Rules = Callable[[Any], RuleSet]


@dataclass(frozen=True, slots=True)
class Seen:
    """By firewall what is remembered. `damaged`: why the file, which is there, could not be read;
    then nothing is remembered."""

    memories: Mapping[str, Memory] = field(default_factory=dict)
    damaged: str | None = None


def load(state: Path, owner: str) -> Seen:
    """What applies remembered. Raises `StateError` for a file of a newer cloudsync."""
    file = StateFile.of(state, owner, "seen.json")
    try:
        if (raw := file.read()) is None:
            return Seen()
    except StateError as error:
        return Seen(damaged=str(error))
    try:
        value = json.loads(raw)
        version = value["version"]
        if isinstance(version, int) and version > _VERSION:
            raise StateError(
                f"the state file {file.path} is of version {version}, which this cloudsync does not know"
            )
        rules = spelled_out if version == 1 else RuleTableReader(value["sources"]).rules
        return Seen(
            {str(name): _memory(document, rules) for name, document in value["firewalls"].items()}
        )
    except (
        ValueError,
        KeyError,
        IndexError,
        TypeError,
        AttributeError,
        RecursionError,
        OverflowError,
    ):
        return Seen(damaged=f"{file.path} is damaged")


def save(state: Path, owner: str, memories: Mapping[str, Memory]) -> None:
    """Write it. Raises `StateError`."""
    table = RuleTableWriter()
    firewalls = {name: _written(memory, table) for name, memory in sorted(memories.items())}
    value = {"version": _VERSION, "sources": table.sources, "firewalls": firewalls}
    StateFile.of(state, owner, "seen.json").write((json.dumps(value, indent=1) + "\n").encode())


def same(before: Memory | None, now: Memory) -> bool:
    """Whether writing `now` would tell nothing new: while no timer runs, the moment of the last
    look does not matter."""
    return (
        before is not None
        and not before.missing
        and not now.missing
        and (before.identity, before.hosts, before.written, before.expose)
        == (now.identity, now.hosts, now.written, now.expose)
    )


def _written(memory: Memory, table: RuleTableWriter) -> dict[str, Any]:
    looked = memory.looked
    return {
        "identity": memory.identity,
        "looked": {
            "wall": looked.wall.isoformat(),
            "boot": looked.boot,
            "up": looked.up,
            "machine": looked.machine,
        },
        "expose": memory.expose,
        "hosts": {host: table.rules(rules) for host, rules in memory.hosts.items()},
        "missing": [
            {
                "since": missing.since.isoformat(timespec="seconds"),
                "waited_seconds": round(missing.waited, 3),
                "rules": table.rules(missing.rules),
            }
            for missing in memory.missing
        ],
        "written": table.rules(memory.written),
    }


def _memory(value: Mapping[str, Any], rules: Rules) -> Memory:
    looked = value["looked"]
    moment = Moment(
        _moment(looked["wall"]), str(looked["boot"]), _seconds(looked["up"]), str(looked["machine"])
    )
    return Memory(
        str(value["identity"]),
        moment,
        {str(host): rules(values) for host, values in value["hosts"].items()},
        tuple(
            Missing(
                rules(missing["rules"]),
                _moment(missing["since"]),
                _seconds(missing["waited_seconds"]),
            )
            for missing in value["missing"]
        ),
        tuple(rule for document in value.get("written", ()) for rule in rules([document])),
        str(value.get("expose", "")),
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
