"""Instances with everything that filters them, interface by interface.

Read: all instances in one call per 500, and for every network that a public interface of theirs is
in the order of enforcement and the policies, and for every region there the regional policies. What
could not be read of them is reported on the machines it is about.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from ipaddress import ip_address
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field

from cloudsync.provider.answers import Model
from cloudsync.provider.contract import FirewallSpec
from cloudsync.provider.machines import ActingFirewall, Fleet, Marked, public_addresses
from cloudsync.provider.ordered_fleet import (
    Layer,
    LayeredInterface,
    LayeredMachine,
    Layers,
    Party,
    fleet_of,
    read_or_said,
)
from cloudsync.provider.phrases import first_of
from cloudsync_gcp import provider
from cloudsync_gcp.client import Api, Part
from cloudsync_gcp.denials import SPARED
from cloudsync_gcp.names import given_prefix
from cloudsync_gcp.ownership import Owners, is_left_over
from cloudsync_gcp.policies import (
    AFTER,
    VPC,
    NetworkName,
    Policies,
    acting_of,
    in_order,
    network_name,
    vpc_layer,
)
from cloudsync_gcp.vpc_rules import GoogleAnswer, VpcRule

_SHOWN = 3
NOT_EVALUATED = (
    (
        "load balancers and protocol forwarding, which hand packets to instances without a public"
        " address too"
    ),
    "routes, and firewalls inside the instances",
    "instances of other projects that use this one's networks (shared VPC)",
)


Address = Annotated[str, AfterValidator(lambda text: text and str(ip_address(text)))]
"""An IP address, or nothing."""


class _Addresses(GoogleAnswer):
    nat_ip: Address = Field(default="", alias="natIP")
    external_ipv6: Address = Field(default="", alias="externalIpv6")


class _Nic(GoogleAnswer):
    name: str = "nic0"
    network: Annotated[NetworkName, BeforeValidator(network_name)]
    access_configs: tuple[_Addresses, ...] = ()
    ipv6_access_configs: tuple[_Addresses, ...] = Field(default=(), alias="ipv6AccessConfigs")

    @property
    def external(self) -> Iterator[str]:
        """Its addresses that may be public."""
        yield from (each.nat_ip for each in self.access_configs if each.nat_ip)
        yield from (each.external_ipv6 for each in self.ipv6_access_configs if each.external_ipv6)


class _Tags(GoogleAnswer):
    items: tuple[str, ...] = ()


class _Account(GoogleAnswer):
    email: str = ""
    scopes: tuple[str, ...] = ()


class Instance(GoogleAnswer):
    """One machine of an aggregated list."""

    id: str
    name: str
    zone: str
    tags: _Tags = Field(default_factory=_Tags)
    service_accounts: tuple[_Account, ...] = ()
    network_interfaces: tuple[_Nic, ...] = ()

    @property
    def party(self) -> Party:
        """By what rules may name it."""
        return frozenset((*self.tags.items, *(account.email for account in self.service_accounts)))

    @property
    def region(self) -> str:
        """`europe-west1` of a zone `.../zones/europe-west1-b`."""
        return self.zone.rsplit("/", 1)[-1].rsplit("-", 1)[0]

    def is_target_of(self, spec: FirewallSpec) -> bool:
        """Whether the firewall's targets are on it, in its network."""
        return any(self.has_target(spec, nic.network) for nic in self.network_interfaces)

    def has_target(self, spec: FirewallSpec, network: NetworkName) -> bool:
        """Whether the firewall acts on its interface in a network."""
        settings = provider.settings_of(spec)
        return network[1] == settings.network and not settings.targets.isdisjoint(self.party)


class _Network(GoogleAnswer):
    order: str = Field(default=AFTER, alias="networkFirewallPolicyEnforcementOrder")


class _Zone(Part):
    instances: tuple[Instance, ...] = ()


class _Zones(Part):
    items: dict[str, _Zone] = Field(default_factory=dict)

    @property
    def is_whole(self) -> bool:
        """A zone that did not answer is an error."""
        return super().is_whole and all(zone.is_whole for zone in self.items.values())


def instances_of(api: Api) -> list[Instance]:
    """All instances of the project, over all zones. Raises `ProviderError`."""
    instances: list[Instance] = []
    for page in api.parts("aggregated/instances", _Zones):
        instances += (instance for zone in page.items.values() for instance in zone.instances)
        api.account.progress(f"reading instances, {len(instances)} so far")
    return instances


def fleet(
    api: Api, rules: Sequence[VpcRule], owned: Owners, specs: Sequence[FirewallSpec]
) -> Fleet:
    """Raises `ProviderError`."""
    networks = _Networks(api, rules, owned, specs)
    machines = [_machine(instance, networks, specs) for instance in instances_of(api)]
    exist = {spec.name for spec in owned.values() if spec is not None}
    return fleet_of(machines, specs, exist, NOT_EVALUATED, SPARED)


