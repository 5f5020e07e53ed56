"""This provider's own frozen values: what the reader found, what a step wants; and the owner marker
as tags."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import field
from typing import Any, Literal

from cloudsync.frozen import dataclass
from cloudsync.provider.marker import Marker
from cloudsync_aws.permissions import Other, Permission

OWNER, FIREWALL, HOSTS = "cloudsync:owner", "cloudsync:firewall", "cloudsync:hosts"


@dataclass(frozen=True, slots=True)
class Found:
    """What the planner needs of a group beside its rules; for an absent one too. `quota`: inbound
    rules a family."""

    quota: int
    group_id: str | None = None
    permissions: tuple[Permission, ...] = ()
    others: tuple[Other, ...] = ()
    weights: Mapping[str, int] = field(default_factory=dict)
    """What a rule by a prefix list costs of the quota, by the list's id."""


@dataclass(frozen=True, slots=True)
class Change:
    """One step. `create`: name and VPC of a group that does not exist yet; else `group_id` says
    which."""

    verb: Literal["authorize", "revoke", "mark", "unmark"]
    group_id: str | None = None
    create: tuple[str, str] | None = None
    permissions: tuple[Permission, ...] = ()
    descriptions: Mapping[Permission, str] = field(default_factory=dict)
    marker: Marker | None = None


def tags_of(marker: Marker) -> list[dict[str, str]]:
    """The marker as the API wants tags."""
    values = {OWNER: marker.owner, FIREWALL: marker.firewall, HOSTS: marker.hosts}
    return [{"Key": key, "Value": value} for key, value in values.items()]


def marker_of(tags: Iterable[Mapping[str, Any]]) -> Marker | None:
    """The marker; with a part missing it is still somebody's, and fits nobody."""
    values = {str(tag.get("Key")): str(tag.get("Value")) for tag in tags}
    if not any(key in values for key in (OWNER, FIREWALL, HOSTS)):
        return None
    return Marker(values.get(OWNER, "?"), values.get(FIREWALL, "?"), values.get(HOSTS, "?"))
