"""`include`: tables of other files, each value with its own place.

Paths in them are relative to the including file's folder, like its own. A file that is included may
hold hosts, firewalls, networks and accounts; it must be as safe as the file that includes it.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cloudsync.config.configuration import KeyPath, Place
from cloudsync.config.find import unsafe
from cloudsync.config.places import place_of, places
from cloudsync.config.problems import ConfigError, Problem
from cloudsync.config.reading import read_text, syntax_problem
from cloudsync.rules.frozen import dataclass

MAY_HOLD = ("firewalls", "hosts", "networks", "providers")


@dataclass(frozen=True, slots=True)
class Whole:
    """A file and what it includes, as one."""

    raw: dict[str, Any]
    """As parsed, before any model."""
    places: dict[KeyPath, Place]
    """Where each key stands."""
    included: tuple[Path, ...] = ()
    """The files that `include` named."""


def with_included(raw: dict[str, Any], known: dict[KeyPath, Place], path: Path, file: str) -> Whole:
    """The values with those of the included files. Raises `ConfigError` with everything that is
    wrong."""
    patterns = raw.get("include")
    if not isinstance(patterns, list) or not all(isinstance(each, str) for each in patterns):
        return Whole(raw, known)
    whole, everywhere = dict(raw), dict(known)
    problems: list[Problem] = []
    files = list(dict.fromkeys(_files(patterns, path.resolve().parent)))
    strict = unsafe(path) is None
    for included in files:
        try:
            _take_in(whole, everywhere, included, strict=strict)
        except ConfigError as error:
            problems += error.problems
    for number, pattern in enumerate(patterns):
        if "*" not in pattern and not (path.resolve().parent / pattern).is_file():
            place = place_of(("include", number), known, file)
            problems.append(Problem(place, f"include.{number}", "is not a file"))
    if problems:
        raise ConfigError(problems)
    return Whole(whole, everywhere, tuple(files))


def _files(patterns: list[str], base: Path) -> Iterator[Path]:
    for pattern in patterns:
        relative = pattern.removeprefix("/")
        root = Path("/") if pattern.startswith("/") else base
        if "\0" in relative or not relative:
            continue
        yield from sorted(file for file in root.glob(relative) if file.is_file())


def _take_in(
    whole: dict[str, Any], everywhere: dict[KeyPath, Place], path: Path, *, strict: bool
) -> None:
    file = str(path)
    if strict and (why := unsafe(path)) is not None:
        raise ConfigError([Problem(Place(file, 1, 1), "", f"{why}, so it is not included")])
    text = read_text(path, file)
    try:
        raw, known = tomllib.loads(text), places(text, file)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError([syntax_problem(error, file, text)]) from None
    except RecursionError:
        raise ConfigError([Problem(Place(file, 1, 1), "", "is nested too deeply")]) from None
    problems = [
        Problem(
            place_of((key,), known, file), key, f"an included file holds {', '.join(MAY_HOLD)} only"
        )
        for key in raw
        if key not in MAY_HOLD
    ]
    for key in MAY_HOLD:
        tables = raw.get(key, {})
        before = whole.get(key, {})
        if not isinstance(tables, dict) or not isinstance(before, dict):
            continue
        for name in tables.keys() & before.keys():
            other = place_of((key, name), everywhere, file)
            place = place_of((key, name), known, file)
            problems.append(Problem(place, f"{key}.{name}", f"is also at {other}"))
        whole[key] = {**tables, **before}
    if problems:
        raise ConfigError(problems)
    for where, place in known.items():
        everywhere.setdefault(where, place)
