"""The SSH each firewall had when it was last applied: closing a part of that needs `--ssh-moved`
(law 2)."""

from __future__ import annotations

import json
from pathlib import Path

from cloudsync.rules import Rule, RuleSet
from cloudsync.rules.networks import NetworkSet
from cloudsync.state import StateError
from cloudsync.state.directory import content, replace

_VERSION = 1
_MAX_BYTES = 1024 * 1024


def _path(state: Path, owner: str) -> Path:
    return state / f"{owner}.applied.json"


def last_ssh(state: Path, owner: str) -> dict[str, RuleSet]:
    """By firewall, the SSH rules of the last applied plan; empty where none was recorded.

    Raises `StateError` for a file that is there and cannot be read: a guard that silently forgets
    is no guard.
    """
    path = _path(state, owner)
    if (raw := content(path, _MAX_BYTES)) is None:
        return {}
    try:
        value = json.loads(raw)
        if value["version"] != _VERSION:
            raise StateError(
                f"the state file {path} is of version {value['version']!r}, which this cloudsync does not know"
            )
        return {
            str(name): RuleSet.of(
                Rule.of("tcp", str(port), NetworkSet.of(ssh["sources"])) for port in ssh["ports"]
            )
            for name, ssh in value["ssh"].items()
        }
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise StateError(
            f"the state file {path} is damaged; if SSH did not move since the last apply, remove it, and the next apply writes it anew"
        ) from None


def record_ssh(
    state: Path, owner: str, applied: dict[str, tuple[tuple[int, ...], NetworkSet]]
) -> None:
    """Remember the declared SSH (ports, sources) of firewalls that were applied. Raises
    `StateError`."""
    path = _path(state, owner)
    ssh = {}
    try:
        ssh = json.loads(path.read_bytes())["ssh"]
    except FileNotFoundError:
        pass
    except (OSError, ValueError, KeyError, TypeError):
        ssh = {}
    ssh.update(
        {
            name: {"ports": list(ports), "sources": list(sources.cidrs())}
            for name, (ports, sources) in applied.items()
        }
    )
    try:
        replace(
            path,
            (
                json.dumps({"version": _VERSION, "ssh": ssh}, indent=1, sort_keys=True) + "\n"
            ).encode(),
        )
    except OSError as error:
        raise StateError(f"the state file {path} cannot be written: {error.strerror}") from None
