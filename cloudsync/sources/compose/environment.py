"""The variables of a project: `.env` files, in docker compose's own dialect. The environment of the
process is not among them.

A plan must come out the same on every machine and in CI, and must not carry a secret of the process
into a label: what a variable means is written in a file that the configuration names, or in `.env`
in the folder of the Compose file.
"""

from __future__ import annotations

import re
from collections import ChainMap
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import field, replace

from cloudsync.rules.frozen import dataclass
from cloudsync.sources.compose.budget import Budget
from cloudsync.sources.compose.interpolation import (
    Interpolated,
    InterpolationError,
    interpolate,
)
from cloudsync.sources.compose.missing import refuse_missing
from cloudsync.sources.compose.nodes import ComposeError, Missing, Place

_BLANK = re.compile(r"\s+|#[^\n]*")
_EXPORT = re.compile(r"export[ \t\v\f\r]+")
_SEPARATOR = re.compile(r"[=:\n]")
_SPACES = re.compile(r"[ \t\v\f\r\x85\xa0]*")
_QUOTED = {
    '"': re.compile(r'"([^"\\]*+(?:\\.[^"\\]*+)*+)"', re.DOTALL),
    "'": re.compile(r"'([^'\\]*+(?:\\.[^'\\]*+)*+)'", re.DOTALL),
}
_ESCAPE = re.compile(r'\\([abcfnrtv$"\\])')
_ESCAPED = {"a": "\a", "b": "\b", "c": "\\c", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}


@dataclass(frozen=True, slots=True)
class Environment:
    """The variables that a project, or one that it includes, sees."""

    values: Mapping[str, str] = field(default_factory=dict)
    searched: tuple[str, ...] = ()
    """The env files they come from, as messages name them."""
    unset: Mapping[str, str] = field(default_factory=dict)
    """Why a variable of an env file has no value: the line that refers to another one without."""

    def get(self, name: str) -> str:
        """The value of a variable; empty without one."""
        return self.values.get(name, "")

    def having(self, name: str, value: str) -> Environment:
        """The same with one variable set, whatever the files say."""
        return replace(self, values={**self.values, name: value})

    def explain(self, missing: Missing) -> Missing:
        """A missing variable with where it was looked for."""
        return replace(
            missing,
            searched=self.searched,
            problem=missing.problem or self.unset.get(missing.name, ""),
        )


def read_environment(
    outer: Environment, files: Iterable[tuple[str, str]], budget: Budget
) -> Environment:
    """`outer`, and under it what the files (name, text) say, the later over the earlier.

    Values refer to the variables of `outer` first, then to the lines above. A value that refers to
    a variable that is not set is not set itself: nothing becomes empty by accident. Raises
    `ComposeError`.
    """
    values: dict[str, str] = {}
    unset: dict[str, str] = {}
    searched = list(outer.searched)
    known = ChainMap(dict(outer.values), values)
    for file, text in files:
        searched.append(file)
        for statement in _Statements(text, file):
            value = statement.value(known)
            budget.count_characters(len(value.text), statement.place)
            if value.missing:
                values.pop(statement.name, None)
                missing = value.missing[0].name
                unset[statement.name] = f"{statement.place} refers to {missing}, which is not set"
            else:
                values[statement.name] = value.text
                unset.pop(statement.name, None)
    return Environment(
        {**values, **outer.values}, tuple(dict.fromkeys(searched)), {**unset, **outer.unset}
    )


@dataclass(frozen=True, slots=True)
class _Statement:
    """One assignment of an env file."""

    name: str
    raw: str
    """The value between its quotes."""
    quote: str
    place: Place

    def value(self, known: Mapping[str, str]) -> Interpolated:
        """The value with escapes and variables replaced. Raises `ComposeError`."""
        if self.quote == "'":
            return Interpolated(self.raw.replace("\\'", "'"), ())
        raw = _ESCAPE.sub(_unescaped, self.raw) if self.quote else self.raw
        try:
            value = interpolate(raw, known)
        except InterpolationError as error:
            raise ComposeError(self.place, str(error)) from None
        for missing in value.missing:
            if missing.required:
                refuse_missing([(self.place, missing)])
        return value


class _Statements:
    """The assignments of one file, in their order."""

    def __init__(self, text: str, file: str) -> None:
        self.text, self.file = text.removeprefix("\ufeff").replace("\r\n", "\n"), file
        self.at, self.line, self.counted = 0, 1, 0

    def __iter__(self) -> Iterator[_Statement]:
        while self.skip_blank():
            place = self.place()
            name, assigned = self.name(place)
            if assigned:  # else it would be inherited from the process
                yield self.statement(name, place)

    def place(self) -> Place:
        self.line += self.text.count("\n", self.counted, self.at)
        self.counted = self.at
        return Place(self.file, self.line)

    def skip_blank(self) -> bool:
        """Go to the next statement; False at the end of the file."""
        while blank := _BLANK.match(self.text, self.at):
            self.at = blank.end()
        return self.at < len(self.text)

    def name(self, place: Place) -> tuple[str, bool]:
        """The name up to `=` or `:`, and whether there is one of these."""
        if export := _EXPORT.match(self.text, self.at):
            self.at = export.end()
        separator = _SEPARATOR.search(self.text, self.at)
        end = separator.start() if separator else len(self.text)
        name = self.text[self.at : end]
        self.at = separator.end() if separator else end
        if not all(map(_in_name, name)):
            raise ComposeError(
                place, "a line begins with the name of a variable: letters, digits, _ . -"
            )
        name = name.rstrip()
        if " " in name:
            raise ComposeError(place, "the name of a variable contains a space")
        return name, separator is not None and separator.group() != "\n"

    def statement(self, name: str, place: Place) -> _Statement:
        self.at = _end(_SPACES, self.text, self.at)
        quote = self.text[self.at : self.at + 1]
        if quote not in _QUOTED:
            end = self.text.find("\n", self.at)
            end = end if end >= 0 else len(self.text)
            raw, self.at = self.text[self.at : end], end
            return _Statement(name, raw.split(" #", 1)[0].rstrip(), "", place)
        match = _QUOTED[quote].match(self.text, self.at)
        if match is None:
            raise ComposeError(place, "the quoted value does not end")
        self.at = match.end()
        return _Statement(name, match.group(1), quote, place)


def _end(pattern: re.Pattern[str], text: str, at: int) -> int:
    match = pattern.match(text, at)
    return match.end() if match else at


def _in_name(character: str) -> bool:
    return character.isalpha() or character.isnumeric() or character in "_.-[] \t\v\f\r\x85\xa0"


def _unescaped(match: re.Match[str]) -> str:
    character = match.group(1)
    return "$$" if character == "$" else _ESCAPED.get(character, character)
