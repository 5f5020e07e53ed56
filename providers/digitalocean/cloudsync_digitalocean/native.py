"""This provider's own frozen values. The owner marker can only live in the name at DigitalOcean."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Any, Literal

from cloudsync.provider.marker import MarkerName
from cloudsync.rules.frozen import dataclass
from cloudsync_digitalocean.answers import Firewall, Rule

MARKER = MarkerName()


@dataclass(frozen=True, slots=True)
class Observed:
    """What the planner needs of an existing firewall besides what its rules let in."""

    firewall: Firewall
    """The firewall as it was listed."""
    bare_taken: bool = False
    """Whether another firewall has the name without a marker."""


@dataclass(frozen=True, slots=True)
class Write:
    """One write: a call of its own, or a full replace, or only to wait."""

    verb: Literal["call", "replace", "wait"]
    id: str = ""
    """The firewall's id; empty for the one that is created."""
    method: str = "POST"
    path: str = ""
    """What follows the firewall in the call's path: `/rules`."""
    body: Mapping[str, Any] = field(default_factory=dict)
    expected: tuple[Rule, ...] = ()
    """The inbound rules a full replace was planned on."""
