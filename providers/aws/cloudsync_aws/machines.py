"""Instances with every group on each of their interfaces, out of what was described. Pure.

Groups only allow, and those of one interface add up; each interface has its own. An interface is
reached from the Internet by a public IPv4 address or by an IPv6 address that is nobody's private
one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from cloudsync.frozen import dataclass
from cloudsync.provider.contract import FirewallSpec
from cloudsync.provider.errors import ProviderError
from cloudsync.provider.machines import (
    ActingFirewall,
    Fleet,
    Interface,
    Marked,
    ObservedMachine,
    StageRule,
    families_of,
    public_addresses,
    union_stage,
)
from cloudsync.rules import RuleSet
from cloudsync.rules.networks import NetworkSet
from cloudsync_aws.native import marker_of
from cloudsync_aws.permissions import UnknownPermission, from_vendor, text
from cloudsync_aws.settings import name_of, settings_of

Group = Mapping[str, Any]
Lists = Mapping[str, NetworkSet | ProviderError]
NOT_EVALUATED = (
    (
        "network ACLs, routes, VPC Block Public Access, load balancers, and firewalls inside the"
        " instances"
    ),
)


def fleet(
    specs: Sequence[FirewallSpec],
    instances: Iterable[Mapping[str, Any]],
    groups: Mapping[str, Group],
    lists: Lists,
    region: str,
) -> Fleet:
    """Raises what an answer of a strange shape raises."""
    instances = tuple(instances)
    on_any = {id_ for instance in instances for id_ in groups_on(instance)}
    acting = {id_: _acting(groups[id_], specs, lists) for id_ in sorted(on_any & groups.keys())}
    machines = tuple(_machine(instance, specs, acting) for instance in instances)
    there = {machine.id for machine in machines}
    missing = [
        f"there is no instance {id_} in {region}, which the firewall {spec.name} names"
        for spec in specs
        for id_ in settings_of(spec).instances
        if id_ not in there
    ]
    # If the configuration names instances, only those were asked for: the group may be on others
    # too.
    everywhere = [spec for spec in specs if not settings_of(spec).instances]
    existing = {
        spec.name for spec in everywhere if any(is_group(spec, group) for group in groups.values())
    }
    missing += [
        f"whether {spec.name} is on other instances than its key `instances` names was not asked; "
        "without that key all of them are looked at"
        for spec in specs
        if spec not in everywhere
    ]
    on_machines = {group.firewall.of for group in acting.values()}
    return Fleet(machines, frozenset(existing - on_machines), (*missing, *NOT_EVALUATED))


def marked(groups: Iterable[Group], specs: Sequence[FirewallSpec]) -> tuple[Marked, ...]:
    """The groups that carry a marker."""
    markers = ((_firewall(group, specs), marker_of(group.get("Tags") or ())) for group in groups)
    return tuple(Marked(firewall, marker) for firewall, marker in markers if marker is not None)


def is_group(spec: FirewallSpec, group: Group) -> bool:
    """Whether this is the group of the firewall, as the reader finds it."""
    settings = settings_of(spec)
    if settings.group_id is not None:
        return bool(group["GroupId"] == settings.group_id)
    return (
        bool(group["VpcId"] == settings.vpc_id)
        and str(group["GroupName"]).lower() == name_of(spec).lower()
    )


def groups_on(instance: Mapping[str, Any]) -> set[str]:
    """Ids of all groups on all its interfaces."""
    return {
        str(group["GroupId"])
        for interface in instance["NetworkInterfaces"]
        for group in interface["Groups"]
    }


def prefix_lists(
    groups: Mapping[str, Group], instances: Iterable[Mapping[str, Any]]
) -> tuple[str, ...]:
    """Every prefix list a group on an instance names, once."""
    acting = {id_ for instance in instances for id_ in groups_on(instance)}
    return tuple(
        sorted(
            {
                str(source["PrefixListId"])
                for id_ in acting & groups.keys()
                for permission in groups[id_]["IpPermissions"]
                for source in permission.get("PrefixListIds") or ()
            }
        )
    )


@dataclass(frozen=True, slots=True)
class _Acting:
    """A group as it acts on every interface that has it."""

    firewall: ActingFirewall
    rules: tuple[StageRule, ...] = ()
    unknown: tuple[str, ...] = ()
    """What of it could not be understood, for people."""
    kept: tuple[str, ...] = ()
    """What other machines may reach by it, for people."""


def _machine(
    instance: Mapping[str, Any], specs: Sequence[FirewallSpec], acting: Mapping[str, _Acting]
) -> ObservedMachine:
    groups: list[_Acting] = []
    interfaces = []
    for network_interface in instance["NetworkInterfaces"]:
        on_it = [
            acting.get(str(membership["GroupId"])) or _undescribed(membership)
            for membership in network_interface["Groups"]
        ]
        groups += on_it
        stages = (union_stage(rule for group in on_it for rule in group.rules),) if on_it else ()
        addresses = public_addresses(addresses_of(network_interface))
        interfaces.append(
            Interface(
                str(network_interface["NetworkInterfaceId"]),
                families_of(addresses),
                stages,
                addresses,
                tuple(group.firewall for group in on_it),
            )
        )
    id_ = str(instance["InstanceId"])
    names = {group.firewall.of for group in groups}
    return ObservedMachine(
        id=id_,
        name=name_of_instance(instance),
        kind="instance",
        interfaces=tuple(interfaces),
        concerns=frozenset(
            spec.name for spec in specs if spec.name in names or id_ in settings_of(spec).instances
        ),
        unknown=tuple(dict.fromkeys(text for group in groups for text in group.unknown)),
        kept=tuple(dict.fromkeys(text for group in groups for text in group.kept)),
        listed=frozenset(spec.name for spec in specs if id_ in settings_of(spec).instances),
        metadata=_metadata(instance),
    )


def name_of_instance(instance: Mapping[str, Any]) -> str:
    """Its tag `Name`; its id if it has none."""
    names = (
        str(tag["Value"])
        for tag in instance.get("Tags") or ()
        if tag.get("Key") == "Name" and tag.get("Value")
    )
    return next(names, str(instance["InstanceId"]))


def _metadata(instance: Mapping[str, Any]) -> str:
    """Why containers reach the instance metadata service: IMDSv1 answers every hop, IMDSv2 as many
    as `HttpPutResponseHopLimit` (1 ends at the instance itself). Without the options nothing is
    known."""
    options = instance.get("MetadataOptions") or {}
    if options.get("HttpEndpoint") == "disabled":
        return ""
    hops = options.get("HttpPutResponseHopLimit")
    if options.get("HttpTokens") == "optional":
        answers = "IMDSv1 is on, which asks for no token"
    elif isinstance(hops, int) and hops > 1:
        answers = f"IMDSv2 answers over {hops} hops"
    else:
        return ""
    profile = str((instance.get("IamInstanceProfile") or {}).get("Arn", "")).rpartition("/")[2]
    return f"{answers}, and hands out the credentials of {profile}" if profile else answers


def _acting(group: Group, specs: Sequence[FirewallSpec], lists: Lists) -> _Acting:
    firewall = _firewall(group, specs)
    try:
        permissions, others = from_vendor(group["IpPermissions"])
    except UnknownPermission as error:
        return _Acting(firewall, unknown=(f"{firewall} has {error}",))
    rules = [
        StageRule(
            firewall,
            RuleSet.of((permission.rule,)),
            f"{text(permission.protocol, permission.first, permission.last)} from"
            f" {permission.cidr}",
        )
        for permission in permissions
        if permission.rule is not None
    ]
    unknown = []
    for other in others:
        if other.prefix_list is None:
            continue
        networks = lists.get(other.prefix_list)
        if not isinstance(networks, NetworkSet):
            why = networks.message if networks is not None else "it was not asked for"
            unknown.append(f"{firewall} lets in {other.summary}, which could not be read: {why}")
        elif networks and (rule := other.meaning(networks)) is not None:
            rules.append(StageRule(firewall, RuleSet.of((rule,)), other.summary))
    kept = tuple(f"{other.summary} ({firewall})" for other in others if other.prefix_list is None)
    return _Acting(firewall, tuple(rules), tuple(unknown), kept)


def _undescribed(membership: Mapping[str, Any]) -> _Acting:
    """A group that is on an interface and that AWS does not show."""
    id_ = str(membership["GroupId"])
    firewall = ActingFirewall(id_, str(membership.get("GroupName")), "security group")
    return _Acting(firewall, unknown=(f"the group {id_} is on it, and could not be described",))


def _firewall(group: Group, specs: Sequence[FirewallSpec]) -> ActingFirewall:
    of = next((spec.name for spec in specs if is_group(spec, group)), None)
    return ActingFirewall(str(group["GroupId"]), str(group["GroupName"]), "security group", of)


def addresses_of(interface: Mapping[str, Any]) -> Iterator[str]:
    """The address of a whole interface is said again with its private one."""
    for source in (interface, *(interface.get("PrivateIpAddresses") or ())):
        if (association := source.get("Association")) and association.get("PublicIp"):
            yield str(association["PublicIp"])
    for source in interface.get("Ipv6Addresses") or ():
        yield str(source["Ipv6Address"])
