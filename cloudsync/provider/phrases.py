"""Phrases that messages have in common: the core's, the renderings' and providers'. Pure."""

from __future__ import annotations

from collections.abc import Iterable


def count(number: int, singular: str, plural: str | None = None) -> str:
    """`1 firewall`, `2 firewalls`; `plural` where an s at the end does not make it."""
    return f"{number} {singular if number == 1 else plural or singular + 's'}"


def first_of(words: Iterable[object], most: int, joint: str = ", ", noun: str = "") -> str:
    """The first `most` words, and how many more there are: `tcp/22, tcp/80 and 3 more rules` with
    the `noun` rule."""
    every = [str(word) for word in words]
    more = len(every) - most
    if more <= 0:
        return joint.join(every)
    rest = count(more, f"more {noun}") if noun else f"{more} more"
    return f"{joint.join(every[:most])} and {rest}"
