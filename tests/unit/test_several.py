"""Several calls of one step, and the one error that stands for those that failed."""

from __future__ import annotations

import gc
import weakref

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


class Odd(ProviderError):
    """An error of a plugin's own."""

    def __init__(self, what: str, number: int) -> None:
        super().__init__(f"{what} {number}")
        self.number = number


def test_errors_keep_nothing_of_the_calls_that_they_ended() -> None:
    """Their tracebacks have the frames of the calls, and those the connections."""

    class Connection:
        def refuse(self) -> None:
            raise Odd("rule", 7)

        def lose(self) -> None:
            raise Transient("lost")

    def calling() -> weakref.ref[Connection]:
        connection, several = Connection(), Several()
        several.attempt(connection.refuse, deletes=False)
        several.attempt(connection.lose, deletes=False)
        try:
            several.raise_worst()
        except Odd as error:
            numbers.append((error.message, error.number))
        return weakref.ref(connection)

    numbers: list[tuple[str, int]] = []
    gc.disable()
    try:
        assert calling()() is None
    finally:
        gc.enable()
    assert numbers == [("rule 7", 7)]


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
