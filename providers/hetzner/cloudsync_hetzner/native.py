"""This provider's own frozen values: what the reader found, what a step wants; and the owner marker
as labels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from cloudsync.provider.marker import Marker
from cloudsync_hetzner.rules import NativeRule

OWNER, FIREWALL, HOSTS = "cloudsync/owner", "cloudsync/firewall", "cloudsync/hosts"


@dataclass(frozen=True, slots=True)
class Found:
    """What the planner needs of an existing firewall beside its rules. `foreign_effective`: of the
    fullest server it covers."""

    id: int = 0
    labels: Mapping[str, str] = field(default_factory=dict)
    outbound: tuple[NativeRule, ...] = ()
    foreign_effective: int = 0
    inbound: tuple[NativeRule, ...] = ()
    """The inbound rules as they were read, in the order of `Present.objects`."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What one write sends."""

    name: str
    rules: tuple[NativeRule, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    resources: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class Change:
    """One write. `id`: of the firewall, None for the one that creates it."""

    verb: Literal["create", "set_rules", "attach", "mark"]
    id: int | None
    wanted: Wanted


def labels_of(marker: Marker, others: Mapping[str, str]) -> dict[str, str]:
    """All labels of a firewall with its marker: an update replaces the whole map, so the user's own
    go along."""
    return dict(others) | {OWNER: marker.owner, FIREWALL: marker.firewall, HOSTS: marker.hosts}


def unmarked(labels: Mapping[str, str]) -> dict[str, str]:
    """The user's own labels: what is left when the marker is taken off."""
    return {key: value for key, value in labels.items() if key not in (OWNER, FIREWALL, HOSTS)}


def marker_of(labels: Mapping[str, str]) -> Marker | None:
    """The marker; with a part missing it is still somebody's, and fits nobody."""
    if not any(key in labels for key in (OWNER, FIREWALL, HOSTS)):
        return None
    return Marker(labels.get(OWNER, "?"), labels.get(FIREWALL, "?"), labels.get(HOSTS, "?"))
