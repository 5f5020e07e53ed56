"""What the stages on doubles share: troubles told to the double as faults, writes counted in it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from ipaddress import ip_network
from typing import Any, ClassVar

from cloudsync.provider.marker import Marker
from cloudsync.rules import Rule, RuleSet
from cloudsync.rules.networks import NetworkSet
from cloudsync.testing import Spelled, Trouble
from tests.doubles.http import Double, Fault

_KINDS = {
    "lost-before": "drop-before",
    "lost-after": "drop-after",
    "cut-short": "truncate",
    "nonsense": "garbage",
    "slow": "late",
    "short": "short",
    "meanwhile": "meanwhile",
}
ANSWERED_ONLY = "statistics"
"""A field that a vendor may add to its answers any day, and that no call takes."""


class HttpStage:
    """`reading` and `writing`: (method, path) as regular expressions. `errors`: status and body by
    kind of trouble."""

    reading: ClassVar[tuple[str, str]]
    writing: ClassVar[tuple[str, str]]
    errors: ClassVar[Mapping[str, tuple[int, dict[str, Any]]]]

    def __init__(self, double: Double) -> None:
        self.double = double

    def writes(self) -> int:
        method, path = self.writing
        return sum(
            bool(re.fullmatch(method, c.method) and re.fullmatch(path, c.path))
            for c in self.double.calls
        )

    def trouble(self, trouble: Trouble) -> None:
        where = self.reading if trouble.on == "read" else self.writing
        more: dict[str, Any] = {"times": trouble.times, "skip": trouble.skip}
        if trouble.kind in _KINDS:
            self.double.fail(
                Fault(
                    *where,
                    _KINDS[trouble.kind],
                    seconds=trouble.seconds,
                    action=trouble.action,
                    **more,
                )
            )  # type: ignore[arg-type]
            return
        status, body = self.errors[trouble.kind]
        headers = {} if trouble.hint is None else {"Retry-After": str(int(trouble.hint))}
        self.double.fail(Fault(*where, status=status, body=body, headers=headers, **more))

    def sound(self) -> Sequence[str]:
        echoed = [
            f"{call.method} {call.path} sends {ANSWERED_ONLY!r} back"
            for call in self.double.calls
            if call.method != "GET" and ANSWERED_ONLY in json.dumps(call.body, default=str)
        ]
        return [*self.double.violations, *echoed]

    def answer_more(self, list_of: str) -> None:
        """Every listed object has one more field in every answer. Its rules do not: a field of a
        rule may narrow it, so that a rule that stays goes back as it came."""

        def more(answer: bytes) -> bytes:
            value = json.loads(answer)
            for listed in value.get(list_of) or [value.get(list_of[:-1]) or {}]:
                listed[ANSWERED_ONLY] = {"matches": 0}
            return json.dumps(value).encode()

        method, path = self.reading
        self.double.fail(Fault(method, f"{path}.*", "mutate", change=more, times=10**6))

    def attached(self, name: str) -> int:
        return 0

    def attaching(self, name: str) -> Mapping[str, Any]:
        return {}


def networks(sources: Sequence[str]) -> NetworkSet:
    """Sources as a vendor keeps them: host bits mean the network."""
    return NetworkSet.of(str(ip_network(one, strict=False)) for one in sources)


def rule_set(rules: Sequence[tuple[str, str, Sequence[str]]]) -> RuleSet:
    return RuleSet.of(
        Rule.of(protocol, ports, networks(sources)) for protocol, ports, sources in rules
    )


__all__ = ["HttpStage", "Marker", "Spelled", "networks", "rule_set"]
