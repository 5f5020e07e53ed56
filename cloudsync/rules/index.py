"""Which of many rule sets have a point in common with a rule: kept by protocol and port, so that
asking looks at those nearby only."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from itertools import accumulate
from typing import Generic, TypeVar

from cloudsync.rules.ruleset import Rule, RuleSet

Thing = TypeVar("Thing")


class RuleIndex(Generic[Thing]):
    """`things`: each with the rules it is about. Many things with few rules each are what it is
    for."""

    def __init__(self, things: Iterable[tuple[RuleSet, Thing]]) -> None:
        self._things = tuple(things)
        self._anywhere: list[int] = []
        spans: dict[str, list[tuple[int, int, int]]] = {}
        for number, (rules, _) in enumerate(self._things):
            for rule in rules:
                if rule.is_one_protocol:
                    spans.setdefault(rule.protocol, []).append((rule.first, rule.last, number))
                else:
                    self._anywhere.append(number)
        self._spans = {protocol: _Spans(sorted(several)) for protocol, several in spans.items()}

    def overlapping(self, rule: Rule) -> list[Thing]:
        """Those that have a point of `rule`, in the order they were given in."""
        if rule.is_one_protocol:
            spans = self._spans.get(rule.protocol)
            near = {
                *self._anywhere,
                *(spans.near(rule.first, rule.last) if spans is not None else ()),
            }
        else:
            near = set(range(len(self._things)))
        asked = RuleSet.of((rule,))
        return [
            self._things[number][1] for number in sorted(near) if self._things[number][0] & asked
        ]


class _Spans:
    """Intervals of one protocol, in order, and how far those up to each one reach."""

    def __init__(self, spans: list[tuple[int, int, int]]) -> None:
        self._spans = spans
        self._firsts = [first for first, _, _ in spans]
        self._reach = list(accumulate((last for _, last, _ in spans), max))

    def near(self, first: int, last: int) -> Iterable[int]:
        """Whose intervals meet first..last."""
        at = bisect_right(self._firsts, last) - 1
        while at >= 0 and self._reach[at] >= first:
            if self._spans[at][1] >= first:
                yield self._spans[at][2]
            at -= 1
