"""A configuration file as text, or what is wrong with it."""

from __future__ import annotations

import tomllib
from pathlib import Path

from cloudsync.config.configuration import Place
from cloudsync.config.problems import ConfigError, Problem

MAX_BYTES = 1024 * 1024


def read_text(path: Path, file: str) -> str:
    try:
        with path.open("rb") as opened:
            raw = opened.read(MAX_BYTES + 1)
        if len(raw) > MAX_BYTES:
            raise ConfigError(
                [
                    Problem(
                        Place(file, 1, 1), "", "larger than 1 MiB; not a valid configuration file"
                    )
                ]
            )
        return raw.decode("utf-8-sig").replace("\r\n", "\n")
    except OSError as error:
        raise ConfigError(
            [Problem(Place(file, 1, 1), "", f"cannot be read: {error.strerror}")]
        ) from None
    except UnicodeDecodeError:
        raise ConfigError([Problem(Place(file, 1, 1), "", "is not UTF-8 text")]) from None


def syntax_problem(error: tomllib.TOMLDecodeError, file: str, text: str) -> Problem:
    """tomllib says `what (at line 3, column 7)`; some of its whats quote keys, none quotes
    values."""
    what, _, where = str(error).rpartition(" (at ")
    numbers = [int(word) for word in where.rstrip(")").replace(",", "").split() if word.isdigit()]
    line, column = (numbers[0], numbers[1]) if len(numbers) == 2 else (text.count("\n") + 1, 1)
    return Problem(Place(file, line, column), "", f"is not TOML: {what or 'it ends too early'}")
