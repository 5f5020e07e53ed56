"""What applies remember: of a firewall, what its containers needed and since when they do not; of a
host, which engine answered; of a network that moves, its last good answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from datetime import datetime

from cloudsync.rules import NetworkSet, Rule, RuleSet
from cloudsync.rules.frozen import dataclass
from cloudsync.runtime.clock import Moment


@dataclass(frozen=True, slots=True)
class Missing:
    """Rules that complete reads miss since `since`; `waited`: seconds, up to the moment the memory
    was last written."""

    rules: RuleSet
    """What is missed."""
    since: datetime
    waited: float


@dataclass(frozen=True, slots=True)
class Memory:
    """What applies remember of one firewall. `identity`: the vendor's firewall it is about.
    `hosts`: what each host's containers needed, and still is open. `looked`: when an apply last
    looked."""

    identity: str
    looked: Moment
    hosts: Mapping[str, RuleSet] = field(default_factory=dict)
    missing: tuple[Missing, ...] = ()
    """What complete reads miss, and since when."""
    written: tuple[Rule, ...] = ()
    """Rules that cloudsync itself wrote and that are still open, as they were written: what tells
    its own rules from those of others."""
    expose: str = ""
    """`policy.expose` of the last apply that looked; "" if it is not known."""


@dataclass(frozen=True, slots=True)
class Remembered:
    """What applies remember of one host."""

    engines: Mapping[str, str] = field(default_factory=dict)
    """The engine's id by its name in the configuration."""
    unknown_since: datetime | None = None
    """The first apply that could not read the host completely; None if the last one could."""
    down: bool = False
    """Whether nothing of the host could be read when an apply last tried to."""
    sequence: int = 0
    """Of the newest inventory of the host that was read; 0 if there was none."""


@dataclass(frozen=True, slots=True)
class NetworkMemory:
    """The last good answer of a network that moves."""

    origin: str
    """A digest of where it was read; an answer from another place says nothing."""
    networks: NetworkSet
    """Its addresses then."""
    read: datetime
    """When, UTC."""


@dataclass(frozen=True, slots=True)
class EngineMemory:
    """What applies remember of all hosts."""

    hosts: Mapping[str, Remembered] = field(default_factory=dict)
    """By the name of the host."""
    kept_in: str = ""
    """Where it is kept, for messages: a file a person can edit."""
