"""The variables of a project: `.env` files, in docker compose's own dialect. The environment of the
process is not among them.

A plan must come out the same on every machine and in CI, and must not carry a secret of the process
into a label: what a variable means stands in a file that the configuration names, or in `.env`
beside the Compose file.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from cloudsync.sources.compose.interpolation import InterpolationError, UnsetVariable, interpolate
from cloudsync.sources.compose.nodes import ComposeError, Place

_KEY = re.compile(r"[A-Za-z0-9_.\-\[\]]+")
_ESCAPE = re.compile(r'\\([abcfnrtv$"\\])')
_ESCAPED = {"a": "\a", "b": "\b", "c": "\\c", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}


def merged_environment(
    outer: Mapping[str, str], files: Iterable[tuple[str, str]]
) -> dict[str, str]:
    """`outer` and under it what the files (name, text) say, the later over the earlier. Raises
    `ComposeError`."""
    found: dict[str, str] = {}
    for name, text in files:
        found |= dotenv(text, name, found | dict(outer))
    return found | dict(outer)


def dotenv(text: str, file: str, known: Mapping[str, str]) -> dict[str, str]:
    """The variables of one file. `known`: what its values may refer to, beside the lines above.
    Raises `ComposeError`.

    A value that refers to a variable that is not set is not set itself: nothing becomes empty by
    accident.
    """
    return _Reader(text.replace("\r\n", "\n"), file, known).read()


class _Reader:
    def __init__(self, text: str, file: str, known: Mapping[str, str]) -> None:
        self.text, self.file, self.at = text.removeprefix("\ufeff"), file, 0
        self.known = dict(known)
        self.found: dict[str, str] = {}

    def read(self) -> dict[str, str]:
        while self.skip_blank():
            place = Place(self.file, self.text.count("\n", 0, self.at) + 1)
            key, has_value = self.key(place)
            if has_value:
                self.value(key, place)
        return self.found

    def skip_blank(self) -> bool:
        """Go to the next statement; whether there is one."""
        while self.at < len(self.text):
            if self.text[self.at].isspace():
                self.at += 1
            elif self.text[self.at] == "#":
                self.at = self.line_end()
            else:
                return True
        return False

    def line_end(self) -> int:
        end = self.text.find("\n", self.at)
        return len(self.text) if end < 0 else end

    def key(self, place: Place) -> tuple[str, bool]:
        """The name up to `=` or `:`; without one it would be inherited from the process, and is not
        set."""
        line = self.text[self.at : self.line_end()]
        split = re.search(r"[=:]", line)
        name = line if split is None else line[: split.start()]
        self.at += len(line) if split is None else split.end()
        name = re.sub(r"^export[ \t]+", "", name).strip()
        if name and not _KEY.fullmatch(name):
            raise ComposeError(
                place, "a line begins with the name of a variable: letters, digits, _ . -"
            )
        return name, split is not None

    def value(self, key: str, place: Place) -> None:
        while self.text[self.at : self.at + 1] in (" ", "\t", "\v", "\f", "\r"):
            self.at += 1
        quote = self.text[self.at : self.at + 1]
        if quote in ('"', "'") and quote:
            raw = self.quoted(quote, place)
            if quote == "'":
                self.found[key] = raw.replace("\\'", "'")
                return
            raw = _ESCAPE.sub(_unescaped, raw)
        else:
            end = self.line_end()
            raw = self.text[self.at : end].split(" #", 1)[0].rstrip()
            self.at = end
        try:
            self.found[key] = interpolate(raw, self.known | self.found)
        except UnsetVariable:
            self.found.pop(key, None)
            self.known.pop(key, None)
        except InterpolationError as error:
            raise ComposeError(place, str(error)) from None

    def quoted(self, quote: str, place: Place) -> str:
        end = self.at + 1
        while end < len(self.text):
            if self.text[end] == quote and not _odd_backslashes(self.text, end):
                raw = self.text[self.at + 1 : end]
                self.at = end + 1
                return raw
            end += 1
        raise ComposeError(place, "the quoted value does not end")


def _odd_backslashes(text: str, at: int) -> bool:
    count = 0
    while at - count - 1 >= 0 and text[at - count - 1] == "\\":
        count += 1
    return count % 2 == 1


def _unescaped(match: re.Match[str]) -> str:
    char = match.group(1)
    return "$$" if char == "$" else _ESCAPED.get(char, char)
