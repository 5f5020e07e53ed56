"""What is wrong with a value that a plugin returned: one function for each kind of value in the
contract. All pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import cast

from cloudsync.provider.contract import (
    Absent,
    Attachment,
    Capabilities,
    Description,
    Kept,
    Pending,
    Present,
    Refusal,
    Step,
    StepKind,
    Unreadable,
    VendorRule,
)
from cloudsync.provider.errors import ProviderError
from cloudsync.provider.marker import Marker
from cloudsync.rules import Rule, RuleSet, protocols

Check = Callable[[object], str | None]
"""What is wrong with a value, in words; None if nothing is."""


def anything(_: object) -> None:
    return None


def is_a(*types: type) -> Check:
    def check(value: object) -> str | None:
        if isinstance(value, types) and not (isinstance(value, bool) and bool not in types):
            return None
        wanted = " or ".join("None" if kind is type(None) else kind.__name__ for kind in types)
        return f"it gives {type(value).__name__} instead of {wanted}"

    return check


def has_method(method: str) -> Check:
    def check(value: object) -> str | None:
        if callable(getattr(value, method, None)):
            return None
        return f"it gives {type(value).__name__}, which has no {method}()"

    return check


def is_model(base: type) -> Check:
    def check(value: object) -> str | None:
        if isinstance(value, type) and issubclass(value, base):
            return None
        return f"it is not a subclass of {base.__name__}"

    return check


def each(kind: type) -> Check:
    """A sequence whose items are all of that type."""
    item = is_a(kind)

    def check(value: object) -> str | None:
        if not isinstance(value, Sequence) or isinstance(value, str | bytes):
            return f"it gives {type(value).__name__} instead of a sequence of {kind.__name__}"
        if {kind}.issuperset(map(type, value)):  # mostly, and cheaper than one by one
            return None
        return next((problem for element in value if (problem := item(element)) is not None), None)

    return check


def each_value(kind: type) -> Check:
    """A mapping whose values are all of that type."""
    item = is_a(kind)

    def check(value: object) -> str | None:
        if not isinstance(value, Mapping):
            return f"it gives {type(value).__name__} instead of a mapping to {kind.__name__}"
        return next(
            (problem for element in value.values() if (problem := item(element)) is not None), None
        )

    return check


def either(first: Check, second: Check) -> Check:
    return lambda value: None if first(value) is None else second(value)


def _fields(value: object, checks: Iterable[tuple[str, Check]]) -> str | None:
    for name, check in checks:
        if (problem := check(getattr(value, name))) is not None:
            return f"{type(value).__name__}.{name}: {problem}"
    return None


_ABSENT: tuple[tuple[str, Check], ...] = (
    ("attachments", each(Attachment)),
    ("private", is_a(RuleSet)),
    ("foreign", each(Kept)),
)
_PRESENT: tuple[tuple[str, Check], ...] = (
    *_ABSENT,
    ("id", is_a(str)),
    ("rules", is_a(RuleSet)),
    ("marker", is_a(Marker, type(None))),
    ("listed", each(Rule)),
    ("objects", each(VendorRule)),
    ("kept", each(Kept)),
    ("pending", each(Pending)),
    ("described", each(Description)),
)
_STEP: tuple[tuple[str, Check], ...] = (
    ("summary", is_a(str)),
    ("kind", is_a(StepKind)),
    ("after", is_a(RuleSet)),
    ("attaches", each(str)),
    ("warning", is_a(str, type(None))),
)


def is_observation(value: object) -> str | None:
    if isinstance(value, Present):
        return _fields(value, _PRESENT)
    if isinstance(value, Absent):
        return _fields(value, _ABSENT)
    if isinstance(value, Unreadable):
        return _fields(value, [("error", is_a(ProviderError))])
    if value is None:
        return "it reports nothing of this firewall"
    return f"it gives {type(value).__name__} instead of Present, Absent or Unreadable"


def are_steps(value: object) -> str | None:
    if isinstance(value, Refusal):
        return _fields(value, [("reason", is_a(str))])
    if (problem := each(Step)(value)) is not None:
        return problem
    problems = (_fields(step, _STEP) for step in cast("Sequence[Step]", value))
    return next((problem for problem in problems if problem is not None), None)


def are_capabilities(value: object) -> str | None:
    if (problem := is_a(Capabilities)(value)) is not None:
        return problem
    at_once = cast("Capabilities", value).at_once
    if isinstance(at_once, bool) or not isinstance(at_once, int) or at_once < 1:
        return "Capabilities.at_once must be 1 or more"
    return _protocol_names(cast("Capabilities", value).protocols)


def _protocol_names(names: object) -> str | None:
    if names is None:
        return None
    if not isinstance(names, frozenset):
        return f"Capabilities.protocols is {type(names).__name__} instead of a frozenset or None"
    for name in names:
        try:
            protocols.numbers(name)
        except (ValueError, TypeError, AttributeError):
            return f"Capabilities.protocols names {str(name)[:20]!r}, which is not a protocol"
    return None
