"""Servers and ports with every group that acts on them, out of what was read. Pure.

Groups only let in, and those of one port are united. A port without a group lets nothing in; a port
without port security lets everything in, whatever its groups say.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from cloudsync.provider.answers import printable
from cloudsync.provider.contract import FirewallSpec
from cloudsync.provider.errors import NotFound, ProviderError
from cloudsync.provider.machines import Fleet, Marked, public_addresses
from cloudsync.provider.simple_fleet import (
    Acts,
    ListedFirewall,
    ListedInterface,
    ListedMachine,
    Wanted,
    fleet_of,
    is_called,
    missing_from,
)
from cloudsync.rules import NetworkSet, RuleSet
from cloudsync_openstack import provider
from cloudsync_openstack.answers import FloatingIp, Group, GroupRule, Port
from cloudsync_openstack.native import markers_of, same_id
from cloudsync_openstack.rules import meaning_of, resolved, source_of, title_of

KIND = "security group"
NO_SERVER, NO_PORT = "the project has no server", "the project has no port"
NOT_EVALUATED = (
    "routers and their firewall groups, load balancers, allowed address pairs, and firewalls "
    "inside the servers"
)


def fleet(
    specs: Sequence[FirewallSpec],
    firewalls: Mapping[str, ListedFirewall],
    ports: Sequence[Port],
    names: Mapping[str, str],
    floating: Sequence[FloatingIp],
    unread: Sequence[str],
) -> Fleet:
    """The servers and ports that the firewalls are about. `firewalls`: all groups of the projects,
    by id; `names`: servers' names by id; `unread`: what could not be read and what that means, a
    sentence each."""
    tables = {spec.name: provider.settings_of(spec) for spec in specs}
    servers = {name: table.servers for name, table in tables.items()}
    named = {name: table.ports for name, table in tables.items()}
    acting = {id_ for port in ports for id_ in port.security_groups}
    ours = {id_ for id_ in acting & firewalls.keys() if firewalls[id_].of is not None}
    by_machine: dict[str, list[Port]] = defaultdict(list)
    for port in ports:
        if port.is_of_server:
            by_machine[port.device_id].append(port)
        elif ours.intersection(port.security_groups) or _naming(named, port):
            by_machine[port.id].append(port)
    machines = [
        replace(
            machine_of(theirs, names, floating),
            selected=frozenset(name for port in theirs for name in _naming(named, port)),
        )
        for theirs in by_machine.values()
    ]
    on_ports = {id_: _undescribed(id_) for id_ in acting} | dict(firewalls)
    unseen = (*missing_from(ports, named, NO_PORT), NOT_EVALUATED, *unread)
    return fleet_of(on_ports, machines, specs, servers, NO_SERVER, unseen)


def marked(
    groups: Iterable[Group], owner: str, specs: Sequence[FirewallSpec], project: str
) -> tuple[Marked, ...]:
    """The groups that carry a marker of this owner; one may carry several."""
    return tuple(
        Marked(listed(group, specs, project).acting, marker)
        for group in groups
        for marker in markers_of(group)
        if marker.owner == owner
    )


def machine_of(
    ports: Sequence[Port], names: Mapping[str, str], floating: Sequence[FloatingIp] = ()
) -> ListedMachine:
    """A server with its ports, or a port that is no server's. `names`: servers' names by id."""
    first = ports[0]
    kind, id_ = ("server", first.device_id) if first.is_of_server else (first.kind, first.id)
    name = printable(names.get(id_) or first.name or id_)
    interfaces = [_interface(port, floating) for port in ports]
    return ListedMachine.of_interfaces(id_, name, kind, interfaces)


def listed(group: Group, specs: Sequence[FirewallSpec], project: str) -> ListedFirewall:
    """A group, without its rules. `project`: the id of the login's."""
    of = next((spec.name for spec in specs if is_group(spec, group, project)), None)
    name = printable(group.name)
    return ListedFirewall(group.id, name, of, None, kind=KIND, names_repeat=True)


def with_rules(
    firewall: ListedFirewall, group: Group, addresses: Mapping[str, NetworkSet]
) -> ListedFirewall:
    """A group, with its rules. `addresses`: the networks of address groups by id."""

    def lets_in(rule: GroupRule) -> RuleSet | ProviderError | None:
        if source_of(rule) is None:
            return RuleSet.of((meaning_of(rule),))
        if (list_id := rule.remote_address_group_id) is None:
            return None
        inside = resolved(rule, addresses)
        if inside is None:
            return NotFound(f"the login sees no address group {list_id}")
        return RuleSet.of((inside,))

    return firewall.letting(group.inbound, lets_in, title_of)


def is_group(spec: FirewallSpec, group: Group, own: str) -> bool:
    """Whether this is the group of the firewall. `own`: the id of the login's project."""
    settings = provider.settings_of(spec)
    if settings.id is not None:
        return same_id(group.id, settings.id)
    project = settings.project or own
    return group.name == provider.name_of(spec) and same_id(group.project_id, project)


def _naming(named: Wanted, port: Port) -> list[str]:
    """The firewalls of the configuration whose key `ports` names it."""
    return [name for name, ports in named.items() if any(is_called(port, p) for p in ports)]


def _undescribed(id_: str) -> ListedFirewall:
    """A group that is on a port and is of another project."""
    unknown = ("rules that cannot be read: it is not one of the project's",)
    return ListedFirewall(id_, id_, None, None, (), unknown, kind=KIND)


def _interface(port: Port, floating: Sequence[FloatingIp]) -> ListedInterface:
    """A port with its own addresses and the floating ones that are mapped to it."""
    addresses = [fixed.ip_address for fixed in port.fixed_ips]
    addresses += [address.floating_ip_address for address in floating if address.port_id == port.id]
    secured = port.port_security_enabled
    return ListedInterface(
        printable(port.name) or port.id,
        public_addresses(addresses),
        {id_: Acts() for id_ in port.security_groups} if secured else {},
        closed=secured,
    )
