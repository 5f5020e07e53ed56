"""Phrases of messages that vendors have in common. Pure."""

from __future__ import annotations

from collections.abc import Iterable


def first_of(words: Iterable[object], most: int, joint: str = ", ", noun: str = "") -> str:
    """The first `most` words, and how many more there are: `tcp/22, tcp/80 and 3 more rules` with
    the `noun` rules."""
    every = [str(word) for word in words]
    more = len(every) - most
    counted = f" and {more} more {noun}".rstrip() if more > 0 else ""
    return joint.join(every[:most]) + counted
