"""Rule sets in a state file, with every set of sources written once.

Hundreds of rules share a handful of source sets, which may hold thousands of networks. So a file
holds a table of them, and a rule is `tcp/443 from 0`: protocol, ports, number of its sources in the
table.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from cloudsync.rules import Rule, RuleSet
from cloudsync.rules.networks import NetworkSet


class RuleTableWriter:
    """Collects the source sets of the rules it is asked to write."""

    def __init__(self) -> None:
        self._numbers: dict[NetworkSet, int] = {}

    def rules(self, rules: Iterable[Rule]) -> list[str]:
        """The rules of one set, or single rules, as the file holds them."""
        return [f"{rule.protocol}/{rule.ports} from {self._number(rule.sources)}" for rule in rules]

    def _number(self, sources: NetworkSet) -> int:
        return self._numbers.setdefault(sources, len(self._numbers))

    @property
    def sources(self) -> list[list[str]]:
        """The table: complete once all rules were written."""
        return [list(sources.written()) for sources in self._numbers]


class RuleTableReader:
    """Reads rules against a table of sources. What does not fit raises `ValueError`,
    `AttributeError`, `TypeError` or `IndexError`."""

    def __init__(self, sources: Iterable[Iterable[str]]) -> None:
        self._sources = [NetworkSet.of(networks) for networks in sources]

    def rules(self, values: Iterable[Any]) -> RuleSet:
        """One rule set."""
        return RuleSet.of(self.listed(values))

    def listed(self, values: Iterable[Any]) -> Iterable[Rule]:
        """Single rules, one by one."""
        return (self._rule(value) for value in values)

    def _rule(self, value: str) -> Rule:
        what, _, number = value.partition(" from ")
        protocol, _, ports = what.partition("/")
        if not number.isdecimal():
            raise ValueError("not the number of a source set")
        return Rule.of(protocol, ports, self._sources[int(number)])


def spelled_out(values: Iterable[Any]) -> RuleSet:
    """Rules as version 1 of the state files held them: each with its own list of sources."""
    return RuleSet.of(
        Rule.of(value["protocol"], value["ports"], NetworkSet.of(value["sources"]))
        for value in values
    )
