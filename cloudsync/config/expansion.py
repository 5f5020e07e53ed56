"""What a configuration leaves open, filled in before it is checked: hosts that a store knows, host
names with `*`, one firewall a host. Pure, on the values of the TOML file.

| in the file                            | becomes                                                |
|----------------------------------------|--------------------------------------------------------|
| `[hosts-from-store] match = "web-*"`   | `[hosts.NAME] inventory = "store"` for every published |
|                                        | host that matches and has no table                     |
| `hosts = ["web-*"]` in `[firewalls.X]` | every host of the configuration that matches           |
| the same, and none does                | a host that cannot be read: nothing of X closes        |
| `per_host = true` in `[firewalls.X]`   | `[firewalls.X-HOST]` for each of its hosts, with       |
|                                        | `{host}` in every text replaced                        |

Anything that has not the shape it should have is left alone: the models say what is wrong with it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import field
from fnmatch import fnmatchcase
from typing import Any

from cloudsync.rules.frozen import dataclass

NOBODY = "hosts-from-store"
"""The host that stands for those that a pattern does not find."""
_GLOB = frozenset("*?[")


@dataclass(frozen=True, slots=True)
class Expansion:
    """The values to be checked, and what of the file they come from."""

    raw: dict[str, Any]
    """As parsed, `per_host` expanded."""
    tables: Mapping[str, str] = field(default_factory=dict)
    """By firewall, the table it was made from, if that is another one."""
    marker_hosts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """By firewall, its hosts as the file names them, where it uses `*`: what its marker speaks of,
    so that a new host does not make it another's."""


def is_pattern(name: str) -> bool:
    """Whether it stands for several hosts."""
    return bool(_GLOB & set(name))


def expanded(raw: Mapping[str, Any], published: Iterable[str]) -> Expansion:
    """The file's values with everything filled in. `published`: hosts that the store knows."""
    hosts = dict(raw["hosts"]) if isinstance(raw.get("hosts"), dict) else {}
    from_store = raw.get("hosts-from-store")
    if isinstance(from_store, dict):
        hosts |= {
            name: _published(name, from_store)
            for name in (*published, *_named(raw))
            if name not in hosts and fnmatchcase(name, str(from_store.get("match", "*")))
        }
    firewalls: dict[str, Any] = {}
    tables: dict[str, str] = {}
    marker_hosts: dict[str, tuple[str, ...]] = {}
    written = raw["firewalls"] if isinstance(raw.get("firewalls"), dict) else {}
    for name, table in written.items():
        if not isinstance(table, dict) or not _is_list_of_text(table.get("hosts")):
            firewalls[name] = table
            continue
        patterns = [host for host in table["hosts"] if is_pattern(host)]
        members = _members(table["hosts"], hosts)
        if table.get("per_host") is True:
            for host in members:
                made = f"{name}-{host}"
                firewalls[made] = _for_host(table, host)
                tables[made] = name
        elif patterns:
            if not members:
                hosts[NOBODY] = {"inventory": "store"}
            firewalls[name] = {**table, "hosts": members or [NOBODY]}
            marker_hosts[name] = tuple(sorted(set(table["hosts"])))
        else:
            firewalls[name] = table
    filled = {**raw, **({"hosts": hosts} if hosts else {})}
    if firewalls or "firewalls" in raw:
        filled["firewalls"] = (
            firewalls if isinstance(raw.get("firewalls"), dict) else raw["firewalls"]
        )
    return Expansion(filled, tables, marker_hosts)


def _named(raw: Mapping[str, Any]) -> list[str]:
    """Hosts that firewalls name themselves: they are expected to publish, whether they have or
    not."""
    firewalls = raw.get("firewalls")
    tables = firewalls.values() if isinstance(firewalls, dict) else ()
    return [
        host
        for table in tables
        if isinstance(table, dict) and _is_list_of_text(table.get("hosts"))
        for host in table["hosts"]
        if not is_pattern(host)
    ]


def _published(name: str, table: Mapping[str, Any]) -> dict[str, Any]:
    """The table of a published host. Once keys are named, a host without one is believed by
    nobody."""
    keys = table.get("trusted_keys")
    if not isinstance(keys, dict):
        return {"inventory": "store"}
    trusted = [
        key
        for pattern, several in keys.items()
        if fnmatchcase(name, pattern) and isinstance(several, list)
        for key in several
    ]
    return {"inventory": "store", "trusted_keys": trusted}


def _members(names: Iterable[str], hosts: Mapping[str, Any]) -> list[str]:
    """The hosts that are meant, in order, each once; a plain name stays whatever it is."""
    members: dict[str, None] = {}
    for name in names:
        matching = (
            [host for host in hosts if fnmatchcase(host, name) and not _retired(hosts[host])]
            if is_pattern(name)
            else [name]
        )
        members.update(dict.fromkeys(matching))
    return list(members)


def _retired(table: object) -> bool:
    return isinstance(table, dict) and table.get("retired") is True


def _for_host(table: Mapping[str, Any], host: str) -> dict[str, Any]:
    rest = {key: _with_host(value, host) for key, value in table.items() if key != "per_host"}
    return {**rest, "hosts": [host]}


def _with_host(value: Any, host: str) -> Any:
    if isinstance(value, str):
        return value.replace("{host}", host)
    if isinstance(value, list):
        return [_with_host(each, host) for each in value]
    if isinstance(value, dict):
        return {key: _with_host(each, host) for key, each in value.items()}
    return value


def _is_list_of_text(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)
