"""Reading an account: all groups by id in one call per 200, all groups by name in one call per
200."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from cloudsync.provider.contract import Absent, FirewallSpec, Present
from cloudsync.provider.errors import Conflict, NotFound, Unsupported
from cloudsync.provider.owners import owners_of
from cloudsync.provider.reader import ReaderBase
from cloudsync.provider.rule_list import ListedRules
from cloudsync_aws import provider
from cloudsync_aws.answers import Group, Instance, Reservation
from cloudsync_aws.client import VALUES, Api
from cloudsync_aws.native import MARKER, Found
from cloudsync_aws.permissions import UnknownPermission
from cloudsync_aws.prefix_lists import PrefixLists

if TYPE_CHECKING:
    from cloudsync.provider.machines import Fleet, Marked

ALIVE = {"instance-state-name": ("pending", "running", "stopping", "stopped")}
"""What is terminated has no interfaces any more."""


class AwsReader(ReaderBase):
    """Reads one account and region."""

    def __init__(self, api: Api) -> None:
        self.api, self.lists = api, PrefixLists(api)
        self.groups: dict[str, Group] = {}
        """All that were described since the last `prepare`, by id."""
        self._called: dict[str, set[str]] = {}
        """Their ids by identity."""

    def prepare(self, specs: Sequence[FirewallSpec]) -> None:
        """The groups, by id and by name."""
        tables = {spec.name: provider.settings_of(spec) for spec in specs}
        vpcs = sorted({table.vpc_id for table in tables.values() if table.vpc_id})
        by_name = {_escaped(provider.name_of(s)) for s in specs if not tables[s.name].group_id}
        in_vpcs = {"vpc-id": vpcs} if len(vpcs) <= VALUES else {}
        self.groups, self._called = {}, {}
        self._describe({"group-id": {table.group_id for table in tables.values()}})
        self._describe({"group-name": by_name, **in_vpcs})

    def observation(self, spec: FirewallSpec) -> Present | Absent:
        """A group. One that is named by id and is not there is an error; by name it is
        `Absent`."""
        settings, account = provider.settings_of(spec), self.api.settings
        fitting = sorted(self._called.get(provider.identity(spec).lower(), ()))
        if len(fitting) > 1:
            name = provider.name_of(spec)
            raise Conflict(f"several groups are named {name!r} in {settings.vpc_id}")
        if not fitting and settings.group_id:
            raise NotFound(f"the account has no group {settings.group_id} in {account.region}")
        lists = self.lists.asked(spec.lists)
        weights = self.lists.weights(spec.lists)
        if not fitting:
            return Absent(native=Found(account.rules_per_group, weights=weights), lists=lists)
        group = self.groups[fitting[0]]
        listed = group.prefix_lists
        weights = self.lists.weights(listed)
        try:
            every = group.permissions(self.lists.networks(listed))
        except UnknownPermission as error:
            where = f"the group {group.group_name} ({group.group_id})"
            raise Unsupported(f"{where} has {error}") from None
        permissions = [rule for rule in every if rule.is_about_networks(spec.lists)]
        others = [rule for rule in every if not rule.is_about_networks(spec.lists)]
        rules = ListedRules.of_objects([permission.vendor_rule for permission in permissions])
        return Present(
            id=group.group_id,
            rules=rules.rules,
            marker=MARKER.read(group.tags_by_key),
            listed=rules.listed,
            kept=tuple(other.kept for other in others),
            objects=rules.objects,
            managed_by=owners_of(group.tags_by_key, group.group_name),
            described=rules.described,
            native=Found(
                account.rules_per_group,
                group.group_id,
                {permission.key: permission for permission in permissions},
                sum(weights.get(other.prefix_list, 1) for other in others),
                weights,
            ),
            lists=lists,
        )

    def fleet(self, specs: Sequence[FirewallSpec]) -> Fleet:
        """The instances that the configuration names, or that have one of the groups: one call for
        each of the two ways, one for the groups of others on them, one for each prefix list."""
        from cloudsync_aws.machines import fleet

        tables = {provider.identity(spec).lower(): provider.settings_of(spec) for spec in specs}
        named = {id_ for table in tables.values() for id_ in table.instances}
        owned = {
            group_id
            for identity, table in tables.items()
            for group_id in self._called.get(identity, {table.group_id})
            if not table.instances
        }
        instances = self._instances("instance-id", named)
        instances |= self._instances("network-interface.group-id", owned)
        acting = {id_ for instance in instances.values() for id_ in instance.groups}
        self._describe({"group-id": acting - self.groups.keys()})
        named_lists = (self.groups[id_].prefix_lists for id_ in acting & self.groups.keys())
        lists = self.lists.networks(set().union(*named_lists))
        return fleet(specs, instances.values(), self.groups, lists, self.api.settings.region)

    def marked(
        self, owner: str, specs: Sequence[FirewallSpec], *, ask: bool
    ) -> Sequence[Marked] | None:
        """One call: groups are described by id and name, and one that the configuration does not
        name any more is found by its tag only."""
        if not ask:
            return None
        from cloudsync.provider.simple_fleet import marked_by
        from cloudsync_aws.machines import listed, names_of

        groups = self._describe({f"tag:{MARKER.owner}": [_escaped(owner)]})
        names = names_of(specs)
        return marked_by(owner, (listed(group, names) for group in groups.values()))

    def _describe(self, filters: Mapping[str, Collection[str | None]]) -> dict[str, Group]:
        """Groups by id, which are known from now on."""
        listed = self.api.listed("DescribeSecurityGroups", Group, filters)
        groups = {group.group_id: group for group in listed}
        self.groups |= groups
        for id_, group in groups.items():
            for identity in group.identities:
                self._called.setdefault(identity, set()).add(id_)
        return groups

    def _instances(self, filter_: str, values: Collection[str | None]) -> dict[str, Instance]:
        filters = {filter_: values, **ALIVE}
        reservations = self.api.listed("DescribeInstances", Reservation, filters)
        return {i.instance_id: i for reservation in reservations for i in reservation.instances}


def _escaped(name: str) -> str:
    """`*` and `?` are wildcards in the values of a filter."""
    return re.sub(r"[*?\\]", r"\\\g<0>", name)
