"""Instances with everything that filters them, interface by interface.

Read: all instances in one call per 500, and for every network that a public interface of theirs is
in the order of enforcement and the policies, and for every region there the regional policies. What
could not be read of them is told on the machines it is about.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from cloudsync.provider.contract import FirewallSpec
from cloudsync.provider.errors import AuthError, NotFound, Unsupported
from cloudsync.provider.machines import (
    ActingFirewall,
    Action,
    Fleet,
    Interface,
    Marked,
    ObservedMachine,
    Stage,
    families_of,
    public_addresses,
)
from cloudsync.rules.networks import NOWHERE
from cloudsync_gcp.client import Api
from cloudsync_gcp.denials import SPARED
from cloudsync_gcp.policies import (
    AFTER,
    Layer,
    Layers,
    NetworkName,
    Party,
    acting_of,
    in_order,
    network_name,
    vpc_layer,
)
from cloudsync_gcp.rules import SUFFIX, VendorRule, marker_of, network_of
from cloudsync_gcp.settings import settings_of

NOT_EVALUATED = (
    "load balancers and protocol forwarding, which hand packets to instances without a public address too, were not looked at",
    "routes, and firewalls inside the instances, were not looked at",
    "instances of other projects that use this one's networks (shared VPC) were not looked at",
)
_SUFFIX = re.compile(rf"(.+)-(?:{SUFFIX}|deny[46][b-z]?)")


def fleet(
    api: Api,
    rules: Sequence[VendorRule],
    owned: Mapping[str, FirewallSpec | None],
    specs: Sequence[FirewallSpec],
) -> Fleet:
    """Raises `ProviderError`, and what a list of a strange shape raises."""
    instances = api.aggregated("aggregated/instances", "instances")
    networks = _Networks(api, rules, owned)
    concerning = (
        (
            instance,
            frozenset(
                spec.name
                for spec in specs
                if _is_for(instance, spec) or instance["name"] in spec.hosts
            ),
        )
        for instance in instances
    )
    machines = [
        _machine(instance, networks, concerns) for instance, concerns in concerning if concerns
    ]
    exist = {
        spec.name
        for rule in rules
        if (spec := owned[str(rule["name"])]) is not None and _inbound(rule)
    }
    unattached = {
        spec.name
        for spec in specs
        if spec.name in exist and not any(_is_for(instance, spec) for instance in instances)
    }
    return Fleet(tuple(machines), frozenset(unattached), NOT_EVALUATED)


def marked(
    rules: Sequence[VendorRule], owner: str, owned: Mapping[str, FirewallSpec | None]
) -> tuple[Marked, ...]:
    """The firewalls that carry the owner's marker; the rules of one that nobody names are told
    apart from others by their prefix."""
    found: dict[tuple[object, ...], Marked] = {}
    for rule in rules:
        marker, name = marker_of(rule), str(rule["name"])
        if marker is None or marker.owner != owner or not _inbound(rule):
            continue
        match = _SUFFIX.fullmatch(name)
        prefix = match[1] if match else name
        spec = owned[name]
        firewall = acting_of(name, spec) if spec is not None else ActingFirewall(prefix, prefix)
        found.setdefault((firewall, marker.firewall), Marked(firewall, marker))
    return tuple(found.values())


@dataclass(slots=True)
class _Networks:
    """What acts in each network and region; every network and every region of it is asked for
    once."""

    api: Api
    rules: Sequence[VendorRule]
    owned: Mapping[str, FirewallSpec | None]
    _vpc: dict[str, Layer] = field(default_factory=dict)
    _known: dict[str, tuple[str, list[Mapping[str, Any]], list[str]]] = field(default_factory=dict)
    _layers: dict[tuple[str, str], Layers] = field(default_factory=dict)

    def vpc(self, network: str) -> Layer:
        """The VPC rules of a network, which need no call."""
        if network not in self._vpc:
            self._vpc[network] = vpc_layer(
                (rule for rule in self.rules if network_of(rule) == network), self.owned
            )
        return self._vpc[network]

    def layers(self, network: NetworkName, region: str) -> Layers:
        """Raises `ProviderError` where trying again may help."""
        project, name = network
        if project != self.api.project:
            text = (
                f"it is in the network {name} of the project {project}, whose rules were not read"
            )
            return Layers((Layer("VPC firewall rules", ()),), (text,))
        if (name, region) not in self._layers:
            order, policies, unknown = self._of_network(name)
            regional = self._asked(
                f"the regional firewall policies of {name} in {region}",
                lambda: _policies(
                    self.api.get(
                        f"regions/{region}/firewallPolicies/getEffectiveFirewalls",
                        network=f"global/networks/{name}",
                    )
                ),
                here := list(unknown),
            )
            # The region's answer may repeat what the network's has.
            policies = [
                *policies,
                *(one for one in regional or () if one.get("type") not in ("HIERARCHY", "NETWORK")),
            ]
            built = in_order(self.vpc(name), policies, order, network)
            self._layers[name, region] = Layers(built.layers, (*here, *built.unknown))
        return self._layers[name, region]

    def _of_network(self, name: str) -> tuple[str, list[Mapping[str, Any]], list[str]]:
        if name not in self._known:
            unknown: list[str] = []
            path = f"global/networks/{name}"
            resource = self._asked(
                f"the order of enforcement of {name}", lambda: self.api.get(path), unknown
            )
            policies = self._asked(
                f"the firewall policies on {name}",
                lambda: _policies(self.api.get(f"{path}/getEffectiveFirewalls")),
                unknown,
            )
            order = str((resource or {}).get("networkFirewallPolicyEnforcementOrder") or AFTER)
            self._known[name] = order, list(policies or ()), unknown
        return self._known[name]

    def _asked(self, what: str, ask: Callable[[], Any], unknown: list[str]) -> Any:
        """None, and a text in `unknown`, where Google refuses for good."""
        try:
            return ask()
        except (AuthError, NotFound, Unsupported) as error:
            unknown.append(f"{what} could not be read, and may let in more: {error.message}")
            return None


def _policies(answer: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return list(answer.get("firewallPolicys") or ())


def _machine(
    instance: Mapping[str, Any], networks: _Networks, concerns: frozenset[str]
) -> ObservedMachine:
    party = _party(instance)
    zone = str(instance["zone"]).rsplit("/", 1)[-1]
    region = zone.rsplit("-", 1)[0]
    interfaces, unknown, kept = [], [], []
    for nic in instance.get("networkInterfaces") or ():
        addresses = public_addresses(_external(nic))
        network = network_name(nic.get("network"))
        if network is None:
            raise ValueError("an interface without a network")
        if addresses:
            layers = networks.layers(network, region)
        else:
            # Nothing of the Internet gets there: that it is under our firewall is told without a
            # call.
            vpc = (
                networks.vpc(network[1])
                if network[0] == networks.api.project
                else Layer("VPC firewall rules", ())
            )
            layers = Layers((vpc,))
        stages = layers.stages(party)
        name = str(nic.get("name") or "nic0")
        unknown += [f"{name}: {text}" for text in layers.unknown]
        kept += [text for layer in layers.layers for text in layer.kept]
        interfaces.append(
            Interface(name, families_of(addresses), stages, addresses, tuple(_acting(stages)))
        )
    return ObservedMachine(
        id=str(instance["id"]),
        name=str(instance["name"]),
        kind="instance",
        interfaces=tuple(interfaces),
        concerns=concerns,
        unknown=tuple(dict.fromkeys(unknown)),
        kept=tuple(dict.fromkeys(kept)),
        spared=SPARED if any(_denies_others(one.stages) for one in interfaces) else NOWHERE,
    )


def _acting(stages: Sequence[Stage]) -> Iterator[ActingFirewall]:
    """Those that let something in or stop it; rules that hand everything on act as little as
    disabled ones."""
    yield from dict.fromkeys(
        rule.firewall
        for stage in stages
        for rule in stage.rules
        if not rule.disabled and rule.action is not Action.NEXT
    )


def _denies_others(stages: Sequence[Stage]) -> bool:
    return any(
        rule.firewall.of is not None and rule.action is Action.DENY and not rule.disabled
        for stage in stages
        for rule in stage.rules
    )


def _party(instance: Mapping[str, Any]) -> Party:
    tags = (instance.get("tags") or {}).get("items") or ()
    accounts = (str(one.get("email")) for one in instance.get("serviceAccounts") or ())
    return Party(frozenset(map(str, tags)), frozenset(accounts))


def _is_for(instance: Mapping[str, Any], spec: FirewallSpec) -> bool:
    """Whether the firewall's targets are on the instance, in its network."""
    settings, party = settings_of(spec), _party(instance)
    nets = {
        name[1]
        for nic in instance.get("networkInterfaces") or ()
        if (name := network_name(nic.get("network"))) is not None
    }
    wanted = party.tags.intersection(settings.target_tags or ()) or party.accounts.intersection(
        settings.target_service_accounts or ()
    )
    return settings.network in nets and bool(wanted)


def _external(nic: Mapping[str, Any]) -> Iterator[str]:
    for key, said in (("accessConfigs", "natIP"), ("ipv6AccessConfigs", "externalIpv6")):
        for one in nic.get(key) or ():
            if one.get(said):
                yield str(one[said])


def _inbound(rule: VendorRule) -> bool:
    return bool(rule.get("direction", "INGRESS") == "INGRESS")
