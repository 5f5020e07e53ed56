"""This provider's own frozen values: what the reader found, what a step wants; and the owner
marker, as a tag or in the description."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from cloudsync.provider.marker import Marker
from cloudsync.provider.single_rules import SingleRule
from cloudsync.rules.frozen import dataclass
from cloudsync_openstack.answers import Group, Port, Quotas

CREATED = "managed by cloudsync"
DEFAULT = "default"
"""The group that every project has."""
EGRESS_OF_NEW_GROUP = 2
MAX_TAG = 60
"""Characters of a tag on every release; newer ones take 255."""
_MARK = re.compile(r"cloudsync:([a-z0-9-]{1,20}):([a-z0-9._-]{1,40}):([0-9a-f]{8})")
_IN_TEXT = re.compile(rf" ?\[{_MARK.pattern}\]")


@dataclass(frozen=True, slots=True)
class Found:
    """What the planner needs of a group besides its rules, of an absent one too."""

    project: str
    quotas: Quotas | None = None
    """None if the cloud does not report them."""
    group: Group | None = None

    @property
    def by_itself(self) -> int:
        """Rules that Neutron gives the group that is to be created, which count for the quota."""
        return EGRESS_OF_NEW_GROUP if self.group is None else 0

    def has_room(self, adding: Sequence[object], removing: Sequence[object]) -> bool:
        """Whether the quota has room for rules to add, once others are removed; it may be unknown
        or without limit."""
        if self.quotas is None or not adding:
            return True
        if self.group is None and self.quotas.security_group.free == 0:
            return False
        free = self.quotas.security_group_rule.free
        return free is None or len(adding) + self.by_itself <= free + len(removing)


@dataclass(frozen=True, slots=True)
class Create:
    """A group that does not exist yet, with its rules."""

    name: str
    project: str
    marker: Marker
    rules: tuple[SingleRule, ...]


@dataclass(frozen=True, slots=True)
class Add:
    group: str
    rules: tuple[SingleRule, ...]


@dataclass(frozen=True, slots=True)
class Delete:
    rules: tuple[str, ...]
    """Ids."""


@dataclass(frozen=True, slots=True)
class Mark:
    """Put `marker` on a group, or take every marker off it."""

    group: Group
    marker: Marker | None


@dataclass(frozen=True, slots=True)
class Attach:
    """`group`: an id; None for the one that an earlier step creates, known by project and name.
    `ports`: as they were read."""

    group: str | None
    project: str
    name: str
    ports: tuple[Port, ...]


Change = Create | Add | Delete | Mark | Attach


def tag_of(marker: Marker) -> str:
    """The marker as text without blanks."""
    return f"cloudsync:{marker.owner}:{marker.firewall}:{marker.hosts}"


def tag_for(group: Group, marker: Marker) -> str | None:
    """The tag that the marker is on this cloud; None if it goes into the description."""
    tag = tag_of(marker)
    return tag if group.tags is not None and len(tag) <= MAX_TAG else None


def markers_of(group: Group) -> tuple[Marker, ...]:
    """Every marker on a group: those of its tags, or else the one of its description."""
    tags = [match for tag in group.tags or () if (match := _MARK.fullmatch(tag))]
    matches = tags or list(_IN_TEXT.finditer(group.description or ""))
    return tuple(dict.fromkeys(Marker(*match.groups()) for match in matches))


def mark_tags(tags: Sequence[str] | None) -> list[str]:
    """The tags that are markers."""
    return [tag for tag in tags or () if _MARK.fullmatch(tag)]


def marked(text: str | None, marker: Marker | None) -> str:
    """A description with this marker instead of any it has."""
    bare = _IN_TEXT.sub("", text or "").strip()
    return f"{bare} [{tag_of(marker)}]".strip() if marker is not None else bare


def has_mark(text: str | None) -> bool:
    """Whether a description has a marker in it."""
    return _IN_TEXT.search(text or "") is not None


def oldest(groups: Iterable[Group]) -> Group:
    """The group that stays if several were created at once."""
    return min(groups, key=lambda group: (group.created_at, group.id))


def same_id(a: str, b: str) -> bool:
    """Ids are written with dashes and without."""
    return a.replace("-", "") == b.replace("-", "")
