"""What a vendor answers, as typed values: bases for the models of answers, and texts of a vendor
made fit for people."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from ipaddress import ip_network
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict

from cloudsync.rules.networks import NetworkSet

Item = TypeVar("Item")

Listed = Annotated[tuple[Item, ...], BeforeValidator(lambda value: () if value is None else value)]
"""A list in an answer, for vendors that send null for an empty one: `tags: Listed[str] = ()`."""


class Answer(BaseModel):
    """Base of the models of a vendor's answers: unknown fields are ignored."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class Echoed(BaseModel):
    """Base of the models of objects that go back to the vendor as they were read: unknown fields
    are carried along."""

    model_config = ConfigDict(extra="allow", frozen=True)

    def as_it_was(self) -> dict[str, Any]:
        """The object as JSON, with the fields that were read or set, and no nulls."""
        return self.model_dump(mode="json", exclude_unset=True, exclude_none=True)


class Nothing(Answer):
    """An answer whose content does not matter."""


def printable(text: str) -> str:
    """Text of a vendor without control and format characters."""
    return "".join(character for character in text if unicodedata.category(character)[0] != "C")


def at(answer: object, path: str) -> Any:
    """The value at a dotted path of a JSON answer; None if there is none."""
    for key in path.split("."):
        answer = answer.get(key) if isinstance(answer, dict) else None
    return answer


def networks_of(words: Iterable[str]) -> NetworkSet:
    """Networks as a vendor lists them, with host bits ignored. Raises `ValueError`."""
    return NetworkSet.of(str(ip_network(word, strict=False)) for word in words)
