"""What iptables-save and ip6tables-save print, of both backends."""

from __future__ import annotations

import shlex

from cloudsync.model.machine_facts import Chain, FilterRule, Tables
from cloudsync.sources.machine.root import Root


def parse(content: str) -> Tables:
    """The tables in the output of iptables-save; several outputs one after the other are united."""
    chains: dict[tuple[str, str], tuple[str, list[FilterRule]]] = {}
    table = ""
    for line in content.splitlines():
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


def read(root: Root, family: int) -> Tables | None:
    """The rules of one family; None if there are none to be had. Legacy tables are asked for only
    if the kernel has them already: the legacy command would load its modules. Raises
    `Unreadable`."""
    name = "iptables" if family == 4 else "ip6tables"
    dumped = root.dump(f"{name}-save", f"{name}-legacy-save", name)
    if dumped is not None:
        return parse(dumped)
    outputs = []
    if (output := root.output([f"{name}-nft-save"])) is not None:
        outputs.append(output)
    loaded = (
        root.text(f"/proc/net/{'ip' if family == 4 else 'ip6'}_tables_names")
        if root.is_live
        else None
    )
    if loaded and loaded.strip() and (legacy := root.output([f"{name}-legacy-save"])) is not None:
        outputs.append(legacy)
    return parse("\n".join(outputs)) if outputs else None
