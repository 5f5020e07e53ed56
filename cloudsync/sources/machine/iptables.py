"""What iptables-save and ip6tables-save print, of both backends."""

from __future__ import annotations

import re
import shlex
from typing import NamedTuple

from cloudsync.model.machine_facts import Chain, FilterRule, Tables
from cloudsync.sources.machine.root import Root

_COUNTERS = re.compile(r"^\[\d+:\d+\]\s*")
"""What `iptables-save -c` writes before a rule."""


def parse(content: str) -> Tables:
    """The tables in the output of iptables-save; several outputs one after the other are united."""
    chains: dict[tuple[str, str], tuple[str, list[FilterRule]]] = {}
    table = ""
    for written in content.splitlines():
        line = _COUNTERS.sub("", written)
        if line.startswith("*"):
            table = line[1:].strip()
        elif line.startswith(":"):
            name, policy = [*line[1:].split(), "-"][:2]
            chains.setdefault((table, name), (policy, []))
        elif line.startswith("-A "):
            words = _words(line)
            if len(words) > 2:
                _, rules = chains.setdefault((table, words[1]), ("-", []))
                rules.append(FilterRule(tuple(words[2:])))
    return Tables({key: Chain(policy, tuple(rules)) for key, (policy, rules) in chains.items()})


def _words(line: str) -> list[str]:
    try:
        return shlex.split(line)
    except ValueError:
        return line.split()


class Backends(NamedTuple):
    """The rules of one family by the backend that made them."""

    used: Tables | None = None
    """Of the backend that Docker writes to; of the only one; None without rules."""
    other: Tables | None = None
    """Of the other one, if it has rules too."""


NONE = Backends()


def read(root: Root, family: int) -> Backends:
    """The rules of one family. Legacy tables are asked for only if the kernel has them already: the
    legacy command would load its modules. Raises `Unreadable`."""
    name = "iptables" if family == 4 else "ip6tables"
    nft = (
        root.output([f"{name}-nft-save"])
        if root.is_live
        else root.dump(f"{name}-save", f"{name}-nft-save")
    )
    return _by_use([parse(output) for output in (nft, _legacy(root, name)) if output is not None])


def _legacy(root: Root, name: str) -> str | None:
    if not root.is_live:
        return root.dump(f"{name}-legacy-save")
    loaded = root.text(f"/proc/net/{name.removesuffix('tables')}_tables_names")
    return root.output([f"{name}-legacy-save"]) if loaded and loaded.strip() else None


def _by_use(backends: list[Tables]) -> Backends:
    """Docker's own chain in `nat` shows which backend it writes to; without one it is the one that
    has any rules."""
    ordered = sorted(backends, key=lambda tables: (not _is_dockers(tables), not _has_rules(tables)))
    other = ordered[1] if len(ordered) > 1 and _has_rules(ordered[1]) else None
    return Backends(ordered[0] if ordered else None, other)


def _is_dockers(tables: Tables) -> bool:
    return tables.chain("nat", "DOCKER") is not None


def _has_rules(tables: Tables) -> bool:
    return any(chain.rules for chain in tables.chains.values())
