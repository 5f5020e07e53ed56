"""Frozen dataclasses that are completed later are those of the standard library, to the letter."""

from __future__ import annotations

import copy
import dataclasses
import importlib
import inspect
import pickle
import pkgutil
import threading
from collections.abc import Iterator
from dataclasses import field
from typing import Any, ClassVar, Generic, TypeVar

import pytest

import cloudsync
from cloudsync.rules import frozen

T = TypeVar("T")
PLUGINS = ("aws", "digitalocean", "gcp", "hetzner", "host", "local", "openstack")


@frozen.dataclass(frozen=True, slots=True)
class Later:
    """A class with every kind of field that the project has."""

    kind: ClassVar[str] = "later"
    first: int
    second: tuple[int, ...] = ()
    third: list[int] = field(default_factory=list, hash=False)
    note: str = field(default="", compare=False, repr=False)
    _known: int | None = field(default=None, init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        if self.first < 0:
            raise ValueError("below 0")

    @property
    def twice(self) -> int:
        return 2 * self.first


@dataclasses.dataclass(frozen=True, slots=True)
class AtOnce:
    """The same, as the standard library makes it."""

    kind: ClassVar[str] = "later"
    first: int
    second: tuple[int, ...] = ()
    third: list[int] = field(default_factory=list, hash=False)
    note: str = field(default="", compare=False, repr=False)
    _known: int | None = field(default=None, init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        if self.first < 0:
            raise ValueError("below 0")

    @property
    def twice(self) -> int:
        return 2 * self.first


@frozen.dataclass(frozen=True, slots=True)
class OfKind(Generic[T]):
    """A generic one."""

    value: T


@frozen.dataclass(frozen=True, slots=True)
class Empty:
    """One without fields."""


@frozen.dataclass(frozen=True, slots=True)
class OwnEquality:
    """One whose author compares for himself."""

    value: int

    def __eq__(self, other: object) -> bool:
        return isinstance(other, OwnEquality)


BOTH = pytest.mark.parametrize("made", [Later, AtOnce])


@BOTH
def test_it_is_made_by_position_and_by_name(made: Any) -> None:
    value = made(1, third=[2], note="n")
    assert (value.first, value.second, value.third, value.note) == (1, (), [2], "n")
    assert (value.twice, value.kind) == (2, "later")
    assert made(1).third is not made(1).third
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'first'"):
        made()
    with pytest.raises(TypeError, match="unexpected keyword argument 'fifth'"):
        made(1, fifth=1)
    with pytest.raises(ValueError, match="below 0"):
        made(-1)


@BOTH
def test_what_is_compared_hashed_and_shown_is_what_its_fields_say(made: Any) -> None:
    assert made(1, note="a") == made(1, note="b") != made(2)
    assert made(1) != (1, (), [])
    assert hash(made(1, (2,), [3], "x")) == hash((1, (2,)))
    assert repr(made(1, (2,), [3], "x")) == f"{made.__name__}(first=1, second=(2,), third=[3])"


@BOTH
def test_nothing_of_it_can_be_changed(made: Any) -> None:
    value = made(1)
    for name in ("first", "other"):
        with pytest.raises((dataclasses.FrozenInstanceError, TypeError)):
            setattr(value, name, 2)
    with pytest.raises(dataclasses.FrozenInstanceError, match="cannot assign to field 'first'"):
        value.first = 2
    with pytest.raises(dataclasses.FrozenInstanceError, match="cannot delete field 'first'"):
        del value.first
    assert not hasattr(value, "__dict__")
    assert value == made(1)


@BOTH
def test_dataclasses_own_functions_know_it(made: Any) -> None:
    value = made(1, (2,), [3], "x")
    assert [field.name for field in dataclasses.fields(made)] == [
        "first",
        "second",
        "third",
        "note",
        "_known",
    ]
    assert dataclasses.is_dataclass(value)
    assert dataclasses.replace(value, first=5) == made(5, (2,), [3])
    assert dataclasses.astuple(value) == (1, (2,), [3], "x", None)
    assert made.__match_args__ == ("first", "second", "third", "note")
    assert made.__dataclass_params__.frozen


@BOTH
def test_it_can_be_copied_and_pickled(made: Any) -> None:
    value = made(1, (2,), [3], "x")
    for again in (copy.copy(value), copy.deepcopy(value), pickle.loads(pickle.dumps(value))):
        assert dataclasses.astuple(again) == dataclasses.astuple(value)
    assert copy.deepcopy(value).third is not value.third


@BOTH
def test_its_signature_is_that_of_its_fields(made: Any) -> None:
    parameters = inspect.signature(made).parameters
    assert list(parameters) == ["first", "second", "third", "note"]
    assert parameters["first"].default is inspect.Parameter.empty
    assert parameters["first"].annotation == "int"
    assert (parameters["second"].default, parameters["note"].default) == ((), "")


def test_copy_replace_of_newer_pythons_knows_it() -> None:
    value: Any = Later(1, (2,))
    replaced = getattr(copy, "replace", lambda of, **changes: of.__replace__(**changes))
    assert replaced(value, first=5) == Later(5, (2,))


def test_generic_empty_and_own_methods_stay_what_they_are() -> None:
    assert OfKind[int](3) == OfKind(3)
    assert Empty() == Empty()
    assert (repr(Empty()), hash(Empty())) == ("Empty()", hash(()))
    assert OwnEquality(1) == OwnEquality(2)
    assert hash(OwnEquality(1)) == hash((1,))


def test_an_instance_that_was_restored_before_any_was_made_is_complete() -> None:
    @frozen.dataclass(frozen=True, slots=True)
    class Fresh:
        value: int

    restored: Any = object.__new__(Fresh)
    restored.__setstate__([3])
    assert repr(restored).endswith("Fresh(value=3)")
    assert restored == Fresh(3)


def test_threads_may_make_the_first_instances_at_once() -> None:
    for _ in range(50):

        @frozen.dataclass(frozen=True, slots=True)
        class Fresh:
            value: int

        made: list[object] = []
        start = threading.Barrier(4)

        def first(of: Any = Fresh, made: list[object] = made, start: Any = start) -> None:
            start.wait(10)
            made.append(of(3))

        threads = [threading.Thread(target=first) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)
        assert made == [Fresh(3)] * 4


def test_what_it_does_not_do_is_refused() -> None:
    with pytest.raises(TypeError, match="inherits fields"):

        @frozen.dataclass(frozen=True, slots=True)
        class Heir(Later):
            more: int = 0

    with pytest.raises(TypeError, match="only frozen"):
        frozen.dataclass(frozen=True, slots=False)


def _all_classes() -> Iterator[Any]:
    packages = [cloudsync, *(importlib.import_module(f"cloudsync_{name}") for name in PLUGINS)]
    for package in packages:
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if "__main__" in module.name or module.name.startswith("cloudsync.testing"):
                continue
            for member in vars(importlib.import_module(module.name)).values():
                if inspect.isclass(member) and member.__module__ == module.name:
                    yield member


def test_every_class_of_the_project_agrees_with_the_standard_library() -> None:
    """Fields come from the standard library's decorator, `__init__` does not: they say the same.
    A mutable default, or a field without one behind one that has it, fails here and not in a run.
    """
    seen = 0
    for made in _all_classes():
        if made.__setattr__ is not frozen._refuse_to_set:
            continue
        seen += 1
        parameters = inspect.signature(made.__init__).parameters
        fields = dataclasses.fields(made)
        assert [*parameters][1:] == [field.name for field in fields if field.init]
        assert [field.name for field in fields] == [*made.__slots__]
        for described in fields:
            if not described.init:
                continue
            assert not described.kw_only
            default = parameters[described.name].default
            if described.default_factory is not dataclasses.MISSING:
                assert default is dataclasses.MISSING
            elif described.default is dataclasses.MISSING:
                assert default is inspect.Parameter.empty
            else:
                assert default is described.default
    assert seen > 300
