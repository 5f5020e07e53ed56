"""`@dataclass(frozen=True, slots=True)` without the cost at import. Imports nothing else of the
project.

The standard library compiles six methods for every such class while its module is imported, some
three million instructions for each class; most of them are not instantiated in a run. Here a class
has its slots at once. `__init__` is compiled at the first instance, the other methods need no
compiling, and what `dataclasses` itself asks for (`fields`, `replace`, `asdict`) is made by the
standard library when it does. Type checkers see the standard library's decorator.
"""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, Field
from operator import attrgetter
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from dataclasses import dataclass
else:

    def dataclass(*, frozen: bool, slots: bool) -> Callable[[type], type]:
        """The decorator. Both must be true: other classes use the standard library's."""
        if not (frozen and slots):
            raise TypeError("only frozen dataclasses with slots are completed later")
        return _with_slots


__all__ = ["dataclass"]

_DESCRIPTIONS = ("__dataclass_fields__", "__dataclass_params__")
"""What the functions of `dataclasses` look for."""
_completing = threading.RLock()


class _Later:
    """An attribute of the class that is completed when it is asked for."""

    __slots__ = ("_complete", "_name")

    def __init__(self, name: str, complete: Callable[[type], Mapping[str, object]]) -> None:
        self._name, self._complete = name, complete

    def __get__(self, instance: object, owner: type) -> Any:
        made = next(base for base in owner.__mro__ if self._name in base.__dict__)
        with _completing:  # threads may ask at once
            if made.__dict__[self._name] is self:
                for name, member in self._complete(made).items():
                    if isinstance(made.__dict__[name], _Later):
                        setattr(made, name, member)
        return getattr(owner if instance is None else instance, self._name)


def _with_slots(written: type) -> type:
    """The class with its slots; the rest comes later. Raises `TypeError` if it inherits fields."""
    if any("__dataclass_fields__" in base.__dict__ for base in written.__mro__[1:]):
        raise TypeError(f"{written.__name__} inherits fields, which this decorator does not do")
    names = tuple(
        name for name, hint in written.__annotations__.items() if "ClassVar" not in str(hint)
    )
    given = {name: written.__dict__[name] for name in names if name in written.__dict__}
    left_out = {*names, "__dict__", "__weakref__"}
    namespace = {key: value for key, value in written.__dict__.items() if key not in left_out}
    namespace |= {
        "__slots__": names,
        "__frozen_fields__": names,
        "__match_args__": tuple(name for name in names if _is_taken(given.get(name))),
        "__qualname__": written.__qualname__,
        "__setattr__": _refuse_to_set,
        "__delattr__": _refuse_to_delete,
        "__getstate__": _state_of,
        "__setstate__": _restore,
        "__replace__": _replaced,
    }
    for name in ("__init__", "__repr__", "__eq__", "__hash__"):
        if namespace.get(name) is None:  # None: no hash, beside an `__eq__` of its own
            namespace[name] = _Later(name, lambda made: _methods(made, given))
    for name in _DESCRIPTIONS:
        namespace[name] = _Later(name, lambda _: _described(written))
    return type(written)(written.__name__, written.__bases__, namespace)


def _methods(made: Any, given: Mapping[str, object]) -> Mapping[str, object]:
    """The methods of a class. `given`: what its author assigned to fields."""
    names: tuple[str, ...] = made.__frozen_fields__
    special = {name: value for name, value in given.items() if isinstance(value, Field)}
    compared = [name for name in names if name not in special or special[name].compare]
    values, hashed = (
        _reader_of(compared),
        _reader_of(name for name in names if name not in special or _is_hashed(special[name])),
    )

    def equal(self: object, other: object) -> bool:
        if other.__class__ is not self.__class__:
            return NotImplemented  # type: ignore[no-any-return]
        return bool(values(self) == values(other))

    def represent(self: object) -> str:
        shown = (name for name in names if name not in special or special[name].repr)
        fields = ", ".join(f"{name}={getattr(self, name)!r}" for name in shown)
        return f"{self.__class__.__qualname__}({fields})"

    return {
        "__init__": _initializer(made, names, given),
        "__repr__": represent,
        "__eq__": equal,
        "__hash__": lambda self: hash(hashed(self)),
    }


def _is_taken(value: object) -> bool:
    """Whether what is assigned to a field leaves it to `__init__`."""
    return not isinstance(value, Field) or value.init


def _is_hashed(field: Field[Any]) -> bool:
    return field.compare if field.hash is None else field.hash


def _reader_of(names: Iterable[str]) -> Callable[[Any], object]:
    """What reads these fields of an instance as a tuple, as fast as compiled code."""
    listed = tuple(names)
    if len(listed) > 1:
        return attrgetter(*listed)
    if not listed:
        return lambda _: ()
    read = attrgetter(*listed)
    return lambda instance: (read(instance),)


def _initializer(made: Any, names: Iterable[str], given: Mapping[str, object]) -> object:
    """`__init__`, compiled. It assigns past `__setattr__`, which refuses."""
    scope: dict[str, Any] = {"_assign": object.__setattr__, "_missing": MISSING}
    parameters, body = ["self"], []
    for name in names:
        value: Any = given.get(name, MISSING)
        factory: Any = None
        if not _is_taken(value):  # it has a default, or the class is refused
            scope[f"_default_{name}"] = value.default
            body.append(f"_assign(self, {name!r}, _default_{name})")
            continue
        if isinstance(value, Field):
            value, factory = value.default, value.default_factory
        if callable(factory):
            scope[f"_make_{name}"] = factory
            parameters.append(f"{name}=_missing")
            body.append(f"if {name} is _missing: {name} = _make_{name}()")
        elif value is not MISSING:
            scope[f"_default_{name}"] = value
            parameters.append(f"{name}=_default_{name}")
        else:
            parameters.append(name)
        body.append(f"_assign(self, {name!r}, {name})")
    if hasattr(made, "__post_init__"):
        body.append("self.__post_init__()")
    lines = "\n ".join(body or ["pass"])
    exec(f"def __init__({', '.join(parameters)}):\n {lines}", scope)  # noqa: S102 - the names of a class of ours
    initializer = scope["__init__"]
    initializer.__qualname__ = f"{made.__qualname__}.__init__"
    initializer.__module__ = made.__module__
    taken = initializer.__code__.co_varnames[1 : initializer.__code__.co_argcount]
    initializer.__annotations__ = {name: made.__annotations__[name] for name in taken}
    return initializer


def _described(written: type) -> Mapping[str, object]:
    """What the standard library says of the class."""
    described: type = dataclasses.dataclass(frozen=True, init=False, repr=False, eq=False)(written)
    return {name: described.__dict__[name] for name in _DESCRIPTIONS}


def _refuse_to_set(_: object, name: str, __: object) -> NoReturn:
    raise dataclasses.FrozenInstanceError(f"cannot assign to field {name!r}")


def _refuse_to_delete(_: object, name: str) -> NoReturn:
    raise dataclasses.FrozenInstanceError(f"cannot delete field {name!r}")


def _state_of(self: Any) -> list[Any]:
    """For `copy` and `pickle`, as the standard library's frozen dataclasses with slots have it."""
    return [getattr(self, name) for name in self.__frozen_fields__]


def _restore(self: Any, state: list[Any]) -> None:
    for name, value in zip(self.__frozen_fields__, state, strict=True):
        object.__setattr__(self, name, value)


def _replaced(self: Any, **changes: object) -> object:
    """For `copy.replace` of Python 3.13."""
    return dataclasses.replace(self, **changes)
