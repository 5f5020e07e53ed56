"""Servers and ports with every group that acts on them, out of what was read. Pure.

Groups only let in, and those of one port are united. A port without a group lets nothing in; a port
without port security lets everything in, whatever its groups say.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address

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
from cloudsync_openstack import provider
from cloudsync_openstack.answers import AddressGroup, FloatingIp, Group, GroupRule, Port, Server
from cloudsync_openstack.native import markers_of, same_id
from cloudsync_openstack.rules import (
    UnknownRule,
    meaning_of,
    networks_of,
    plain,
    resolved,
    source_of,
    text_of,
)

NOT_EVALUATED = (
    "routers and their firewall groups, load balancers, allowed address pairs, and firewalls "
    "inside the servers"
)


@dataclass(frozen=True, slots=True)
class Account:
    """What was read of the projects that the configuration names."""

    specs: Sequence[FirewallSpec]
    project: str
    """The id of the login's project."""
    groups: Mapping[str, Group]
    ports: Sequence[Port] = ()
    floating: Sequence[FloatingIp] | ProviderError = ()
    servers: Sequence[Server] | ProviderError = ()
    addresses: Sequence[AddressGroup] = ()

    @property
    def names(self) -> Mapping[str, str]:
        """Servers' names by id; empty if they could not be read."""
        if isinstance(self.servers, ProviderError):
            return {}
        return {server.id: server.name for server in self.servers}

    def of(self, group: Group) -> str | None:
        """The firewall of the configuration that the group is."""
        matching = (spec.name for spec in self.specs if is_group(spec, group, self.project))
        return next(matching, None)

    def acting(self, group: Group) -> ActingFirewall:
        return ActingFirewall(group.id, plain(group.name), "security group", self.of(group))


@dataclass
class _Notes:
    """What is noticed on the way through one machine's rules; each once, in order."""

    unknown: dict[str, None] = field(default_factory=dict)
    kept: dict[str, None] = field(default_factory=dict)


def fleet(account: Account) -> Fleet:
    """Raises nothing but bugs."""
    by_machine: dict[tuple[str, str], list[Port]] = defaultdict(list)
    named = {wanted for spec in account.specs for wanted in provider.settings_of(spec).ports}
    ours = {id_ for id_, group in account.groups.items() if account.of(group) is not None}
    for port in account.ports:
        if port.is_of_server:
            by_machine["server", port.device_id].append(port)
        elif {port.id, port.name} & named or ours & set(port.security_groups):
            by_machine["port", port.id].append(port)
    machines = [_machine(kind, ports, account) for (kind, _), ports in by_machine.items()]
    covered = {
        firewall.of
        for machine in machines
        for interface in machine.interfaces
        for firewall in interface.firewalls
    }
    existing = {account.of(account.groups[id_]) for id_ in ours}
    return Fleet(
        tuple(machine for machine in machines if machine.concerns),
        frozenset(name for name in existing - covered if name is not None),
        (*_missing(account), NOT_EVALUATED, *_unread(account)),
    )


def _unread(account: Account) -> list[str]:
    """What could not be read, and what that means."""
    unread = []
    if isinstance(account.servers, ProviderError):
        unread.append(
            f"servers are known by id, not by name: {account.servers.message}; a server that only "
            f"bears the name of a host was not recognized"
        )
    if isinstance(account.floating, ProviderError):
        unread.append(
            f"floating addresses could not be read: {account.floating.message}; a port that has "
            f"one counts as unreachable"
        )
    return unread


def marked(account: Account, owner: str) -> tuple[Marked, ...]:
    """The groups that carry a marker of this owner."""
    return tuple(
        Marked(account.acting(group), marker)
        for group in account.groups.values()
        for marker in markers_of(group)
        if marker.owner == owner
    )


def is_group(spec: FirewallSpec, group: Group, own: str) -> bool:
    """Whether this is the group of the firewall, as the reader finds it."""
    settings = provider.settings_of(spec)
    if settings.id is not None:
        return same_id(group.id, settings.id)
    project = settings.project or own
    return group.name == provider.name_of(spec) and same_id(group.project_id, project)


