"""Firewall rules and policies of a network as the stages an interface's packets go through. Pure.

Google evaluates hierarchical policies, system policies, VPC rules and network policies one after
the other; where the VPC rules come is the network's own setting
(https://cloud.google.com/firewall/docs/firewall-policies-overview#rule-evaluation):

| AFTER_CLASSIC_FIREWALL                   | BEFORE_CLASSIC_FIREWALL |
|------------------------------------------|-------------------------|
| hierarchical, from the organisation down | the same                |
| system                                   | system                  |
| **VPC rules**                            | global network policies |
| global network policies                  | regional network policies |
| regional network policies                | **VPC rules**           |
| implied: what is left is denied          | the same                |

If it cannot be known from here whom a policy's rule matches (a domain name, a country, a secure tag
of the instance, ...) it counts as far as it opens and not as far as it stops.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from pydantic import ConfigDict, Field

from cloudsync.provider.answers import networks_of, printable
from cloudsync.provider.contract import FirewallSpec
from cloudsync.provider.machines import ActingFirewall, Action, StageRule
from cloudsync.provider.ordered_fleet import Layer, Party
from cloudsync.rules.networks import ANY, NetworkSet
from cloudsync_gcp import provider
from cloudsync_gcp.vpc_rules import Entry, GoogleAnswer, Texts, VpcRule, traffic_of

BEFORE = "BEFORE_CLASSIC_FIREWALL"
AFTER = "AFTER_CLASSIC_FIREWALL"
_ACTIONS = {
    "allow": Action.ALLOW,
    # What it lets pass is inspected; no rule stops it.
    "apply_security_profile_group": Action.ALLOW,
    "deny": Action.DENY,
    "goto_next": Action.NEXT,
}
_HIERARCHY, _GLOBAL = "HIERARCHY", "NETWORK"
# In the order of evaluation, without the VPC rules.
_KINDS = {
    _HIERARCHY: "hierarchical firewall policy",
    "SYSTEM": "system firewall policy",
    "SYSTEM_GLOBAL": "system firewall policy",
    "SYSTEM_REGIONAL": "system firewall policy",
    _GLOBAL: "global network firewall policy",
    "NETWORK_REGIONAL": "regional network firewall policy",
}
_RANKS = {type_: rank for rank, type_ in enumerate(_KINDS)}
_UNRESTRICTED: tuple[object, ...] = (None, "", "UNSPECIFIED", [])
VPC = "VPC firewall rules"
_NETWORK = re.compile(r"projects/([^/]+)/global/networks/([^/]+)$")
NetworkName = tuple[str, str]
"""Project and name, or their numbers."""


class SecureTag(GoogleAnswer):
    """A tag by which policies name machines."""

    name: str = ""
    state: str = "EFFECTIVE"

    @property
    def effective(self) -> bool:
        """Whether it still stands for machines."""
        return self.state != "INEFFECTIVE"

    def __str__(self) -> str:
        return printable(self.name)


class Match(GoogleAnswer):
    """Which packets a policy's rule is about. Whatever else Google has for a source or a
    destination (domain names, countries, address groups, ...) is kept by its name."""

    model_config = ConfigDict(extra="allow")

    src_ip_ranges: Texts = ()
    src_secure_tags: tuple[SecureTag, ...] = ()
    layer4_configs: tuple[Entry, ...] = Field(default=(), alias="layer4Configs")

    @property
    def unknown_sources(self) -> tuple[str, ...]:
        """Sources that stand for addresses which cannot be known from here, by Google's names."""
        return self._restrictions("src")

    @property
    def machines_only(self) -> bool:
        """Whether its sources are other machines (secure tags) and no networks."""
        networks = self.src_ip_ranges or self.unknown_sources
        return bool(self.src_secure_tags) and not networks

    @property
    def sources(self) -> NetworkSet:
        """All they could be. Raises `ValueError`."""
        certain = self.src_ip_ranges and not self.unknown_sources
        return networks_of(self.src_ip_ranges) if certain else ANY

    @property
    def certain(self) -> bool:
        """Whether `sources` are exactly its sources, and it is about all destinations and about
        what its entries name."""
        unknown = self._restrictions("src") or self._restrictions("dest")
        exact = all(entry.exact for entry in self.entries)
        return bool(self.src_ip_ranges) and not unknown and exact

    @property
    def entries(self) -> tuple[Entry, ...]:
        """Its protocols and ports; all of them if it names none."""
        return self.layer4_configs or (Entry.model_validate({"ipProtocol": "all"}),)

    def _restrictions(self, prefix: str) -> tuple[str, ...]:
        fields = self.model_extra or {}
        names = (name for name, value in fields.items() if value not in _UNRESTRICTED)
        return tuple(sorted(name for name in names if name.startswith(prefix)))


