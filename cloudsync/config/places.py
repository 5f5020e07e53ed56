"""Where every key and every array element of a TOML text stands.

`tomllib` gives values without places. This walks the same text once more, after `tomllib` has
accepted it, and so only has to find its way through valid TOML: it skips values and notes where
keys and elements begin.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping

from cloudsync.config.configuration import KeyPath, Place

_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_SPACE = re.compile(r"[ \t]*")
_BARE = re.compile(r"[A-Za-z0-9_-]+")
_STRINGS = tuple(
    re.compile(pattern, re.DOTALL)
    for pattern in (
        r'"""(?:\\.|[^\\])*?"{3,5}(?!")',
        r"'''.*?'{3,5}(?!')",
        r'"(?:\\.|[^"\\\n])*"',
        r"'[^'\n]*'",
    )
)
_SCALAR = re.compile(r"[^,\]}#\n]+")


def places(text: str, file: str) -> dict[KeyPath, Place]:
    """Every path of the document with its 1-based line and column; elements of arrays are numbered
    from 0. `text` must be valid TOML."""
    return _Walk(text, file).document()


def place_of(path: KeyPath, known: Mapping[KeyPath, Place], file: str) -> Place:
    """The place of the longest known beginning of `path`."""
    for length in range(len(path), 0, -1):
        if (place := known.get(path[:length])) is not None:
            return place
    return Place(file, 1, 1)


class _Walk:
    def __init__(self, text: str, file: str) -> None:
        self.text, self.file, self.at = text, file, 0
        self.found: dict[KeyPath, Place] = {}
        self.counts: dict[KeyPath, int] = {}
        self.starts = [0, *(match.end() for match in re.finditer("\n", text))]
        self.line = 0

    def document(self) -> dict[KeyPath, Place]:
        table: KeyPath = ()
        while self.skip(_BLANK) < len(self.text):
            if self.text[self.at] == "[":
                table = self.header()
            else:
                self.pair(table)
        return self.found

    def header(self) -> KeyPath:
        many = self.text.startswith("[[", self.at)
        start = self.at
        self.at += 2 if many else 1
        path: KeyPath = ()
        keys = self.keys()
        for number, (key, _) in enumerate(keys):
            path = (*path, key)
            self.mark(path, start)
            if many and number == len(keys) - 1:
                self.counts[path] = self.counts.get(path, -1) + 1
            if path in self.counts:
                path = (*path, self.counts[path])
                self.mark(path, start)
        self.at += 2 if many else 1
        return path

    def pair(self, table: KeyPath) -> None:
        path = table
        for key, start in self.keys():
            path = (*path, key)
            self.mark(path, start)
        self.at += 1  # the equals sign
        self.skip(_SPACE)
        self.value(path)

    def keys(self) -> list[tuple[str, int]]:
        """A dotted key up to its `=` or `]`."""
        keys = []
        while True:
            start = self.skip(_SPACE)
            if match := _BARE.match(self.text, start):
                key = match.group()
                self.at = match.end()
            else:
                raw = self.string()
                key = tomllib.loads(f"k = {raw}")["k"]
            keys.append((key, start))
            self.skip(_SPACE)
            if self.text[self.at] != ".":
                return keys
            self.at += 1

    def value(self, path: KeyPath) -> None:
        opening = self.text[self.at]
        if opening == "[":
            self.at += 1
            number = 0
            while self.text[self.skip(_BLANK)] != "]":
                self.mark((*path, number), self.at)
                self.value((*path, number))
                number += 1
                if self.text[self.skip(_BLANK)] == ",":
                    self.at += 1
            self.at += 1
        elif opening == "{":
            self.at += 1
            while self.text[self.skip(_BLANK)] != "}":
                self.pair(path)
                if self.text[self.skip(_BLANK)] == ",":
                    self.at += 1
            self.at += 1
        elif opening in "\"'":
            self.string()
        else:
            self.skip(_SCALAR)

    def string(self) -> str:
        for pattern in _STRINGS:
            if match := pattern.match(self.text, self.at):
                self.at = match.end()
                return match.group()
        raise ValueError("not a TOML string")

    def skip(self, pattern: re.Pattern[str]) -> int:
        match = pattern.match(self.text, self.at)
        self.at = match.end() if match else self.at
        return self.at

    def mark(self, path: KeyPath, at: int) -> None:
        while self.line + 1 < len(self.starts) and self.starts[self.line + 1] <= at:
            self.line += 1
        while self.starts[self.line] > at:
            self.line -= 1
        self.found.setdefault(
            path, Place(self.file, self.line + 1, at - self.starts[self.line] + 1)
        )
