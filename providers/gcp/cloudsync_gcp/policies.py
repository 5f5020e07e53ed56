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
from dataclasses import field, replace

from pydantic import ConfigDict, Field

from cloudsync.provider.answers import networks_of, printable
from cloudsync.provider.contract import FirewallSpec
from cloudsync.provider.machines import ActingFirewall, Action, Stage, StageRule
from cloudsync.rules import RuleSet
from cloudsync.rules.frozen import dataclass
from cloudsync.rules.networks import ANY, NetworkSet
from cloudsync_gcp.settings import prefix_of, settings_of
from cloudsync_gcp.vpc_rules import Entry, GoogleAnswer, Texts, VpcRule

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
_EVERYTHING = (Entry.model_validate({"ipProtocol": "all"}),)
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
    def some_destinations(self) -> bool:
        """Whether it is about some destinations only."""
        return bool(self._restrictions("dest"))

    @property
    def machines_only(self) -> bool:
        """Whether its sources are other machines (secure tags) and no networks."""
        networks = self.src_ip_ranges or self.unknown_sources
        return bool(self.src_secure_tags) and not networks

    @property
    def entries(self) -> tuple[Entry, ...]:
        """Its protocols and ports; all of them if it names none."""
        return self.layer4_configs or _EVERYTHING

    @property
    def certain_sources(self) -> bool:
        """Whether `sources` are exactly its sources."""
        return bool(self.src_ip_ranges) and not self.unknown_sources

    @property
    def sources(self) -> NetworkSet:
        """All it could be. Raises `ValueError`."""
        return networks_of(self.src_ip_ranges) if self.certain_sources else ANY

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
    match: Match = Match()
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


Party = frozenset[str]
"""The tags and service accounts of an instance, by which rules name it."""


@dataclass(frozen=True, slots=True)
class Level:
    """One rule, as far as it is the same for every instance."""

    rule: StageRule
    targets: Party = frozenset()
    """Target tags and service accounts; without any it is for everybody."""
    by_secure_tag: bool = False
    """Whether it is for instances with secure tags, which nothing tells from here."""

    def on(self, party: Party) -> StageRule | None:
        """The rule on one instance; None if it is not for it."""
        if self.targets and self.targets.isdisjoint(party):
            return None
        return replace(self.rule, certain=False) if self.by_secure_tag else self.rule


@dataclass(frozen=True, slots=True)
class Layer:
    """A policy, the VPC rules of a network, or one rule of either."""

    name: str
    levels: tuple[Level, ...] = ()
    kept: tuple[str, ...] = ()
    """What other machines may reach through it."""
    unknown: tuple[str, ...] = ()
    """What of it could not be understood."""

    @classmethod
    def of(cls, name: str, rules: Iterable[Layer]) -> Layer:
        """The rules together."""
        rules = tuple(rules)
        return cls(
            name,
            tuple(level for rule in rules for level in rule.levels),
            tuple(kept for rule in rules for kept in rule.kept),
            tuple(unknown for rule in rules for unknown in rule.unknown),
        )

    def stage(self, party: Party) -> Stage:
        """As it is on one instance."""
        on_it = (level.on(party) for level in self.levels)
        return Stage(self.name, tuple(rule for rule in on_it if rule is not None))


@dataclass(frozen=True, slots=True)
class Layers:
    """Everything that acts in one network and region, in order."""

    layers: tuple[Layer, ...]
    unknown: tuple[str, ...] = field(default=())

    def stages(self, party: Party) -> tuple[Stage, ...]:
        """As they are on one instance; what is left after them is denied."""
        stages = [layer.stage(party) for layer in self.layers]
        return (*stages[:-1], replace(stages[-1], otherwise=Action.DENY))


def in_order(vpc: Layer, policies: Sequence[Policy], order: str, network: NetworkName) -> Layers:
    """`policies`: as they were answered, hierarchical ones from the organisation down."""
    unique: dict[tuple[str, str], Policy] = {}
    for policy in policies:
        unique.setdefault((policy.type, policy.name), policy)
    # Several policies of one network go by the priority of their association; the levels of the
    # hierarchy come as they are answered. A kind that is not known here could come first.
    ordered = sorted(
        unique.values(),
        key=lambda policy: (policy.rank, 0 if policy.type == _HIERARCHY else policy.priority),
    )
    layers = [_layer(policy, network) for policy in ordered]
    before_vpc = [policy for policy in ordered if order == BEFORE or policy.rank < _RANKS[_GLOBAL]]
    unknown = [text for layer in layers for text in layer.unknown]
    unknown += [
        f"{policy.acting} is of a kind that is not known here"
        for policy in ordered
        if policy.type not in _KINDS
    ]
    layers.insert(len(before_vpc), vpc)
    return Layers(tuple(layers), (*vpc.unknown, *unknown))


