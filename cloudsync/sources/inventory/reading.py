"""Whether an inventory is believed, and what its engines answered then. Pure.

| the inventory                                           | then the host is                     |
|---------------------------------------------------------|--------------------------------------|
| is not there, cannot be read, has another form          | failed                               |
| names another owner or host                             | failed, for good                     |
| is not signed by a trusted key, where keys are named    | failed, for good                     |
| is older than one that an apply read before             | failed                               |
| was written longer ago than it is valid, or in future   | failed                               |
| says that an engine could not be read                   | as if that engine had not answered   |
| says `partial`, though all of its engines answered      | partial: the worse of the two counts |
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import ValidationError

from cloudsync.model.inventory import Published
from cloudsync.model.ports import Failed
from cloudsync.rules.frozen import dataclass
from cloudsync.sources.docker.engine import Survey
from cloudsync.sources.inventory.document import (
    MOST_BYTES,
    FailedForm,
    InventoryForm,
    survey_of,
)
from cloudsync.sources.inventory.signature import KeyProblem, problem_with

_AHEAD = timedelta(minutes=2)
"""How far a machine's clock may be ahead."""


@dataclass(frozen=True, slots=True)
class Expected:
    """What an inventory must be to be believed."""

    owner: str
    """Of the configuration."""
    host: str
    """Whose inventory it is."""
    trusted: Sequence[str] | None = None
    """Public keys; None: whoever may write the object is believed."""
    sequence: int = 0
    """Of the newest inventory that an apply read before."""
    now: datetime | None = None
    """By the clock of who reads; None: what that says now."""


@dataclass(frozen=True, slots=True)
class Inventory:
    """An inventory that is believed."""

    surveys: tuple[Survey | Failed, ...]
    """One for each engine."""
    sequence: int
    """Grows with every inventory of the host."""


def inventory_of(published: Published, expected: Expected) -> Inventory | Failed:
    """What the host's engines answered, or why nothing is known of it."""
    if published.problem is not None:
        return Failed(published.problem, temporary=published.temporary)
    if published.data is None:
        return Failed("it has published no inventory; is cloudsync publish running there?")
    if len(published.data) > MOST_BYTES:
        return Failed("its inventory is too large to be one", temporary=False)
    try:
        document: Any = json.loads(published.data)
        form = InventoryForm.model_validate_json(published.data)
    except (ValidationError, ValueError, RecursionError):
        return Failed("its inventory has not the form of one", temporary=False)
    if (form.owner, form.host) != (expected.owner, expected.host):
        return Failed("its inventory is another host's", temporary=False)
    trusted = expected.trusted
    if trusted is not None and (problem := _distrust(document, trusted)) is not None:
        return Failed(f"its inventory {problem}", temporary=False)
    if (problem := _outdated(form, expected)) is not None:
        return Failed(problem)
    try:
        surveys = tuple(
            Failed(engine.failed, temporary=engine.temporary)
            if isinstance(engine, FailedForm)
            else survey_of(engine)
            for engine in form.engines
        )
    except ValueError:
        return Failed("its inventory has not the form of one", temporary=False)
    if form.status == "failed" or not surveys:
        return Failed(_own_words(form))
    return Inventory(_as_complete_as_stated(form, surveys), form.sequence)


def says_the_same(before: Published, after: Published, expected: Expected) -> bool:
    """Whether an inventory says of the engines what an earlier one did, both of them believed:
    nothing but its time differs. `expected.sequence` does not matter."""
    earlier = inventory_of(before, replace(expected, sequence=0))
    if isinstance(earlier, Failed):  # what was decided then is not what it said
        return False
    later = inventory_of(after, replace(expected, sequence=earlier.sequence))
    return isinstance(later, Inventory) and later.surveys == earlier.surveys


def _as_complete_as_stated(
    form: InventoryForm, surveys: tuple[Survey | Failed, ...]
) -> tuple[Survey | Failed, ...]:
    """The answers, incomplete if the document says so: another publisher, or a later version of
    this one, may know of something unread that belongs to none of its engines."""
    if form.status == "complete" and not form.reasons:
        return surveys
    if any(isinstance(survey, Failed) or survey.reasons for survey in surveys):
        return surveys
    return tuple(
        survey if isinstance(survey, Failed) else replace(survey, reasons=(_own_words(form),))
        for survey in surveys
    )


def _own_words(form: InventoryForm) -> str:
    why = "; ".join(form.reasons[:3]) or "it could not read its engines"
    return f"the machine itself says: {why}"


def _distrust(document: Any, trusted: Sequence[str]) -> str | None:
    try:
        return problem_with(document, trusted)
    except KeyProblem as error:
        return f"cannot be checked: a trusted key {error}"


def _outdated(form: InventoryForm, expected: Expected) -> str | None:
    now = expected.now or datetime.now(UTC)
    if form.sequence < expected.sequence:
        return "its inventory is older than the one that the last apply read"
    if form.time > now + _AHEAD:
        return "its inventory was written in the future: a clock is wrong"
    if now - form.time > timedelta(seconds=form.valid_seconds):
        return f"its inventory is out of date: written {form.time:%Y-%m-%d %H:%M} UTC"
    return None
