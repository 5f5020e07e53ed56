"""What is wrong with a configuration, as lines a person can jump to. Values are never part of them:
they may be secrets."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

from cloudsync.config.configuration import Place
from cloudsync.rules.frozen import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake: where, which key, what about it."""

    place: Place
    """File and line."""
    key: str
    """Dotted: `firewalls.web.hosts`."""
    text: str
    """A sentence without its subject."""

    def __str__(self) -> str:
        return ": ".join(filter(None, (str(self.place), self.key, self.text)))


class ConfigError(Exception):
    """The configuration cannot be used; `problems` are all that is wrong with it, in the order of
    the file."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(sorted(problems, key=lambda p: (p.place.line, p.place.column, p.key)))
        super().__init__("; ".join(str(problem) for problem in self.problems[:3]))


class NoConfiguration(ConfigError):
    """None is named, and none lies where one is looked for."""


def unknown_key(key: str, known: Iterable[str]) -> str:
    """`unknown key, did you mean "token"?`"""
    return f"unknown key{did_you_mean(key, known)}"


def did_you_mean(name: str, known: Iterable[str], prefix: str = "") -> str:
    """`, did you mean "web"?` after a name that does not exist; empty if nothing is near it.
    `prefix`: what every name that is `known` begins with when it is typed."""
    near = get_close_matches(name, list(known), 1)
    return f', did you mean "{prefix}{near[0]}"?' if near else ""