def vpc_layer(
    rules: Iterable[VpcRule],
    owned: Mapping[str, FirewallSpec | None],
    specs: Sequence[FirewallSpec],
) -> Layer:
    """The VPC rules of one network. `owned`: whose rule it is, by its name. `specs`: the firewalls
    of the configuration in this network."""
    inbound = (rule for rule in rules if rule.inbound)
    return Layer.of(VPC, (_of_vpc_rule(rule, owned.get(rule.name), specs) for rule in inbound))


def _of_vpc_rule(rule: VpcRule, owner: FirewallSpec | None, specs: Sequence[FirewallSpec]) -> Layer:
    kept = tuple(f"{rule.name}: from {printable(source)}" for source in rule.other_sources)
    if not rule.understood:
        unknown = f"the VPC rule {printable(rule.name)[:63]} cannot be understood"
        return Layer(VPC, kept=kept, unknown=(unknown,))
    if not rule.matches:
        return Layer(VPC, kept=kept)
    stage_rule = StageRule(
        replace(acting_of(rule.name, owner), advice=_advice(rule, specs)),
        rule.matches,
        f"{rule.name} (priority {rule.priority})",
        Action.DENY if rule.denied else Action.ALLOW,
        rule.priority,
        rule.disabled,
        certain=not rule.destination_ranges and all(entry.exact for entry in rule.entries),
    )
    return Layer(VPC, (Level(stage_rule, frozenset(rule.targets)),), kept)


def acting_of(name: str, spec: FirewallSpec | None) -> ActingFirewall:
    """A VPC rule is a firewall of its own, except that all rules of one of ours are one."""
    if spec is not None:
        return ActingFirewall(prefix_of(spec), prefix_of(spec), of=spec.name)
    return ActingFirewall(name, name, "VPC firewall rule")


def _advice(rule: VpcRule, specs: Sequence[FirewallSpec]) -> str:
    """What to do about what a rule of others lets in; a rule for every machine cannot be taken off
    one."""
    settings = [(spec.name, settings_of(spec)) for spec in specs]
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


def _layer(policy: Policy, network: NetworkName) -> Layer:
    rules = (_of_policy_rule(answer, policy, network) for answer in policy.rules)
    return Layer.of(str(policy.acting), rules)


def _of_policy_rule(answer: object, policy: Policy, network: NetworkName) -> Layer:
    acting = policy.acting
    try:
        rule = PolicyRule.model_validate(answer)
        level = _level(rule, policy, network)
    except ValueError:  # pydantic's ValidationError, and a protocol or network that is none
        return Layer("", unknown=(f"a rule of the {acting} cannot be understood",))
    here = rule.acts_on_instances_in(network) is not False
    kept = (
        f'{acting.name}, priority {rule.priority}: from the secure tag "{printable(tag.name)}"'
        for tag in rule.match.src_secure_tags
        if tag.effective and here
    )
    return Layer("", () if level is None else (level,), tuple(kept))


def _level(rule: PolicyRule, policy: Policy, network: NetworkName) -> Level | None:
    """A policy's rule; None if it says nothing of packets from networks to instances in this
    network. Raises `ValueError`."""
    here, match = rule.acts_on_instances_in(network), rule.match
    if here is False or match.machines_only:
        return None
    action, sources = _ACTIONS.get(rule.action), match.sources
    stage_rule = StageRule(
        policy.acting,
        RuleSet.of(traffic for entry in match.entries for traffic in entry.traffic(sources)),
        str(rule),
        action or Action.ALLOW,
        rule.priority,
        rule.disabled,
        certain=match.certain_sources
        and not match.some_destinations
        and here is True
        and action is not None
        and policy.type in _KINDS
        and all(entry.exact for entry in match.entries),
    )
    targets = frozenset(rule.target_service_accounts)
    return Level(stage_rule, targets, by_secure_tag=bool(rule.target_secure_tags))


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
