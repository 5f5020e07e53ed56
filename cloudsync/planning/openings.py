"""When applies opened what is open, looked up for many rules at once. Pure, over the history."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from cloudsync.rules import Rule, RuleSet
from cloudsync.rules.index import RuleIndex
from cloudsync.rules.networks import ANY


class Openings:
    """The openings of every firewall. `history`: the oldest entry first."""

    def __init__(self, history: Sequence[Mapping[str, Any]]) -> None:
        opened: dict[str, dict[Rule, tuple[int, str]]] = {}
        for number, entry in enumerate(history):
            for firewall in listed(entry.get("firewalls")):
                latest = opened.setdefault(str(firewall.get("name")), {})
                for rule in listed(firewall.get("opened")):
                    if (ports := ports_of(rule)) is not None:
                        latest[ports] = (number, str(entry.get("started")))
        self._opened = {
            name: RuleIndex((RuleSet.of((ports,)), when) for ports, when in latest.items())
            for name, latest in opened.items()
        }

    def last(self, firewall: str, rule: Rule) -> str | None:
        """When an apply last opened one of the rule's ports on a firewall, ISO 8601; None if no
        entry says."""
        if (opened := self._opened.get(firewall)) is None:
            return None
        moments = opened.overlapping(replace(rule, sources=ANY))
        return max(moments)[1] if moments else None


def listed(value: object) -> Iterator[Mapping[str, Any]]:
    """A list of the history, which is a file and may hold anything."""
    if isinstance(value, list):
        yield from (entry for entry in value if isinstance(entry, Mapping))


def ports_of(rule: Mapping[str, Any]) -> Rule | None:
    """A rule of the history, from everywhere; None for one that somebody edited."""
    try:
        return Rule.of(str(rule.get("protocol")), str(rule.get("ports")), ANY)
    except ValueError:
        return None
