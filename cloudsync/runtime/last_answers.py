"""What a pure function answered last, for a service that asks it the same again and again.

Nothing is believed about the world: it is read each time, all of it is part of the question, and
only the very same question has the same answer.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

Question = TypeVar("Question")
Answer = TypeVar("Answer")


class LastAnswers(Generic[Question, Answer]):
    """The last question and its answer, for each of at most `most` names. `same`: whether two
    questions cannot have different answers."""

    def __init__(self, most: int, same: Callable[[Question, Question], bool]) -> None:
        self._most, self._same = most, same
        self._last: dict[str, tuple[Question, Answer]] = {}

    def of(self, name: str, question: Question, work: Callable[[Question], Answer]) -> Answer:
        """What `work` answers."""
        known = self._last.get(name)
        if known is not None and self._same(known[0], question):
            return known[1]
        answer = work(question)
        if len(self._last) >= self._most and name not in self._last:
            self._last.clear()
        self._last[name] = (question, answer)
        return answer

    def clear(self) -> None:
        """Forget all of it."""
        self._last.clear()
