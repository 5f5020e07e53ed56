"""Which firewalls a shard takes, and which leases a run needs.

A layout is how many shards an owner is cut into. It is kept in the store, and only one layout is in
use at a time: a run that was told of another number changes it once no lease of the old one is
alive. So a firewall is in exactly one shard, whatever several schedulers were told.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from cloudsync.model.state_url import StatePlace
from cloudsync.rules.frozen import dataclass
from cloudsync.state import StateError

MOST_SHARDS = 1024
_SHARD = re.compile(r"([0-9]{1,4})/([0-9]{1,4})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Shard:
    """One of `count` parts of an owner's firewalls, numbered from 0."""

    number: int
    """From 0, below `count`."""
    count: int

    @classmethod
    def of(cls, words: str) -> Shard:
        """`0/4` to `3/4`; schedulers that count from 1 say `4/4` for the first. Raises
        `ValueError`."""
        match = _SHARD.fullmatch(words)
        if match is None:
            raise ValueError('must be a number and how many there are, such as "0/4"')
        number, count = int(match[1]), int(match[2])
        if not 1 <= count <= MOST_SHARDS or number > count:
            raise ValueError(f"must be 0/N to N/N, with N from 1 to {MOST_SHARDS}")
        return cls(number % count, count)

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"

    @property
    def unit(self) -> str:
        """What its lease is called."""
        return f"{self.number}-of-{self.count}"

    def takes(self, name: str) -> bool:
        """Whether the firewall (or the host that feeds none) belongs to it. The hash is for ever:
        it says whose lease guards what."""
        return number_of(name, self.count) == self.number


def number_of(name: str, count: int) -> int:
    """Which of so many shards takes the name."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8]) % count


def place_of(state: StatePlace, shard: Shard | None) -> StatePlace:
    """The same place for a controller of one shard, whose counters and reports are its own."""
    if shard is None or isinstance(state, Path):
        return state
    return replace(state, shard=shard.unit)


@dataclass(frozen=True, slots=True)
class Layout:
    """How an owner is cut."""

    count: int = 1
    """How many shards."""
    epoch: int = 0
    """How often that changed."""
    before: int | None = None
    """The number of shards of the layout before, as long as a lease of it may be alive."""

    def units(self, firewalls: Iterable[str] | None, shard: Shard | None) -> list[Shard]:
        """The shards whose leases a run needs: its own, else those of its firewalls (None: all)."""
        if shard is not None:
            return [shard]
        if firewalls is None:
            return [Shard(number, self.count) for number in range(self.count)]
        numbers = {number_of(name, self.count) for name in firewalls}
        return [Shard(number, self.count) for number in sorted(numbers)]


def layout_from(raw: bytes | None, where: str) -> Layout:
    """As it is kept; the first layout where none is. Raises `StateError`."""
    if raw is None:
        return Layout()
    try:
        value = json.loads(raw)
        before = value["before"]
        layout = Layout(
            int(value["shards"]), int(value["epoch"]), None if before is None else int(before)
        )
    except (ValueError, KeyError, TypeError, RecursionError):
        raise StateError(f"{where} is damaged; nothing was changed") from None
    if not (
        1 <= layout.count <= MOST_SHARDS
        and 1 <= (layout.before or 1) <= MOST_SHARDS
        and layout.epoch >= 0
    ):
        raise StateError(f"{where} is damaged; nothing was changed")
    return layout


def layout_kept(layout: Layout) -> bytes:
    """To keep it."""
    value = {"shards": layout.count, "epoch": layout.epoch, "before": layout.before}
    return (json.dumps(value) + "\n").encode()