class PolicyRule(GoogleAnswer):
    """One rule of a policy."""

    action: str
    priority: int
    rule_name: str = ""
    direction: str = "INGRESS"
    disabled: bool = False
    match: Match = Field(default_factory=Match)
    target_type: str = ""
    target_resources: Texts = ()
    target_secure_tags: tuple[SecureTag, ...] = ()
    target_service_accounts: Texts = ()
    target_forwarding_rules: Texts = ()

    def acts_on_instances_in(self, network: NetworkName) -> bool | None:
        """None if a number stands for the name of a network."""
        tags = self.target_secure_tags
        if (
            self.direction != "INGRESS"
            or self.target_type == "INTERNAL_MANAGED_LB"
            or self.target_forwarding_rules
            or (tags and not any(tag.effective for tag in tags))
        ):
            return False
        return _in_network(self.target_resources, network)

    def __str__(self) -> str:
        name, unknown = printable(self.rule_name), self.match.unknown_sources
        by = f", by {', '.join(unknown)}" if unknown else ""
        if name:
            return f'"{name}" (priority {self.priority}{by})'
        return f"of priority {self.priority}{by}"


class Policy(GoogleAnswer):
    """One firewall policy. Its rules are read one by one: a rule that cannot be understood must not
    hide the others."""

    name: str = "?"
    short_name: str = ""
    display_name: str = ""
    type: str = "UNSPECIFIED"
    priority: int = 0
    rules: tuple[dict[str, object], ...] = ()

    @property
    def rank(self) -> int:
        """Its place in the order of evaluation."""
        return _RANKS.get(self.type, -1)

    @property
    def acting(self) -> ActingFirewall:
        """The policy as a firewall that acts on machines."""
        name = printable(self.short_name or self.display_name or self.name)
        return ActingFirewall(self.name, name, _KINDS.get(self.type, "firewall policy"))


def in_order(
    vpc: Layer, policies: Sequence[Policy], order: str, network: NetworkName
) -> list[Layer]:
    """`policies`: as they were answered, hierarchical ones from the organisation down."""
    # A region's answer may repeat what the network's has.
    unique = {(policy.type, policy.name): policy for policy in policies}
    # Several policies of one network go by the priority of their association; the levels of the
    # hierarchy come as they are answered. A kind that is not known here could come first.
    ordered = sorted(
        unique.values(),
        key=lambda policy: (policy.rank, 0 if policy.type == _HIERARCHY else policy.priority),
    )
    layers = [_policy_layer(policy, network) for policy in ordered]
    before_vpc = [policy for policy in ordered if order == BEFORE or policy.rank < _RANKS[_GLOBAL]]
    layers.insert(len(before_vpc), vpc)
    return layers


def vpc_layer(
    rules: Iterable[VpcRule],
    owned: Mapping[str, FirewallSpec | None],
    specs: Sequence[FirewallSpec],
) -> Layer:
    """The VPC rules of one network. `owned`: whose rule it is, by its name. `specs`: the firewalls
    of the configuration in this network."""
    inbound = [rule for rule in rules if rule.inbound]
    acting = (rule for rule in inbound if rule.understood and rule.matches)
    return Layer(
        VPC,
        [
            (_stage_rule(rule, owned.get(rule.name), specs), frozenset(rule.targets))
            for rule in acting
        ],
        [f"{r.name}: from {printable(source)}" for r in inbound for source in r.other_sources],
        [
            f"the VPC rule {printable(rule.name)[:63]} cannot be understood"
            for rule in inbound
            if not rule.understood
        ],
    )


