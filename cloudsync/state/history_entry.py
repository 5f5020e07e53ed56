"""An entry of the history as it is kept: one line of JSON, every list of sources once
(`source_sets`), and rules name it by its number."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

DIED = "the process ended before it could say what it did; the next apply finishes it"
_RULE_LISTS = ("planned", "before", "after", "opened", "closed")


def size_of(entry: Mapping[str, Any]) -> int:
    """How many bytes the entry takes on the disk."""
    return len(line(entry))


def line(entry: Mapping[str, Any]) -> bytes:
    """The entry as it is kept, with its newline."""
    return (json.dumps(_packed(entry), separators=(",", ":")) + "\n").encode()


def _packed(entry: Mapping[str, Any]) -> Mapping[str, Any]:
    """The entry with every list of sources once: rules name it by its number."""
    if "firewalls" not in entry:
        return entry
    numbers: dict[tuple[str, ...], int] = {}

    def numbered(rule: Mapping[str, Any]) -> Mapping[str, Any]:
        if "sources" not in rule:
            return rule
        return {**rule, "sources": numbers.setdefault(tuple(rule["sources"]), len(numbers))}

    firewalls = [_with_rules(firewall, numbered) for firewall in entry["firewalls"]]
    return {**entry, "firewalls": firewalls, "source_sets": [list(number) for number in numbers]}


def _unpacked(entry: dict[str, Any]) -> dict[str, Any]:
    """What `_packed` made of an entry, undone; whatever else a file holds is left as it is."""
    sets = entry.pop("source_sets", None)
    firewalls = entry.get("firewalls")
    if not isinstance(sets, list) or not isinstance(firewalls, list):
        return entry

    def spelled(rule: Mapping[str, Any]) -> Mapping[str, Any]:
        number = rule.get("sources")
        if isinstance(number, int) and 0 <= number < len(sets):
            return {**rule, "sources": sets[number]}
        return rule

    entry["firewalls"] = [
        _with_rules(firewall, spelled) if isinstance(firewall, dict) else firewall
        for firewall in firewalls
    ]
    return entry


def _with_rules(
    firewall: Mapping[str, Any], change: Callable[[Mapping[str, Any]], Mapping[str, Any]]
) -> dict[str, Any]:
    lists = {
        name: [change(rule) if isinstance(rule, dict) else rule for rule in firewall[name]]
        for name in _RULE_LISTS
        if isinstance(firewall.get(name), list)
    }
    return {**firewall, **lists}


def opened(raw: bytes) -> list[dict[str, Any]]:
    """The entries of so many lines; a line that cannot be read is left out."""
    entries = []
    for words in raw.splitlines():
        try:
            entry = json.loads(words)
        except (ValueError, RecursionError):
            continue
        if isinstance(entry, dict) and isinstance(entry.get("id"), str):
            entries.append(_unpacked(entry))
    return entries
