"""What the kernel lets through, as a stage of exposure. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cloudsync.provider.contract import FirewallSpec
from cloudsync.provider.machines import (
    BOTH_FAMILIES,
    ActingFirewall,
    Fleet,
    Interface,
    ObservedMachine,
    StageRule,
    union_stage,
)
from cloudsync.rules import Rule, RuleSet
from cloudsync.rules.networks import NetworkSet
from cloudsync_host.elements import vendor_rule
from cloudsync_host.listing import Table
from cloudsync_host.machine import Seen, unfiltered
from cloudsync_host.settings import settings_of

NOT_EVALUATED = (
    (
        "other firewalls of the machine (ufw, firewalld, the engine's own rules) may close more;"
        " what a host firewall drops they cannot let in"
    ),
    (
        "containers with an address of their own on the link (macvlan, ipvlan) pass no hook of the"
        " host"
    ),
)


def fleet(specs: Sequence[FirewallSpec], seen: Mapping[str, Seen]) -> Fleet:
    """One machine for each firewall; one that only observes filters nothing."""
    machines = tuple(_machine(spec, seen[spec.name]) for spec in specs)
    unattached = frozenset(
        spec.name
        for spec in specs
        if (table := seen[spec.name].table) is not None and table.observes
    )
    return Fleet(machines, unattached, NOT_EVALUATED)


def _machine(spec: FirewallSpec, seen: Seen) -> ObservedMachine:
    name = spec.hosts[0] if spec.hosts else spec.name
    table = seen.table
    firewall = ActingFirewall(
        f"inet cloudsync on {name}", "inet cloudsync", "host table", spec.name
    )
    acting = (firewall,) if table is not None and not table.observes else ()
    stages = (union_stage(_rules(spec, table, firewall), "host"),) if table and acting else ()
    filtered = Interface("uplinks", BOTH_FAMILIES, stages, firewalls=acting)
    links = unfiltered(settings_of(spec), seen.uplinks)
    return ObservedMachine(
        id=name,
        name=name,
        kind="machine",
        interfaces=(filtered, *(Interface(link, BOTH_FAMILIES, ()) for link in links)),
        concerns=frozenset({spec.name}),
        unknown=tuple(table.strangers) if table is not None else (),
        inside=True,
    )


def _rules(spec: FirewallSpec, table: Table, firewall: ActingFirewall) -> tuple[StageRule, ...]:
    opened = [
        StageRule(firewall, element.rules, vendor_rule(element).key) for element in table.elements
    ]
    peers = [
        StageRule(
            firewall,
            RuleSet.of((Rule.of("all", "", NetworkSet.of([network])),)),
            f"peers {network}",
        )
        for network in settings_of(spec).peers
    ]
    return (*opened, *peers)
