"""Several calls of one step, and the one error that stands for those that failed."""

from __future__ import annotations

import pytest

from cloudsync.provider.errors import (
    Conflict,
    NotFound,
    ProviderError,
    RateLimited,
    Transient,
    Unsupported,
)
from cloudsync.provider.several import Several


def raising(error: ProviderError) -> None:
    raise error


def after(*errors: ProviderError) -> Several:
    several = Several()
    for error in errors:
        assert several.attempt(lambda error=error: raising(error), deletes=False) is None  # type: ignore[misc]  # bound now
    return several


def test_a_call_that_ends_well_gives_its_result() -> None:
    several = Several()
    assert several.attempt(lambda: 7, deletes=False) == 7
    several.raise_worst()


def test_what_is_gone_already_needs_no_deleting() -> None:
    several = Several()
    assert several.attempt(lambda: raising(NotFound("rule 7")), deletes=True) is None
    several.raise_worst()


def test_what_is_gone_cannot_be_changed() -> None:
    with pytest.raises(Conflict, match=r"rule 7 \(it is not there any more\)"):
        after(NotFound("rule 7")).raise_worst()


@pytest.mark.parametrize(
    "errors",
    [
        (RateLimited("slow"), Transient("lost", fate_unknown=True), Unsupported("no")),
        (Unsupported("no"), Transient("lost", fate_unknown=True)),
    ],
)
def test_an_error_whose_write_may_have_happened_stands_for_all(
    errors: tuple[ProviderError, ...],
) -> None:
    with pytest.raises(Transient, match="lost"):
        after(*errors).raise_worst()


def test_an_error_that_needs_a_person_stands_for_those_that_do_not() -> None:
    with pytest.raises(Unsupported, match="first"):
        after(RateLimited("slow"), Unsupported("first"), Unsupported("second")).raise_worst()
