"""Variables without a value that decide something: all of them in one message, with where they were
looked for."""

from __future__ import annotations

from collections.abc import Iterable

from cloudsync.provider.phrases import count, first_of
from cloudsync.sources.compose.nodes import ComposeError, Missing, Node, Place, scalars

_MOST = 20
"""So many variables a message names."""


def missing_in(*nodes: Node | None) -> tuple[tuple[Place, Missing], ...]:
    """What is missing in these nodes, in their order."""
    return tuple(
        (scalar.place, variable)
        for node in nodes
        for scalar in scalars(node)
        for variable in scalar.missing
    )


def refuse_missing(missing: Iterable[tuple[Place, Missing]]) -> None:
    """Raises `ComposeError` if anything is missing."""
    first: dict[str, tuple[Place, Missing]] = {}
    for place, variable in missing:
        first.setdefault(variable.name, (place, variable))
    if not first:
        return
    (place, variable), *more = first.values()
    if not more:
        raise ComposeError(place, _alone(variable) + _searched([variable]))
    named = [_named(variable.name, variable, None)] + [
        _named(other.name, other, elsewhere) for elsewhere, other in more
    ]
    unset = count(len(first), "variable is", "variables are")
    raise ComposeError(
        place,
        f"{unset} not set and have no default: {first_of(named, _MOST)}"
        + _searched([variable, *(other for _, other in more)]),
    )


def _alone(variable: Missing) -> str:
    if variable.required:
        return f"the variable {variable.name} is required" + (
            f": {variable.problem}" if variable.problem else ""
        )
    return f"the variable {variable.name} is not set and has no default" + (
        f" ({variable.problem})" if variable.problem else ""
    )


def _named(name: str, variable: Missing, place: Place | None) -> str:
    notes = [str(place)] if place is not None else []
    if variable.problem:
        notes.append(variable.problem)
    return f"{name} ({'; '.join(notes)})" if notes else name


def _searched(variables: list[Missing]) -> str:
    files = dict.fromkeys(file for variable in variables for file in variable.searched)
    if not files and all(variable.required and variable.problem for variable in variables):
        return ""
    if not files:
        return "; there is no env file to look in"
    return f"; looked for in {', '.join(files)}"
