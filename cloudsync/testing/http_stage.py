"""A stage on a double of an HTTP API: troubles become faults of the double, writes are counted in
it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from cloudsync.testing.http import Double, Fault, FaultKind
from cloudsync.testing.stage import StageBase, Trouble

_KINDS: Mapping[str, FaultKind] = {
    "lost-before": "drop-before",
    "lost-after": "drop-after",
    "cut-short": "truncate",
    "nonsense": "garbage",
    "slow": "late",
    "trickle": "trickle",
    "short": "short",
    "redirect": "redirect",
    "meanwhile": "meanwhile",
}


ANSWERED_ONLY = "statistics"
"""A field that a vendor may add to its answers any day, and that no call takes."""


class HttpStage(StageBase):
    """Subclass it, with the vendor's paths and errors; `double` is the vendor."""

    reading: ClassVar[tuple[str, str]]
    """Method and path, as regular expressions, of the call that lists firewalls."""
    writing: ClassVar[tuple[str, str]]
    """The same of every call that could write a firewall."""
    errors: ClassVar[Mapping[str, tuple[int, dict[str, Any]]]]
    """Status and answer of `unauthorized`, `forbidden`, `not-found`, `conflict`, `throttled`,
    `unavailable` and `failed-after`."""

    patience_seconds = 3
    """A double answers at once."""

    def __init__(self, double: Double) -> None:
        self.double = double

    def writes(self) -> int:
        """By the double's log."""
        method, path = self.writing
        return sum(
            bool(re.fullmatch(method, call.method) and re.fullmatch(path, call.path))
            for call in self.double.calls
        )

    def trouble(self, trouble: Trouble) -> None:
        """A fault of the double."""
        method, path = self.reading if trouble.on == "read" else self.writing
        fault = Fault(method, path, times=trouble.times, skip=trouble.skip)
        fault.seconds, fault.action = trouble.seconds, trouble.action
        if trouble.kind in _KINDS:
            fault.kind = _KINDS[trouble.kind]
        else:
            fault.status, fault.body = self.errors[trouble.kind]
            fault.kind = "error-after" if trouble.kind == "failed-after" else "error"
        if trouble.hint is not None:
            fault.headers = {"Retry-After": str(int(trouble.hint))}
            fault.lasting = trouble.hint
        self.double.fail(fault)

    def sound(self) -> Sequence[str]:
        """What the double has against the calls; one of them is a field sent back that only
        answers have."""
        return self.double.violations

    def answer_more(self, list_of: str) -> None:
        """Every listed object has one more field in every answer. Its rules do not: a field of a
        rule may narrow it, so that a rule that stays goes back as it came."""
        self.double.answers_only(ANSWERED_ONLY, list_of, {"matches": 0})