def _stage_rule(
    rule: VpcRule, owner: FirewallSpec | None, specs: Sequence[FirewallSpec]
) -> StageRule:
    return StageRule(
        replace(acting_of(rule.name, owner), advice=_advice(rule, specs)),
        rule.matches,
        f"{rule.name} (priority {rule.priority})",
        Action.DENY if rule.denied else Action.ALLOW,
        rule.priority,
        rule.disabled,
        certain=not rule.destination_ranges and all(entry.exact for entry in rule.entries),
    )


def acting_of(name: str, spec: FirewallSpec | None) -> ActingFirewall:
    """A VPC rule is a firewall of its own, except that all rules of one of ours are one."""
    if spec is not None:
        return ActingFirewall(provider.identity(spec), provider.identity(spec), of=spec.name)
    return ActingFirewall(name, name, "VPC firewall rule")


def _advice(rule: VpcRule, specs: Sequence[FirewallSpec]) -> str:
    """What to do about what a rule of others lets in; a rule for every machine cannot be taken off
    one."""
    settings = [(spec.name, provider.settings_of(spec)) for spec in specs]
    for name, each in settings:
        if each.enforce == "deny-others" and rule.priority >= each.denial_priority:
            return f'apply this plan: enforce = "deny-others" of {name} closes it'
    by_denial = any(each.enforce == "allow" for _, each in settings)
    way_out = f"delete, narrow or retarget VPC firewall rule {rule.name}"
    return way_out + (', or set enforce = "deny-others"' if by_denial else "")


def network_name(url: object) -> NetworkName | None:
    """Project and name in the URL of a network, whole or partial."""
    match = _NETWORK.search(str(url or ""))
    return (match[1], match[2]) if match else None


def _policy_layer(policy: Policy, network: NetworkName) -> Layer:
    """The rules of a policy that are for instances in this network."""
    rules: list[tuple[StageRule, Party]] = []
    kept: list[str] = []
    unknown: list[str] = []
    if policy.type not in _KINDS:
        unknown.append(f"{policy.acting} is of a kind that is not known here")
    for answer in policy.rules:
        try:
            rule = PolicyRule.model_validate(answer)
            here = rule.acts_on_instances_in(network)
            if here is not False and not rule.match.machines_only:
                stage_rule = _policy_rule(rule, policy, certain=here is True)
                rules.append((stage_rule, frozenset(rule.target_service_accounts)))
        except ValueError:  # pydantic's ValidationError, and a protocol or network that is none
            unknown.append(f"a rule of the {policy.acting} cannot be understood")
            continue
        kept += (
            f'{policy.acting.name}, priority {rule.priority}: from the secure tag "{tag}"'
            for tag in rule.match.src_secure_tags
            if tag.effective and here is not False
        )
    return Layer(str(policy.acting), rules, kept, unknown)


def _policy_rule(rule: PolicyRule, policy: Policy, *, certain: bool) -> StageRule:
    """Raises `ValueError`. That it has secure tags as its targets nothing tells from here of an
    instance."""
    action, match = _ACTIONS.get(rule.action), rule.match
    return StageRule(
        policy.acting,
        traffic_of(match.entries, match.sources),
        str(rule),
        action or Action.ALLOW,
        rule.priority,
        rule.disabled,
        certain=certain
        and match.certain
        and action is not None
        and policy.type in _KINDS
        and not rule.target_secure_tags,
    )


def _in_network(resources: Iterable[str], network: NetworkName) -> bool | None:
    """Whether a rule for these networks is for this one; None if a number stands for a name."""
    names = [network_name(resource) for resource in resources]
    if not names or network in names:
        return True
    unclear = (name is None or name[0].isdecimal() or name[1].isdecimal() for name in names)
    return None if any(unclear) else False


class Policies(GoogleAnswer):
    """What is in effect on a network, or on it in one region."""

    policies: tuple[Policy, ...] = Field(default=(), alias="firewallPolicys")
