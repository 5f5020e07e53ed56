"""Several calls of one step: what was begun is seen to its end, and one error stands for all that
failed. And what it means if the object of a call is gone."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from cloudsync.provider.errors import Conflict, NotFound, ProviderError, without_frames

Result = TypeVar("Result")


def expected(call: Callable[[], Result]) -> Result:
    """`call()`, about something that was there when it was planned: a `Conflict` if it is gone."""
    try:
        return call()
    except NotFound as error:
        raise Conflict(f"{error.message} (it is not there any more)") from None


def unless_gone(call: Callable[[], Result]) -> Result | None:
    """`call()`, which deletes something: what is gone already is as it should be."""
    try:
        return call()
    except NotFound:
        return None


class Several:
    """What became of the calls so far."""

    def __init__(self) -> None:
        self.failed: list[ProviderError] = []
        """In the order in which they were made."""

    def attempt(self, call: Callable[[], Result], *, deletes: bool) -> Result | None:
        """`call()`, or None if it failed. `deletes`: as `unless_gone`, any other call as
        `expected`."""
        try:
            return unless_gone(call) if deletes else expected(call)
        except ProviderError as error:
            self.failed.append(without_frames(error))
        return None

    def raise_worst(self) -> None:
        """Raises the first error whose call may have written all the same; else the first that
        trying again does not help against; else the first."""
        if self.failed:
            worst = max(self.failed, key=lambda error: (error.fate_unknown, not error.temporary))
            raise without_frames(worst)
