"""Instances with every group on each of their interfaces, out of what was described. Pure.

Groups only allow, and those of one interface add up; each interface has its own. An interface is
reached from the Internet by a public IPv4 address or by an IPv6 address that is nobody's private
one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace

from cloudsync.provider.contract import FirewallSpec
from cloudsync.provider.errors import ProviderError
from cloudsync.provider.machines import Fleet, public_addresses
from cloudsync.provider.simple_fleet import (
    Acts,
    ListedFirewall,
    ListedInterface,
    ListedMachine,
    fleet_of,
)
from cloudsync.rules import RuleSet
from cloudsync_aws import provider
from cloudsync_aws.answers import Group, Instance, Lists
from cloudsync_aws.native import MARKER
from cloudsync_aws.permissions import Permission, UnknownPermission

KIND = "security group"
NOT_EVALUATED = (
    "network ACLs, routes, VPC Block Public Access, load balancers, and firewalls inside the"
    " instances"
)


def fleet(
    specs: Sequence[FirewallSpec],
    instances: Collection[Instance],
    groups: Mapping[str, Group],
    lists: Lists,
    region: str,
) -> Fleet:
    """The instances that `specs` are about. `groups`: all that were described, by id; `lists`: the
    networks of the prefix lists that they name."""
    acting = {id_: name for instance in instances for id_, name in instance.groups.items()}
    firewalls = {id_: _undescribed(id_, name) for id_, name in acting.items()}
    names = names_of(specs)
    for id_, group in groups.items():
        firewall = listed(group, names)
        firewalls[id_] = _with_rules(firewall, group, lists) if id_ in acting else firewall
    wanted = {spec.name: provider.settings_of(spec).instances for spec in specs}
    # If the configuration names instances, only those were asked for: the group may be on others
    # too.
    named = [name for name, ids in wanted.items() if ids]
    elsewhere = (
        f"whether {name} is on other instances than its key `instances` names was not asked;"
        " without that key all of them are looked at"
        for name in named
    )
    machines = [_machine(instance) for instance in instances]
    lacks, unseen = f"the region {region} has no instance", (*elsewhere, NOT_EVALUATED)
    known = fleet_of(firewalls, machines, specs, wanted, lacks, unseen)
    return replace(known, unattached=known.unattached.difference(named))


def names_of(specs: Iterable[FirewallSpec]) -> Mapping[str, str]:
    """The firewalls of the configuration, by the identity of their groups."""
    return {provider.identity(spec).lower(): spec.name for spec in specs}


def listed(group: Group, names: Mapping[str, str]) -> ListedFirewall:
    """A group, without its rules. `names`: as `names_of` has them."""
    of = next((names[identity] for identity in group.identities if identity in names), None)
    marker = MARKER.read(group.tags_by_key)
    id_, name = group.group_id, group.group_name
    return ListedFirewall(id_, name, of, marker, (), kind=KIND, names_repeat=True)


def _machine(instance: Instance) -> ListedMachine:
    interfaces = [
        ListedInterface(
            nic.network_interface_id,
            public_addresses(nic.addresses),
            {group.group_id: Acts() for group in nic.groups},
        )
        for nic in instance.network_interfaces
    ]
    return ListedMachine.of_interfaces(
        instance.instance_id, instance.name, "instance", interfaces, instance.metadata
    )


def _undescribed(id_: str, name: str) -> ListedFirewall:
    """A group that is on an interface and that AWS does not show."""
    unknown = ("rules that AWS does not describe",)
    return ListedFirewall(id_, name, None, None, (), unknown, kind=KIND, names_repeat=True)


def _with_rules(firewall: ListedFirewall, group: Group, lists: Lists) -> ListedFirewall:
    def lets_in(permission: Permission) -> RuleSet | ProviderError | None:
        listed = lists.get(permission.prefix_list)
        if isinstance(listed, ProviderError):
            return listed
        return permission.lets_in if permission.networks is not None else None

    try:
        permissions = group.permissions(lists)
    except UnknownPermission as error:
        return replace(firewall, unknown=(str(error),))
    return firewall.letting(permissions, lets_in, lambda permission: permission.summary)