def marked_firewalls(rules: Sequence[VpcRule], owner: str, owned: Owners) -> tuple[Marked, ...]:
    """The firewalls that carry the owner's marker; the rules of one that the configuration does not
    name are grouped by their prefix, and a rule that is left over for other machines stands by
    itself."""
    specs = {spec.name: spec for spec in owned.values() if spec is not None}
    marked: dict[tuple[object, ...], Marked] = {}
    for rule in rules:
        marker = rule.marker
        if marker is None or marker.owner != owner or not rule.inbound:
            continue
        if (spec := owned[rule.name]) is not None:
            firewall = acting_of(rule.name, spec)
        elif any(is_left_over(rule, each) for each in specs.values()):
            firewall = ActingFirewall(rule.name, rule.name)
        else:
            prefix = given_prefix(rule.name) or rule.name
            firewall = ActingFirewall(prefix, prefix)
        marked.setdefault((firewall, marker.firewall), Marked(firewall, marker))
    return tuple(marked.values())


@dataclass(slots=True)
class _Networks:
    """What acts in each network and region; everything is asked for once."""

    api: Api
    rules: Sequence[VpcRule]
    owned: Owners
    specs: Sequence[FirewallSpec]
    _layers: dict[tuple[NetworkName, str], Layers] = field(default_factory=dict)
    _answers: dict[str, tuple[Any, tuple[str, ...]]] = field(default_factory=dict)

    def on(self, network: NetworkName, region: str, *, public: bool) -> Layers:
        """What acts on an interface in a network. Raises `ProviderError` if trying again may
        help."""
        project, name = network
        if project != self.api.project:
            reason = (
                f"it is in the network {name} of the project {project}, whose rules were not read"
            )
            return Layers((Layer(VPC),), (reason,) if public else ())
        # Nothing of the Internet gets to an interface that is not public: that it is under our
        # firewall is known without a call.
        place = network, region if public else ""
        if place not in self._layers:
            vpc = self._vpc_layer(name)
            self._layers[place] = self._public(vpc, *place) if public else Layers((vpc,))
        return self._layers[place]

    def _vpc_layer(self, network: str) -> Layer:
        rules = (rule for rule in self.rules if rule.network_name == network)
        here = [spec for spec in self.specs if provider.settings_of(spec).network == network]
        return vpc_layer(rules, self.owned, here)

    def _public(self, vpc: Layer, network: NetworkName, region: str) -> Layers:
        name = network[1]
        path = f"global/networks/{name}"
        about, unread = self._read(f"the order of enforcement of {name}", path, _Network)
        effective, unknown = self._read(
            f"the firewall policies on {name}", f"{path}/getEffectiveFirewalls", Policies
        )
        regional, unknown_there = self._read(
            f"the regional firewall policies of {name} in {region}",
            f"regions/{region}/firewallPolicies/getEffectiveFirewalls",
            Policies,
            {"network": path},
        )
        policies = [*effective.policies, *regional.policies]
        layers = in_order(vpc, policies, about.order, network)
        return Layers(layers, (*unread, *unknown, *unknown_there))

    def _read(
        self, what: str, path: str, model: type[Model], query: Mapping[str, str] | None = None
    ) -> tuple[Model, tuple[str, ...]]:
        """The answer; if Google refuses for good, one without anything and a sentence about it."""
        if what not in self._answers:
            look = partial(self.api.get, self.api.path(path), model, query)
            answer, unread = read_or_said(what, look)
            self._answers[what] = answer or model(), unread
        return self._answers[what]


def _machine(
    instance: Instance, networks: _Networks, specs: Sequence[FirewallSpec]
) -> LayeredMachine:
    return LayeredMachine(
        instance.id,
        instance.name,
        "instance",
        instance.party,
        acting=frozenset(spec.name for spec in specs if instance.is_target_of(spec)),
        interfaces=partial(_interfaces, instance, networks, specs),
        metadata=_metadata(instance),
    )


def _interfaces(
    instance: Instance, networks: _Networks, specs: Sequence[FirewallSpec]
) -> list[LayeredInterface]:
    """Raises `ProviderError`."""
    interfaces = []
    for nic in instance.network_interfaces:
        addresses = public_addresses(nic.external)
        layers = networks.on(nic.network, instance.region, public=bool(addresses))
        ours = [acting_of("", spec) for spec in specs if instance.has_target(spec, nic.network)]
        interfaces.append(LayeredInterface(nic.name, addresses, layers, ours))
    return interfaces


def _metadata(instance: Instance) -> str:
    """Why containers get credentials: the metadata server hands out tokens of the instance's
    service accounts to anything that runs on it. It has no hop limit, and no firewall rule of VPC
    stops it: https://cloud.google.com/compute/docs/metadata/overview. Without a scope an account
    gets no token."""
    tokens = [
        f"{account.email} ({first_of((s.rpartition('/')[2] for s in account.scopes), _SHOWN)})"
        for account in instance.service_accounts
        if account.email and account.scopes
    ]
    return f"Google hands out tokens of the service account {', '.join(tokens)}" if tokens else ""
