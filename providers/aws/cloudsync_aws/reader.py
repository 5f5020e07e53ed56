"""Reading an account: all groups by id in one call per 200, all groups by name in one call per
200."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cloudsync.provider.contract import (
    Absent,
    Description,
    FirewallSpec,
    Observation,
    Present,
    Unreadable,
    VendorRule,
)
from cloudsync.provider.errors import Conflict, NotFound, ProviderError, Transient, Unsupported
from cloudsync.provider.owners import owners_of
from cloudsync.rules import RuleSet
from cloudsync_aws.client import Api
from cloudsync_aws.native import OWNER, Found, marker_of
from cloudsync_aws.permissions import Permission, UnknownPermission, from_vendor
from cloudsync_aws.prefix_lists import PrefixLists
from cloudsync_aws.settings import name_of, settings_of

if TYPE_CHECKING:
    from cloudsync.provider.machines import Fleet, Marked

VALUES = 200  # values a filter
PAGE = 1000
STATES = (
    "pending",
    "running",
    "stopping",
    "stopped",
)  # what is terminated has no interfaces any more


@dataclass(slots=True)
class AwsReader:
    """Reads one account and region. `groups`: those that were described already, by id."""

    api: Api
    groups: dict[str, dict[str, Any]] = field(default_factory=dict)
    lists: PrefixLists = field(init=False)

    def __post_init__(self) -> None:
        self.lists = PrefixLists(self.api)

    def read(self, specs: Sequence[FirewallSpec]) -> Mapping[str, Observation]:
        """Every group asked for. A group that is named by id and is not there is an error; by name
        it is `Absent`."""
        ids = sorted({id_ for spec in specs if (id_ := settings_of(spec).group_id)})
        names = sorted(
            {
                (settings_of(spec).vpc_id or "", name_of(spec))
                for spec in specs
                if not settings_of(spec).group_id
            }
        )
        try:
            groups = self._groups("group-id", ids, {})
            vpcs = sorted({vpc for vpc, _ in names})
            in_vpcs = {"vpc-id": vpcs} if len(vpcs) <= VALUES else {}
            groups += self._groups(
                "group-name", sorted({_escaped(name) for _, name in names}), in_vpcs
            )
        except ProviderError as error:
            return {spec.name: Unreadable(error) for spec in specs}
        self.groups |= {str(group["GroupId"]): group for group in groups if group.get("GroupId")}
        return {spec.name: self._observed(spec, groups) for spec in specs}

    def read_machines(self, specs: Sequence[FirewallSpec]) -> Fleet | Unreadable:
        """The instances that the configuration names, or that have one of the groups: one call for
        each of the two ways, one for the groups of others on them, one for each prefix list."""
        from cloudsync_aws.machines import fleet, groups_on, prefix_lists

        try:
            instances = self._instances(specs)
            missing = sorted(
                {id_ for instance in instances for id_ in groups_on(instance)} - self.groups.keys()
            )
            self.groups |= {
                str(group["GroupId"]): group for group in self._groups("group-id", missing, {})
            }
            ids = prefix_lists(self.groups, instances)
            lists = {list_id: self.lists.networks(list_id) for list_id in ids}
            return fleet(specs, instances, self.groups, lists, self.api.settings.region)
        except ProviderError as error:
            return Unreadable(error)
        except (KeyError, TypeError, AttributeError, ValueError):
            return Unreadable(Transient("the instances of AWS cannot be understood"))

    def read_marked(
        self, owner: str, specs: Sequence[FirewallSpec], *, ask: bool
    ) -> Sequence[Marked] | Unreadable | None:
        """One call: groups are described by id and name, and a group nobody names any more is found
        by its tag only."""
        if not ask:
            return None
        from cloudsync_aws.machines import marked

        try:
            return marked(self._groups(f"tag:{OWNER}", [_escaped(owner)], {}), specs)
        except ProviderError as error:
            return Unreadable(error)
        except (KeyError, TypeError, AttributeError):
            return Unreadable(Transient("the groups of AWS cannot be understood"))

    def _instances(self, specs: Sequence[FirewallSpec]) -> list[dict[str, Any]]:
        from cloudsync_aws.machines import is_group

        named = {id_ for spec in specs for id_ in settings_of(spec).instances}
        unnamed = [spec for spec in specs if not settings_of(spec).instances]
        owned = {
            id_ for id_, group in self.groups.items() if any(is_group(s, group) for s in unnamed)
        }
        owned |= {id_ for spec in unnamed if (id_ := settings_of(spec).group_id)}
        instances = self._described("instance-id", sorted(named))
        instances |= self._described("network-interface.group-id", sorted(owned))
        return list(instances.values())

    def _described(self, filter_: str, values: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Instances by id."""
        instances: dict[str, dict[str, Any]] = {}
        for start in range(0, len(values), VALUES):
            filters = [
                {"Name": filter_, "Values": list(values[start : start + VALUES])},
                {"Name": "instance-state-name", "Values": list(STATES)},
            ]
            parameters = {"Filters": filters, "MaxResults": PAGE}
            for reservation in self.api.pages("DescribeInstances", "Reservations", parameters):
                instances |= {
                    str(instance["InstanceId"]): instance for instance in reservation["Instances"]
                }
        return instances

    def _groups(
        self, filter_: str, values: Sequence[str], more: Mapping[str, Sequence[str]]
    ) -> list[dict[str, Any]]:
        groups: list[dict[str, Any]] = []
        for start in range(0, len(values), VALUES):
            filters = {filter_: values[start : start + VALUES], **more}
            parameters = {
                "Filters": [{"Name": name, "Values": list(v)} for name, v in filters.items()],
                "MaxResults": PAGE,
            }
            groups += self.api.pages("DescribeSecurityGroups", "SecurityGroups", parameters)
        return groups

    def _observed(self, spec: FirewallSpec, groups: Sequence[Mapping[str, Any]]) -> Observation:
        settings = settings_of(spec)
        quota = self.api.settings.rules_per_group
        try:
            if settings.group_id is not None:
                fitting = [group for group in groups if group["GroupId"] == settings.group_id]
                if not fitting:
                    return Unreadable(
                        NotFound(
                            f"the account has no group {settings.group_id} in"
                            f" {self.api.settings.region}"
                        )
                    )
            else:
                name = name_of(spec).lower()
                fitting = [
                    group
                    for group in groups
                    if group["VpcId"] == settings.vpc_id and str(group["GroupName"]).lower() == name
                ]
                if not fitting:
                    lists = self.lists.asked(spec.lists)
                    weights = self.lists.weights(spec.lists)
                    return Absent(native=Found(quota, weights=weights), lists=lists)
            group = fitting[0]
            if any(candidate["GroupId"] != group["GroupId"] for candidate in fitting):
                return Unreadable(
                    Conflict(f"several groups are named {name_of(spec)!r} in {settings.vpc_id}")
                )
            lists = self.lists.asked(spec.lists)
            permissions, others = from_vendor(group["IpPermissions"])
            by_lists, others = self.lists.sorted_out(others, spec.lists)
            permissions += by_lists
            rules = tuple(
                permission.rule for permission in permissions if permission.rule is not None
            )
            return Present(
                id=str(group["GroupId"]),
                rules=RuleSet.of(rules),
                marker=marker_of(group.get("Tags") or ()),
                listed=rules,
                kept=tuple(self.lists.kept(other) for other in others),
                objects=tuple(_object(permission) for permission in permissions),
                managed_by=owners_of(
                    {str(tag.get("Key")): str(tag.get("Value")) for tag in group.get("Tags") or ()},
                    str(group["GroupName"]),
                ),
                described=tuple(
                    Description(RuleSet.of((permission.rule,)), permission.description)
                    for permission in permissions
                    if permission.rule is not None and permission.description
                ),
                native=Found(
                    quota,
                    str(group["GroupId"]),
                    permissions,
                    others,
                    self.lists.weights(spec.lists),
                ),
                lists=lists,
            )
        except UnknownPermission as error:
            return Unreadable(Unsupported(f"the group {self._name(spec)} has {error}"))
        except (KeyError, TypeError, ValueError):
            return Unreadable(Transient(f"the group {self._name(spec)} cannot be understood"))
        except ProviderError as error:
            return Unreadable(error)

    def _name(self, spec: FirewallSpec) -> str:
        return settings_of(spec).group_id or name_of(spec)


def _object(permission: Permission) -> VendorRule:
    """A permission as the rule people see; the console shows one line for each source."""
    return VendorRule(
        permission.key,
        RuleSet.of((permission.rule,) if permission.rule is not None else ()),
        description=permission.description,
        list_id=permission.prefix_list,
        counted_with=permission.ports,
    )


def _escaped(name: str) -> str:
    """`*` and `?` are wildcards in the values of a filter."""
    return "".join(f"\\{character}" if character in "*?\\" else character for character in name)
