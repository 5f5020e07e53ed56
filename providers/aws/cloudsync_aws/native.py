"""This provider's own frozen values: what the reader found, what a step wants; and the owner marker
as tags."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field
from typing import Any

from cloudsync.provider.contract import StepKind, VendorRule
from cloudsync.provider.marker import Marker, MarkerKeys
from cloudsync.provider.single_rules import FAMILIES, SingleRule
from cloudsync.rules.frozen import dataclass
from cloudsync.rules.networks import Family
from cloudsync_aws.permissions import Permission, request

MARKER = MarkerKeys("cloudsync:owner", "cloudsync:firewall", "cloudsync:hosts")
DESCRIPTION = "managed by cloudsync"
"""Of every group that is created; it can never be changed."""


@dataclass(frozen=True, slots=True)
class Found:
    """What the planner needs of a group besides its rules; for an absent one too."""

    quota: int
    """Inbound rules for each address family."""
    group_id: str = ""
    """Empty for a group that does not exist."""
    permissions: Mapping[str, Permission] = field(default_factory=dict)
    """Its rules about networks, by key."""
    others: int = 0
    """What its other rules cost of the quota, in both families."""
    weights: Mapping[str, int] = field(default_factory=dict)
    """What a rule by a prefix list costs of the quota, by the list's id."""

    def cost(self, rules: Iterable[Permission], family: Family) -> int:
        """What rules cost of the quota of a family: one by a prefix list costs it in both."""
        return sum(
            self.weights.get(rule.prefix_list, 1)
            if rule.prefix_list
            else (":" in rule.source) == (family == 6)
            for rule in rules
        )

    def used(self, family: Family) -> int:
        """How much of the quota is used."""
        return self.others + self.cost(self.permissions.values(), family)

    def of(
        self, adding: Iterable[SingleRule], removing: Iterable[VendorRule] = ()
    ) -> list[Permission]:
        """Rules to add or to take away, as AWS has them."""
        return [*map(Permission.of, adding), *(self.permissions[rule.key] for rule in removing)]

    def over(
        self, family: Family, adding: Iterable[SingleRule], removing: Iterable[VendorRule] = ()
    ) -> bool:
        """Whether what is added passes the quota of a family, with what is there and without what
        is removed. A family that gains nothing passes nothing."""
        more, less = self.cost(self.of(adding), family), self.cost(self.of((), removing), family)
        return more > 0 and self.used(family) + more - less > self.quota

    def has_room(self, adding: Sequence[SingleRule], removing: Sequence[VendorRule]) -> bool:
        """Whether the quotas of both families have room."""
        return not any(self.over(family, adding, removing) for family in FAMILIES)


@dataclass(frozen=True, slots=True)
class Change:
    """One call of EC2."""

    operation: str
    """EC2's name of the call."""
    parameters: Mapping[str, Any]
    rules: Sequence[Mapping[str, Any]] = ()
    """The `IpPermissions` to authorize in the group that the call creates."""


def creation(
    name: str, vpc: str | None, marker: Marker, adding: Iterable[Permission] = ()
) -> Change:
    """A new group with its marker and rules."""
    tags = {"ResourceType": "security-group", "Tags": tags_of(marker)}
    parameters = {
        "GroupName": name,
        "Description": DESCRIPTION,
        "VpcId": vpc,
        "TagSpecifications": [tags],
    }
    return Change("CreateSecurityGroup", parameters, request(adding, described=True))


def change_of(kind: StepKind, rules: Iterable[Permission], group_id: str) -> Change:
    """Rules to add to a group (`widen`), or to take away."""
    add = kind is StepKind.WIDEN
    operation = "AuthorizeSecurityGroupIngress" if add else "RevokeSecurityGroupIngress"
    permissions = request(rules, described=add)
    return Change(operation, {"GroupId": group_id, "IpPermissions": permissions})


def marked(group_id: str, marker: Marker) -> Change:
    """A group that gets its marker."""
    return Change("CreateTags", {"Resources": [group_id], "Tags": tags_of(marker)})


def unmarked(group_id: str, marker: Marker) -> Change:
    """A group that loses its marker. Keys alone: a value would have to fit for the tag to go."""
    tags = [{"Key": key} for key in MARKER.write(marker)]
    return Change("DeleteTags", {"Resources": [group_id], "Tags": tags})


def tags_of(marker: Marker) -> list[dict[str, str]]:
    """The marker as the API wants tags."""
    return [{"Key": key, "Value": value} for key, value in MARKER.write(marker).items()]
