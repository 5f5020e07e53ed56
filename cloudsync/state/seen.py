"""The last-seen times: what containers needed when an apply last looked, and since when it is
missed (grace).

Only what an apply knows is written, and only where it differs. A file that is not there, or cannot
be read, starts all timers again.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import Any

from cloudsync.model.memory import Memory, Missing
from cloudsync.model.state_url import StatePlace
from cloudsync.rules import RuleSet
from cloudsync.runtime.clock import Moment, instant
from cloudsync.state.documents import documents, update_all
from cloudsync.state.recollection import Kind
from cloudsync.state.rule_table import RuleTableReader, RuleTableWriter, spelled_out

Rules = Callable[[Any], RuleSet]


def save(
    state: StatePlace,
    owner: str,
    memories: Mapping[str, Memory],
    only: Collection[str] | None = None,
) -> None:
    """Take these in; those of other firewalls stay, but for names that are not in `only`. Raises
    `StateError`."""
    changes = [
        (
            document,
            partial(_merged, document.where, {name: memories[name] for name in names}, only),
        )
        for document, names in documents(state, owner, _KIND.name, memories)
    ]
    update_all(changes, "nothing was changed")


def forget(state: StatePlace, owner: str, name: str) -> None:
    """Forget one firewall. Raises `StateError`."""
    for document, _ in documents(state, owner, _KIND.name, (name,)):
        document.update(partial(_without, document.where, name))


def _merged(
    where: str, memories: Mapping[str, Memory], only: Collection[str] | None, raw: bytes | None
) -> bytes:
    before = _KIND.opened(raw, where).entries
    kept = {name: memory for name, memory in before.items() if only is None or name in only}
    return _document({**kept, **memories})


def _without(where: str, name: str, raw: bytes | None) -> bytes | None:
    before = dict(_KIND.opened(raw, where).entries)
    return None if before.pop(name, None) is None else _document(before)


def _document(memories: Mapping[str, Memory]) -> bytes:
    table = RuleTableWriter()
    firewalls = {name: _written(memory, table) for name, memory in sorted(memories.items())}
    value = {"version": _KIND.version, "sources": table.sources, "firewalls": firewalls}
    return (json.dumps(value, indent=1) + "\n").encode()


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
        instant(looked["wall"]), str(looked["boot"]), _seconds(looked["up"]), str(looked["machine"])
    )
    return Memory(
        str(value["identity"]),
        moment,
        {str(host): rules(values) for host, values in value["hosts"].items()},
        tuple(
            Missing(
                rules(missing["rules"]),
                instant(missing["since"]),
                _seconds(missing["waited_seconds"]),
            )
            for missing in value["missing"]
        ),
        tuple(rule for document in value.get("written", ()) for rule in rules([document])),
        str(value.get("expose", "")),
    )


def _seconds(value: float) -> float:
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float)
        or not math.isfinite(value)
        or value < 0
    ):
        raise ValueError("not a number of seconds")
    return float(value)


def _entries(value: Any) -> dict[str, Memory]:
    rules = spelled_out if value["version"] == 1 else RuleTableReader(value["sources"]).rules
    return {str(name): _memory(memory, rules) for name, memory in value["firewalls"].items()}


_KIND = Kind("seen.json", 2, _entries)
load = _KIND.load
