"""This provider's own frozen values: what the reader saw, and what a step writes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Any, Literal

from cloudsync.provider.marker import MarkerKeys
from cloudsync.rules.frozen import dataclass
from cloudsync_hetzner.answers import Rule

MARKER = MarkerKeys()


@dataclass(frozen=True, slots=True)
class Observed:
    """What the planner needs of an existing firewall besides its rules."""

    id: int = 0
    labels: Mapping[str, str] = field(default_factory=dict)
    inbound: tuple[Rule, ...] = ()
    """The inbound rules as they were read, in the order of `Present.objects`."""
    outbound: tuple[Rule, ...] = ()
    foreign_effective: int = 0
    """Effective rules of other firewalls on the fullest server that it covers."""


@dataclass(frozen=True, slots=True)
class Resource:
    """What to apply a firewall to."""

    body: Mapping[str, Any]
    full: str = ""
    """The name of a server that it would come to and that has no room for it; "" if none."""


@dataclass(frozen=True, slots=True)
class Write:
    """One write."""

    verb: Literal["create", "set_rules", "attach", "mark"]
    id: int | None
    """The firewall's id; None for the one that is created."""
    name: str
    rules: tuple[Rule, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    resources: tuple[Resource, ...] = ()
