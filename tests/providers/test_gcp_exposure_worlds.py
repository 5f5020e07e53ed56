"""Random worlds of instances, VPC rules and firewall policies on the double: what provider and core
make of them is what packets do.

The referee goes through the levels packet by packet, on the world as it was drawn, and shares no
code with the product.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from ipaddress import ip_address, ip_network
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloudsync.planning.exposure import exposure_of
from tests.doubles.compute import ComputeDouble
from tests.packets import PACKETS, Packet, within
from tests.providers.test_exposure_worlds import (
    agree,
    cidrs,
    fleet_of,
    in_range,
    ports,
    random_worlds,
)

pytestmark = pytest.mark.emulator
ACCOUNTS = ("a@p.iam", "b@p.iam")
NETWORKS = ("default", "lan")
UNTOLD = ("srcFqdns", "srcRegionCodes", "srcAddressGroups", "srcThreatIntelligences")
UNTOLD_VALUE = {
    "srcFqdns": "example.org",
    "srcRegionCodes": "US",
    "srcAddressGroups": "g",
    "srcThreatIntelligences": "iplist-tor-exit-nodes",
}
priorities = st.sampled_from([0, 1, 5, 900, 1000, 1000, 65534, 65535])


@dataclass(frozen=True)
class Entry:
    """Protocol and ports, as both kinds of rules write them."""

    protocol: str
    ports: str

    @property
    def has_ports(self) -> bool:
        return self.protocol in ("tcp", "udp") and self.ports != "all"

    def hits(self, packet: Packet) -> bool:
        number, selector, _ = packet
        if self.protocol == "all":
            return True
        wanted = {"tcp": 6, "udp": 17, "icmp": 1, "58": 58, "esp": 50}[self.protocol]
        return number == wanted and (not self.has_ports or in_range(selector, self.ports))

    def wire(self, key: str) -> dict[str, Any]:
        return {key: self.protocol} | ({"ports": [self.ports]} if self.has_ports else {})


entries = st.lists(
    st.builds(Entry, st.sampled_from(["tcp", "tcp", "udp", "icmp", "58", "esp", "all"]), ports),
    min_size=1,
    max_size=2,
)


@dataclass(frozen=True)
class Instance:
    nics: tuple[tuple[str, bool, bool], ...]
    tags: frozenset[str]
    account: str | None
    region: str


@dataclass(frozen=True)
class VpcRule:
    priority: int
    deny: bool
    entries: tuple[Entry, ...]
    cidrs: tuple[str, ...]
    target: str | None
    disabled: bool
    network: str
    inbound: bool
    source_tag: bool
    some_destinations: bool

    def is_for(self, instance: Instance, network: str) -> bool:
        targets = (
            self.target is None or self.target in instance.tags or self.target == instance.account
        )
        return self.inbound and not self.disabled and network == self.network and targets

    def hits(self, packet: Packet) -> bool:
        return within(packet[2], self.cidrs) and any(one.hits(packet) for one in self.entries)


@dataclass(frozen=True)
class PolicyRule:
    action: str
    entries: tuple[Entry, ...]
    cidrs: tuple[str, ...]
    account: str | None
    network: str | None
    secure: str | None
    untold: str | None
    disabled: bool
    inbound: bool

    def is_for(self, instance: Instance, network: str) -> bool:
        if not self.inbound or self.disabled or self.secure == "INEFFECTIVE":
            return False
        return self.account in (None, instance.account) and self.network in (None, network)

    @property
    def certain(self) -> bool:
        return self.secure is None and self.untold is None

    def hits(self, packet: Packet) -> bool:
        return (self.untold is not None or within(packet[2], self.cidrs)) and any(
            one.hits(packet) for one in self.entries
        )

    def wire(self, priority: int) -> dict[str, Any]:
        key = "srcIpRanges" if self.inbound else "destIpRanges"
        match: dict[str, Any] = {
            key: list(self.cidrs),
            "layer4Configs": [one.wire("ipProtocol") for one in self.entries],
        }
        if self.untold is not None and self.inbound:
            match[self.untold] = [UNTOLD_VALUE[self.untold]]
        rule: dict[str, Any] = {
            "kind": "compute#firewallPolicyRule",
            "priority": priority,
            "action": self.action,
            "match": match,
            "direction": "INGRESS" if self.inbound else "EGRESS",
            "disabled": self.disabled,
        }
        if self.account is not None:
            rule["targetServiceAccounts"] = [self.account]
        if self.network is not None:
            rule["targetResources"] = [
                f"https://www.googleapis.com/compute/v1/projects/p/global/networks/{self.network}"
            ]
        if self.secure is not None:
            rule["targetSecureTags"] = [{"name": "tagValues/1", "state": self.secure}]
        return rule


def one_family(drawn: VpcRule) -> VpcRule:
    """A VPC rule has networks of one family."""
    family = ip_network(drawn.cidrs[0]).version
    kept = tuple(one for one in drawn.cidrs if ip_network(one).version == family)
    tagged = (
        drawn.source_tag and drawn.inbound and (drawn.target is None or "@" not in drawn.target)
    )
    return replace(drawn, cidrs=kept, source_tag=tagged)


often = st.sampled_from([True, True, True, True, False])
seldom = st.sampled_from([False, False, False, False, True])
vpc_rules = st.builds(
    VpcRule,
    priorities,
    st.booleans(),
    entries.map(tuple),
    cidrs.map(tuple),
    st.sampled_from([None, None, "a", "b", *ACCOUNTS]),
    seldom,
    st.sampled_from(["default", "default", "lan"]),
    often,
    seldom,
    seldom,
).map(one_family)
policy_rules = st.builds(
    PolicyRule,
    st.sampled_from(["allow", "deny", "deny", "goto_next", "apply_security_profile_group"]),
    entries.map(tuple),
    cidrs.map(tuple),
    st.sampled_from([None, None, *ACCOUNTS]),
    st.sampled_from([None, None, *NETWORKS]),
    st.sampled_from([None, None, None, None, "EFFECTIVE", "INEFFECTIVE"]),
    st.sampled_from([None, None, None, None, None, *UNTOLD]),
    seldom,
    often,
)
policies = st.lists(policy_rules, max_size=3)
instances = st.builds(
    Instance,
    st.lists(
        st.tuples(st.sampled_from(NETWORKS), st.booleans(), st.booleans()), min_size=1, max_size=2
    ).map(tuple),
    st.sets(st.sampled_from(["a", "b"]), max_size=2).map(frozenset),
    st.sampled_from([None, *ACCOUNTS]),
    st.sampled_from(["europe-west1", "us-central1"]),
)


@dataclass(frozen=True)
class World:
    instances: tuple[Instance, ...]
    vpc: tuple[VpcRule, ...]
    hierarchy: tuple[tuple[PolicyRule, ...], ...]
    system: tuple[PolicyRule, ...]
    regional_system: tuple[PolicyRule, ...]
    network: tuple[tuple[PolicyRule, ...], ...]
    regional: tuple[PolicyRule, ...]
    before: bool

    def levels(self, region: str) -> list[str | Sequence[PolicyRule]]:
        """All of them in order; what is regional is in us-central1 only."""
        here = region == "us-central1"
        policies: list[str | Sequence[PolicyRule]] = [*self.network, self.regional if here else ()]
        top: list[str | Sequence[PolicyRule]] = [
            *self.hierarchy,
            self.system,
            self.regional_system if here else (),
        ]
        return [*top, *policies, "vpc"] if self.before else [*top, "vpc", *policies]

    def let_in(self, packet: Packet, instance: Instance, network: str) -> bool:
        """Whether it may come through: what nobody can tell may match where it opens or hands on,
        and may not where it denies."""
        for level in self.levels(instance.region):
            outcomes = (
                {self._by_vpc(packet, instance, network)}
                if level == "vpc"
                else _by_policy(
                    [one for one in level if not isinstance(one, str)], packet, instance, network
                )
            )
            if True in outcomes:
                return True
            if None not in outcomes:
                return False
        return False

    def _by_vpc(self, packet: Packet, instance: Instance, network: str) -> bool | None:
        mine = [rule for rule in self.vpc if rule.is_for(instance, network) and rule.hits(packet)]
        for priority in sorted({rule.priority for rule in mine}):
            here = [rule for rule in mine if rule.priority == priority]
            if any(rule.deny and not rule.some_destinations for rule in here):
                return False
            if any(not rule.deny for rule in here):
                return True
        return None


def _by_policy(
    level: Sequence[PolicyRule], packet: Packet, instance: Instance, network: str
) -> set[bool | None]:
    """What may become of it: let in, stopped, or handed on (None)."""
    outcomes: set[bool | None] = set()
    for rule in level:
        if not rule.is_for(instance, network) or not rule.hits(packet):
            continue
        if rule.action in ("allow", "apply_security_profile_group"):
            return {*outcomes, True}
        if rule.action == "goto_next":
            outcomes.add(None)
        if rule.certain:
            return outcomes if rule.action == "goto_next" else {*outcomes, False}
    return {*outcomes, None}


levels = policies.map(tuple)
worlds = st.builds(
    World,
    st.lists(instances, min_size=1, max_size=3).map(tuple),
    st.lists(vpc_rules, max_size=6).map(tuple),
    st.lists(levels, max_size=2).map(tuple),
    levels,
    levels,
    st.lists(levels, max_size=2).map(tuple),
    levels,
    st.booleans(),
)

# The same with little to choose from: nearly everything is about the same packets of the same
# instances, so that the order of the levels,
# of the rules in them, and every field that takes a rule out decides something.
same_entries = st.sampled_from(
    [(Entry("tcp", "443"),), (Entry("tcp", "1-7"),), (Entry("tcp", "all"),), (Entry("all", "all"),)]
)
same_cidrs = st.sampled_from([("0.0.0.0/0",), ("192.0.2.0/30",)])
close_vpc_rules = st.builds(
    VpcRule,
    st.sampled_from([900, 1000]),
    st.booleans(),
    same_entries,
    same_cidrs,
    st.sampled_from([None, None, "a"]),
    seldom,
    st.just("default"),
    often,
    st.just(False),
    seldom,
).map(one_family)
close_policy_rules = st.builds(
    PolicyRule,
    st.sampled_from(["allow", "deny", "goto_next"]),
    same_entries,
    same_cidrs,
    st.sampled_from([None, None, None, ACCOUNTS[0]]),
    st.sampled_from([None, None, None, "lan"]),
    st.sampled_from([None, None, None, "EFFECTIVE", "INEFFECTIVE"]),
    st.sampled_from([None, None, None, *UNTOLD]),
    seldom,
    often,
)
close_levels = st.lists(close_policy_rules, max_size=3).map(tuple)
close_instances = st.builds(
    Instance,
    st.just((("default", True, False),)),
    st.sampled_from([frozenset(), frozenset("a")]),
    st.sampled_from([None, ACCOUNTS[0]]),
    st.sampled_from(["europe-west1", "us-central1"]),
)
some_level = st.lists(close_policy_rules, min_size=1, max_size=3).map(tuple)
low_worlds = st.builds(
    World,
    st.lists(close_instances, min_size=2, max_size=2).map(tuple),
    st.lists(close_vpc_rules, max_size=2).map(tuple),
    st.just(()),
    st.just(()),
    st.just(()),
    st.tuples(some_level, some_level),
    close_levels,
    st.booleans(),
)
"""Without what stands above, which would have decided nearly everything."""
high_worlds = st.builds(
    World,
    st.lists(close_instances, min_size=2, max_size=3).map(tuple),
    st.lists(close_vpc_rules, min_size=1, max_size=5).map(tuple),
    st.lists(close_levels, max_size=2).map(tuple),
    st.one_of(st.just(()), close_levels),
    st.one_of(st.just(()), close_levels),
    st.lists(close_levels, max_size=2).map(tuple),
    close_levels,
    st.booleans(),
)


def build(cloud: ComputeDouble, world: World) -> None:
    cloud.add_network("lan")
    for network in NETWORKS:
        order = "BEFORE_CLASSIC_FIREWALL" if world.before else "AFTER_CLASSIC_FIREWALL"
        cloud.networks[network]["networkFirewallPolicyEnforcementOrder"] = order

        def policy(
            name: str, type_: str, rules: Sequence[PolicyRule], priority: int = 0
        ) -> dict[str, Any]:
            # The vendor lists rules in no order that may be relied on.
            wires = [rule.wire(10 * number) for number, rule in enumerate(rules)]
            return {
                "name": name,
                "shortName": f"short-{name}",
                "type": type_,
                "priority": priority,
                "rules": wires[::-1],
            }

        wide = [
            policy(f"net-{n}", "NETWORK", rules, priority=n)
            for n, rules in enumerate(world.network)
        ]
        hierarchy = [
            policy(f"org-{n}", "HIERARCHY", rules) for n, rules in enumerate(world.hierarchy)
        ]
        cloud.policies[network] = [
            *wide[::-1],
            policy("system", "SYSTEM", world.system),
            *hierarchy,
        ]
        cloud.regional[network, "us-central1"] = [
            policy("regional", "NETWORK_REGIONAL", world.regional),
            policy("regional-system", "SYSTEM_REGIONAL", world.regional_system),
            policy("system", "SYSTEM_GLOBAL", ()),
        ]
    for n, rule in enumerate(world.vpc):
        fields: dict[str, Any] = {
            "denied" if rule.deny else "allowed": [one.wire("IPProtocol") for one in rule.entries]
        }
        fields |= {"sourceRanges" if rule.inbound else "destinationRanges": list(rule.cidrs)}
        if rule.target is not None:
            fields |= {
                "targetServiceAccounts" if "@" in rule.target else "targetTags": [rule.target]
            }
        if rule.source_tag:
            fields["sourceTags"] = ["bastion"]
        if rule.some_destinations and rule.inbound:
            family = ip_network(rule.cidrs[0]).version
            fields["destinationRanges"] = ["10.9.9.9/32" if family == 4 else "2001:db8:9::/64"]
        cloud.add_firewall(
            f"rule-{n}",
            direction="INGRESS" if rule.inbound else "EGRESS",
            priority=rule.priority,
            disabled=rule.disabled,
            network=f"global/networks/{rule.network}",
            **fields,
        )
    for n, instance in enumerate(world.instances):
        zone = {"europe-west1": "europe-west1-b", "us-central1": "us-central1-a"}[instance.region]
        nics = [
            (net, f"198.51.100.{n}" if v4 else None, f"2001:db8::{n}" if v6 else None)
            for net, v4, v6 in instance.nics
        ]
        cloud.add_instance(f"i-{n}", *nics, tags=instance.tags, account=instance.account, zone=zone)


@random_worlds
@given(worlds)
def test_gcp(world: World) -> None:
    hold_against_the_referee(world)


@settings(random_worlds, max_examples=250)
@given(st.one_of(high_worlds, low_worlds))
def test_gcp_where_all_levels_are_about_the_same_packets(world: World) -> None:
    hold_against_the_referee(world)


def hold_against_the_referee(world: World) -> None:
    with ComputeDouble() as cloud:
        build(cloud, world)
        account = {"project": "p", "anonymous": True, "endpoint": cloud.endpoint}
        firewall = {"target_tags": ["a"], "enforce": "allow"}
        fleet = fleet_of("gcp", account, firewall, tuple(f"i-{n}" for n in range(3)))
        assert cloud.violations == []
        public = {(net, i.region) for i in world.instances for net, v4, v6 in i.nics if v4 or v6}
        assert len(cloud.calls) == 2 + 2 * len({net for net, _ in public}) + len(public)
    assert {one.name for one in fleet.machines} == {f"i-{n}" for n in range(len(world.instances))}
    for machine in fleet.machines:
        instance = world.instances[int(machine.name[2:])]
        expected = {
            packet
            for net, v4, v6 in instance.nics
            for packet in PACKETS
            if (v4 if ip_address(packet[2]).version == 4 else v6)
            and world.let_in(packet, instance, net)
        }
        agree(exposure_of(machine), expected)
