"""Firewall rules and policies of a network as the stages an interface's packets go through. Pure.

Google looks at hierarchical policies, system policies, VPC rules and network policies one after the
other; where the VPC rules stand is the network's own setting
(https://cloud.google.com/firewall/docs/firewall-policies-overview#rule-evaluation):

| AFTER_CLASSIC_FIREWALL       | BEFORE_CLASSIC_FIREWALL      |
|------------------------------|------------------------------|
| hierarchical, from the organisation down | the same         |
| system                       | system                       |
| **VPC rules**                | global network policies      |
| global network policies      | regional network policies    |
| regional network policies    | **VPC rules**                |
| implied: what is left is denied | the same                  |

Where nobody can tell from here whom a policy's rule matches (a domain name, a country, a secure tag
of the instance, ...) it counts as far as it opens and not as far as it stops.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from cloudsync.provider.contract import FirewallSpec
from cloudsync.provider.machines import ActingFirewall, Action, Stage, StageRule
from cloudsync.rules import RuleSet
from cloudsync.rules.networks import ANY
from cloudsync_gcp.errors import plain
from cloudsync_gcp.rules import VendorRule, matched, networks_of, traffic
from cloudsync_gcp.settings import prefix_of

BEFORE = "BEFORE_CLASSIC_FIREWALL"
AFTER = "AFTER_CLASSIC_FIREWALL"
_ACTIONS = {
    "allow": Action.ALLOW,
    # What it lets pass is inspected; it is not stopped by a rule.
    "apply_security_profile_group": Action.ALLOW,
    "deny": Action.DENY,
    "goto_next": Action.NEXT,
}
_HIERARCHY, _GLOBAL, _REGIONAL = "HIERARCHY", "NETWORK", "NETWORK_REGIONAL"
_SYSTEM = ("SYSTEM", "SYSTEM_GLOBAL", "SYSTEM_REGIONAL")
_KINDS = {
    _HIERARCHY: "hierarchical firewall policy",
    _GLOBAL: "global network firewall policy",
    _REGIONAL: "regional network firewall policy",
} | dict.fromkeys(_SYSTEM, "system firewall policy")
# Sources that stand for addresses nobody can tell from here.
_UNTOLD = (
    "srcAddressGroups",
    "srcFqdns",
    "srcRegionCodes",
    "srcThreatIntelligences",
    "srcNetworks",
)
_UNSPECIFIED = (None, "", "UNSPECIFIED")
_DESTINATIONS = ("destAddressGroups", "destFqdns", "destRegionCodes", "destThreatIntelligences")
_NETWORK = re.compile(r"projects/([^/]+)/global/networks/([^/]+)$")
_WITH_PORTS = ("tcp", "udp", "sctp", "6", "17", "132")
NetworkName = tuple[str, str]
"""Project and name, or their numbers."""


@dataclass(frozen=True, slots=True)
class Party:
    """Whom rules are for, of one instance."""

    tags: frozenset[str]
    accounts: frozenset[str]


@dataclass(frozen=True, slots=True)
class Level:
    """One rule, as far as it is the same for every instance. `tags`, `accounts`: the targets;
    neither is everybody. `untold`: it is for instances with secure tags."""

    rule: StageRule
    tags: frozenset[str] = frozenset()
    accounts: frozenset[str] = frozenset()
    untold: bool = False

    def on(self, party: Party) -> StageRule | None:
        """The rule on one instance; None where it is not for it."""
        if (
            (self.tags or self.accounts)
            and self.tags.isdisjoint(party.tags)
            and self.accounts.isdisjoint(party.accounts)
        ):
            return None
        return replace(self.rule, certain=False) if self.untold else self.rule


@dataclass(frozen=True, slots=True)
class Layer:
    """A policy, or the VPC rules of a network. `kept`: what other machines may reach through it."""

    name: str
    levels: tuple[Level, ...]
    kept: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()

    def stage(self, party: Party) -> Stage:
        """As it is on one instance."""
        return Stage(
            self.name, tuple(rule for level in self.levels if (rule := level.on(party)) is not None)
        )


@dataclass(frozen=True, slots=True)
class Layers:
    """Everything that acts in one network and region, in order."""

    layers: tuple[Layer, ...]
    unknown: tuple[str, ...] = field(default=())

    def stages(self, party: Party) -> tuple[Stage, ...]:
        """As they are on one instance; what is left after them is denied."""
        stages = [layer.stage(party) for layer in self.layers]
        return (*stages[:-1], replace(stages[-1], otherwise=Action.DENY))


def in_order(
    vpc: Layer, policies: Sequence[Mapping[str, Any]], order: str, network: NetworkName
) -> Layers:
    """`policies`: as they were answered, hierarchical ones from the organisation down. Raises what
    a strange shape raises."""
    by_type: dict[str, list[Mapping[str, Any]]] = {}
    seen: set[tuple[str, str]] = set()
    for policy in policies:
        type_ = str(policy.get("type") or "UNSPECIFIED")
        if (type_, str(policy.get("name"))) not in seen:
            by_type.setdefault(type_, []).append(policy)
            seen.add((type_, str(policy.get("name"))))

    def of(*types: str) -> list[Layer]:
        # Several policies of one network go by the priority of their association; the levels of the
        # hierarchy as they come.
        found = [(type_, policy) for type_ in types for policy in by_type.pop(type_, ())]
        if _HIERARCHY not in types:
            found.sort(key=lambda one: (types.index(one[0]), int(one[1].get("priority") or 0)))
        return [_layer(policy, network, type_) for type_, policy in found]

    hierarchical, system, network_wide = (
        of(_HIERARCHY),
        of(*_SYSTEM),
        [*of(_GLOBAL), *of(_REGIONAL)],
    )
    strange = [
        _layer(policy, network, type_, strange=True)
        for type_, ones in by_type.items()
        for policy in ones
    ]
    classic = [*network_wide, vpc] if order == BEFORE else [vpc, *network_wide]
    layers = (*strange, *hierarchical, *system, *classic)
    unknown = [text for layer in layers for text in layer.unknown]
    unknown += [f"{layer.name} is of a kind that is not known here" for layer in strange]
    return Layers(layers, tuple(unknown))


def vpc_layer(rules: Iterable[VendorRule], owned: Mapping[str, FirewallSpec | None]) -> Layer:
    """The VPC rules of one network. `owned`: whose rule it is, by its name."""
    levels, kept, unknown = [], [], []
    for rule in rules:
        if rule.get("direction", "INGRESS") != "INGRESS":
            continue
        name = str(rule["name"])
        acting = acting_of(name, owned.get(name))
        try:
            key = "denied" if rule.get("denied") else "allowed"
            matches = matched(rule, "denied" if key == "denied" else "allowed")
            kept += [
                f'{name}: from the {word} "{plain(str(one))}"'
                for field_, word in (
                    ("sourceTags", "tag"),
                    ("sourceServiceAccounts", "service account"),
                )
                for one in rule.get(field_) or ()
            ]
            if not matches:
                continue
            stage_rule = StageRule(
                acting,
                matches,
                f"{name} (priority {int(rule.get('priority', 1000))})",
                Action.DENY if key == "denied" else Action.ALLOW,
                int(rule.get("priority", 1000)),
                bool(rule.get("disabled")),
                certain=not rule.get("destinationRanges")
                and _exact(rule.get(key) or (), "IPProtocol"),
            )
        except (KeyError, TypeError, ValueError, AttributeError):
            unknown.append(f"the VPC rule {plain(name)[:63]} cannot be understood")
            continue
        levels.append(
            Level(
                stage_rule,
                frozenset(rule.get("targetTags") or ()),
                frozenset(rule.get("targetServiceAccounts") or ()),
            )
        )
    return Layer("VPC firewall rules", tuple(levels), tuple(kept), tuple(unknown))


def acting_of(name: str, spec: FirewallSpec | None) -> ActingFirewall:
    """A VPC rule is a firewall of its own, except that all rules of one of ours are one."""
    if spec is not None:
        return ActingFirewall(prefix_of(spec), prefix_of(spec), of=spec.name)
    return ActingFirewall(name, name, "VPC firewall rule")


def network_name(url: object) -> NetworkName | None:
    """Project and name in the URL of a network, whole or partial."""
    match = _NETWORK.search(str(url or ""))
    return (match[1], match[2]) if match else None


def _layer(
    policy: Mapping[str, Any], network: NetworkName, type_: str, *, strange: bool = False
) -> Layer:
    id_ = str(policy.get("name") or "?")
    name = plain(str(policy.get("shortName") or policy.get("displayName") or id_))
    acting = ActingFirewall(id_, name, _KINDS.get(type_, "firewall policy"))
    levels, kept, unknown = [], [], []
    for rule in policy.get("rules") or ():
        try:
            level, inner = _level(rule, acting, network)
        except (KeyError, TypeError, ValueError, AttributeError):
            unknown.append(f"a rule of the {acting} cannot be understood")
            continue
        kept += [f"{name}, priority {int(rule['priority'])}: from {one}" for one in inner]
        if level is not None:
            levels.append(
                replace(level, rule=replace(level.rule, certain=False)) if strange else level
            )
    return Layer(str(acting), tuple(levels), tuple(kept), tuple(unknown))


def _level(
    rule: Mapping[str, Any], acting: ActingFirewall, network: NetworkName
) -> tuple[Level | None, tuple[str, ...]]:
    """A policy's rule, and sources of it that are other machines."""
    if (
        rule.get("direction", "INGRESS") != "INGRESS"
        or rule.get("targetType") == "INTERNAL_MANAGED_LB"
    ):
        return None, ()
    here = _in_network(rule.get("targetResources") or (), network)
    secure = rule.get("targetSecureTags") or ()
    effective = [one for one in secure if one.get("state") != "INEFFECTIVE"]
    if here is False or (secure and not effective) or rule.get("targetForwardingRules"):
        return None, ()
    match = rule.get("match") or {}
    ranges = match.get("srcIpRanges") or ()
    tags = tuple(
        f'the secure tag "{plain(str(one.get("name")))}"'
        for one in match.get("srcSecureTags") or ()
        if one.get("state") != "INEFFECTIVE"
    )
    untold = [key for key in _UNTOLD if match.get(key)]
    untold += [
        key for key in ("srcNetworkType", "srcNetworkContext") if match.get(key) not in _UNSPECIFIED
    ]
    if not ranges and not untold and match.get("srcSecureTags"):
        return None, tags
    elsewhere = bool(match.get("destIpRanges")) or any(match.get(key) for key in _DESTINATIONS)
    elsewhere = elsewhere or any(
        match.get(key) not in _UNSPECIFIED for key in ("destNetworkType", "destNetworkContext")
    )
    sources = networks_of(ranges) if ranges and not untold else ANY
    entries = match.get("layer4Configs") or ({"ipProtocol": "all"},)
    action = _ACTIONS.get(str(rule["action"]))
    priority = int(rule["priority"])
    stage_rule = StageRule(
        acting,
        RuleSet.of(
            one
            for entry in entries
            for one in traffic(entry["ipProtocol"], entry.get("ports") or (), sources)
        ),
        _text(rule, priority, untold),
        action or Action.ALLOW,
        priority,
        bool(rule.get("disabled")),
        certain=bool(ranges)
        and not untold
        and not elsewhere
        and here is True
        and action is not None
        and _exact(entries, "ipProtocol"),
    )
    accounts = frozenset(rule.get("targetServiceAccounts") or ())
    return Level(stage_rule, accounts=accounts, untold=bool(effective)), tags


def _text(rule: Mapping[str, Any], priority: int, untold: Sequence[str]) -> str:
    name = plain(str(rule.get("ruleName") or ""))
    by = f", by {', '.join(untold)}" if untold else ""
    return f'"{name}" (priority {priority}{by})' if name else f"of priority {priority}{by}"


def _exact(entries: Iterable[Mapping[str, Any]], key: str) -> bool:
    """Whether what is reckoned with is what is said: ports of a protocol that has none would be all
    of it."""
    return not any(
        entry.get("ports") and str(entry[key]).lower() not in _WITH_PORTS for entry in entries
    )


def _in_network(resources: Iterable[object], network: NetworkName) -> bool | None:
    """Whether a rule for these networks is for this one; None where a number stands for a name."""
    names = [network_name(one) for one in resources]
    if not names or network in names:
        return True
    return (
        None
        if any(one is None or one[0].isdecimal() or one[1].isdecimal() for one in names)
        else False
    )