def uses_address_groups(groups: Iterable[Group]) -> bool:
    return any(
        rule.remote_address_group_id is not None
        for group in groups
        for rule in group.security_group_rules
    )


def _machine(kind: str, ports: Sequence[Port], account: Account) -> ObservedMachine:
    notes = _Notes()
    id_ = ports[0].device_id if kind == "server" else ports[0].id
    interfaces = tuple(_interface(port, account, notes) for port in ports)
    name = plain(account.names.get(id_) or ports[0].name or id_)
    on_it = {firewall.of for interface in interfaces for firewall in interface.firewalls}
    return ObservedMachine(
        id=id_,
        name=name,
        kind=kind,
        interfaces=interfaces,
        concerns=frozenset(
            spec.name
            for spec in account.specs
            if spec.name in on_it or name in spec.hosts or _names(spec, id_, name, ports)
        ),
        unknown=tuple(notes.unknown),
        kept=tuple(notes.kept),
    )


def _interface(port: Port, account: Account, notes: _Notes) -> Interface:
    rules: list[StageRule] = []
    firewalls = []
    resolving = networks_of(account.addresses)
    for id_ in port.security_groups:
        group = account.groups.get(id_)
        if group is None:
            firewalls.append(ActingFirewall(id_, id_, "security group"))
            notes.unknown[f"the group {id_} is on it, and is not one of the project's"] = None
            continue
        firewall = account.acting(group)
        firewalls.append(firewall)
        for rule in group.security_group_rules:
            if rule.direction == "ingress":
                rules += _stage_rule(firewall, rule, resolving, notes)
    addresses = public_addresses(_addresses(port, account))
    return Interface(
        name=plain(port.name) or port.id,
        families=families_of(addresses),
        stages=(union_stage(rules),) if port.port_security_enabled else (),
        addresses=addresses,
        firewalls=tuple(firewalls) if port.port_security_enabled else (),
    )


def _stage_rule(
    firewall: ActingFirewall,
    rule: GroupRule,
    resolving: Mapping[str, NetworkSet],
    notes: _Notes,
) -> list[StageRule]:
    try:
        if (source := source_of(rule)) is None:
            meaning = meaning_of(rule)
            text = f"{text_of(rule)} from {', '.join(meaning.sources.cidrs())}"
            return [StageRule(firewall, RuleSet.of((meaning,)), text)]
        text = f"{text_of(rule)} from {source}"
        if rule.remote_address_group_id is None:
            notes.kept[f"{text} ({firewall})"] = None
        elif (inside := resolved(rule, resolving)) is None:
            notes.unknown[f"{firewall} lets in {text}, which could not be read"] = None
        elif inside.sources:
            return [StageRule(firewall, RuleSet.of((inside,)), text)]
    except UnknownRule as error:
        notes.unknown[f"{firewall} has {error}"] = None
    return []


def _addresses(port: Port, account: Account) -> list[str]:
    """Its own addresses and the floating ones that are mapped to it; those that can be read."""
    floating = () if isinstance(account.floating, ProviderError) else account.floating
    addresses = [fixed.ip_address for fixed in port.fixed_ips]
    addresses += [address.floating_ip_address for address in floating if address.port_id == port.id]
    return [address for address in addresses if _is_address(address)]


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _missing(account: Account) -> list[str]:
    known = {word for port in account.ports for word in (port.id, port.name)}
    servers = {port.device_id for port in account.ports if port.is_of_server}
    servers |= {name for id_, name in account.names.items() if id_ in servers}
    return [
        f"the project has no {kind} {plain(wanted)[:64]!r}, which the firewall {spec.name} names"
        for spec in account.specs
        for kind, named, there in (
            ("port", provider.settings_of(spec).ports, known),
            ("server", provider.settings_of(spec).servers, servers),
        )
        for wanted in named
        if wanted not in there
    ]


def _names(spec: FirewallSpec, id_: str, name: str, ports: Sequence[Port]) -> bool:
    """Whether the firewall is to be attached to it."""
    settings = provider.settings_of(spec)
    words = {word for port in ports for word in (port.id, port.name)}
    return bool({id_, name} & set(settings.servers) or words & set(settings.ports))
