"""The SSH that each firewall lets in because some apply declared it, as long as it is open: closing
a part of that needs `--ssh-moved` (law 2).

What the configuration declares now is added to it; what was declared before leaves it only when it
was seen to be closed. A closing that was held, withheld or failed is not forgotten.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from functools import lru_cache, partial
from typing import Any

from cloudsync.model.state_url import StatePlace
from cloudsync.rules import Rule, RuleSet
from cloudsync.rules.networks import NetworkSet
from cloudsync.state import StateError
from cloudsync.state.documents import documents, documents_of, read_all, update_all
from cloudsync.state.rule_table import RuleTableReader, RuleTableWriter

_KIND = "applied.json"
_VERSION = 2
_DAMAGED = (
    "is damaged; if SSH did not move since the last apply, remove it, and the next apply writes it "
    "again"
)


def last_ssh(
    state: StatePlace, owner: str, names: Iterable[str] | None = None
) -> dict[str, RuleSet]:
    """By firewall, the declared SSH that was open when an apply last looked; empty if none was
    recorded. `names`: the firewalls that matter; None for all.

    Raises `StateError` for a document that is there and cannot be read: a guard that silently
    forgets guards nothing.
    """
    ssh: dict[str, RuleSet] = {}
    for document, raw in read_all(documents_of(state, owner, _KIND, names)):
        ssh |= _read(raw, document.where)
    return ssh


def record_ssh(state: StatePlace, owner: str, applied: Mapping[str, RuleSet]) -> None:
    """Remember the SSH of these firewalls; that of all others stays as it was. Raises
    `StateError`."""
    changes = [
        (document, partial(_recorded, document.where, {name: applied[name] for name in names}))
        for document, names in documents(state, owner, _KIND, applied)
    ]
    update_all(changes, "the firewalls are as this run left them")


def _recorded(where: str, applied: Mapping[str, RuleSet], raw: bytes | None) -> bytes:
    table = RuleTableWriter()
    merged = sorted({**_read(raw, where), **applied}.items())
    ssh = {name: table.rules(rules) for name, rules in merged}
    value = {"version": _VERSION, "sources": table.sources, "ssh": ssh}
    return (json.dumps(value, indent=1) + "\n").encode()


def _read(raw: bytes | None, where: str) -> Mapping[str, RuleSet]:
    if raw is None:
        return {}
    try:
        return _decoded(raw, where)
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError):
        raise StateError(f"the state file {where} {_DAMAGED}") from None


@lru_cache(maxsize=8)
def _decoded(raw: bytes, where: str) -> Mapping[str, RuleSet]:
    """What the very same bytes hold is known; all who ask share the answer."""
    value = json.loads(raw)
    if value["version"] == 1:
        return {str(name): _of_version_1(ssh) for name, ssh in value["ssh"].items()}
    if value["version"] != _VERSION:
        raise StateError(
            f"the state file {where} is of version {value['version']!r}, which this cloudsync "
            "does not know"
        )
    table = RuleTableReader(value["sources"])
    return {str(name): table.rules(rules) for name, rules in value["ssh"].items()}


def _of_version_1(ssh: Mapping[str, Any]) -> RuleSet:
    return RuleSet.of(
        Rule.of("tcp", str(port), NetworkSet.of(ssh["sources"])) for port in ssh["ports"]
    )
