"""This provider's own frozen values: what the reader saw, and what a step writes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from cloudsync.provider.marker import MarkerWords
from cloudsync_brook.answers import Firewall

MARKER = MarkerWords()
POLICY = "the default policy"


@dataclass(frozen=True, slots=True)
class Write:
    """One call. `id`: of the firewall; 0 for the one that is created."""

    method: str
    path: str
    body: Mapping[str, object] = field(default_factory=dict)
    id: int = 0


@dataclass(frozen=True, slots=True)
class Observed:
    """The firewall as it was read."""

    firewall: Firewall
