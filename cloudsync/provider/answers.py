"""What a vendor answers, as typed values: bases for the models of answers, and texts of a vendor
made fit for people."""

from __future__ import annotations

import threading
import unicodedata
from collections.abc import Iterable
from ipaddress import ip_address, ip_network
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, ValidationError

from cloudsync.provider.errors import Transient
from cloudsync.rules.networks import NetworkSet

Item = TypeVar("Item")
Model = TypeVar("Model", bound=BaseModel)
_LONGEST_FIELD = 80
_building = threading.Lock()

Listed = Annotated[tuple[Item, ...], BeforeValidator(lambda value: () if value is None else value)]
"""A list in an answer, for vendors that send null for an empty one: `tags: Listed[str] = ()`."""

Address = Annotated[str, AfterValidator(lambda text: str(ip_address(text)))]
"""An IP address in an answer, as text."""


class Answer(BaseModel):
    """Base of the models of a vendor's answers: unknown fields are ignored. A model is built when
    the first answer comes, not when its module is imported."""

    model_config = ConfigDict(extra="ignore", frozen=True, defer_build=True)


class Echoed(BaseModel):
    """Base of the models of objects that go back to the vendor as they were read: unknown fields
    are carried along."""

    model_config = ConfigDict(extra="allow", frozen=True, defer_build=True)

    def as_it_was(self) -> dict[str, Any]:
        """The object as JSON, with the vendor's names of the fields that were read or set, and no
        nulls."""
        return self.model_dump(mode="json", by_alias=True, exclude_unset=True, exclude_none=True)


class Nothing(Answer):
    """An answer whose content does not matter."""


class NotUnderstood(Transient):
    """An answer that does not fit its model."""


def understood(what: str, answer: object, model: type[Model], *, write: bool = False) -> Model:
    """The answer as its model. Raises `NotUnderstood`, which names the field, never its value."""
    _build(model)
    try:
        return model.model_validate(answer)
    except ValidationError as error:
        # A key of the vendor's (the name of a label) may be a step of the way to the field.
        field = printable(".".join(map(str, error.errors(include_input=False)[0]["loc"])))
        where = field[:_LONGEST_FIELD] or "the answer"
        raise NotUnderstood(
            f"{what}: an answer that cannot be understood ({where})", fate_unknown=write
        ) from None


def _build(model: type[BaseModel]) -> None:
    """Build a model whose building was put off; the first of several threads does. Older releases
    of pydantic have no lock of their own."""
    if not model.__pydantic_complete__:
        with _building:
            model.model_rebuild()


def printable(text: str) -> str:
    """Text of a vendor without control and format characters; a line break or a tab is a blank."""
    blanks = (" " if character.isspace() else character for character in text)
    return "".join(each for each in blanks if unicodedata.category(each)[0] != "C")


def at(answer: object, path: str) -> Any:
    """The value at a dotted path of a JSON answer; None if there is none."""
    for key in path.split("."):
        answer = answer.get(key) if isinstance(answer, dict) else None
    return answer


def networks_of(words: Iterable[str]) -> NetworkSet:
    """Networks as a vendor lists them, with host bits ignored. Raises `ValueError`."""
    return NetworkSet.of(str(ip_network(word, strict=False)) for word in words)
