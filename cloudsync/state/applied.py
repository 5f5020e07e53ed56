"""The SSH that each firewall lets in because some apply declared it, as long as it is open: closing
a part of that needs `--ssh-moved` (law 2).

What the configuration declares now is added to it; what was declared before leaves it only when it
was seen to be closed. A closing that was held, withheld or failed is not forgotten.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cloudsync.rules import Rule, RuleSet
from cloudsync.rules.networks import NetworkSet
from cloudsync.state import StateError
from cloudsync.state.directory import StateFile
from cloudsync.state.rule_table import RuleTableReader, RuleTableWriter

_VERSION = 2
_DAMAGED = (
    "is damaged; if SSH did not move since the last apply, remove it, and the next apply writes it "
    "again"
)


def last_ssh(state: Path, owner: str) -> dict[str, RuleSet]:
    """By firewall, the declared SSH that was open when an apply last looked; empty if none was
    recorded.

    Raises `StateError` for a file that is there and cannot be read: a guard that silently forgets
    guards nothing.
    """
    file = StateFile.of(state, owner, "applied.json")
    if (raw := file.read()) is None:
        return {}
    try:
        return _decoded(json.loads(raw), file)
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError):
        raise StateError(f"the state file {file.path} {_DAMAGED}") from None


def record_ssh(state: Path, owner: str, applied: Mapping[str, RuleSet]) -> None:
    """Remember the SSH of these firewalls; that of all others stays as it was. Raises
    `StateError`."""
    table = RuleTableWriter()
    ssh = {
        name: table.rules(rules)
        for name, rules in sorted((last_ssh(state, owner) | dict(applied)).items())
    }
    value = {"version": _VERSION, "sources": table.sources, "ssh": ssh}
    StateFile.of(state, owner, "applied.json").write(
        (json.dumps(value, indent=1) + "\n").encode(), "the firewalls are as this run left them"
    )


def _decoded(value: Any, file: StateFile) -> dict[str, RuleSet]:
    if value["version"] == 1:
        return {str(name): _of_version_1(ssh) for name, ssh in value["ssh"].items()}
    if value["version"] != _VERSION:
        raise StateError(
            f"the state file {file.path} is of version {value['version']!r}, which this cloudsync "
            "does not know"
        )
    table = RuleTableReader(value["sources"])
    return {str(name): table.rules(rules) for name, rules in value["ssh"].items()}


def _of_version_1(ssh: Mapping[str, Any]) -> RuleSet:
    return RuleSet.of(
        Rule.of("tcp", str(port), NetworkSet.of(ssh["sources"])) for port in ssh["ports"]
    )
