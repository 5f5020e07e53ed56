"""Who shares a firewall, and what each needs of it (law 8)."""

from __future__ import annotations

from collections.abc import Mapping

from cloudsync.config.configuration import Configuration, Firewall
from cloudsync.model.ports import Complete, Discovery, Failed, port_rules
from cloudsync.model.sharing import Sharing
from cloudsync.rules import NOTHING, RuleSet


def sharing_of(
    configuration: Configuration,
    firewall: Firewall,
    opened: RuleSet,
    discoveries: Mapping[str, Discovery],
) -> Sharing:
    """`opened`: what the firewall is to let in."""
    if len(firewall.hosts) < 2:
        return Sharing()
    everybody = RuleSet.of(
        rule
        for rules in (configuration.ssh.rules, *(allow.rules for allow in firewall.allow))
        for rule in rules
    )
    complete = {
        host
        for host in firewall.hosts
        if isinstance(discovery := discoveries[host], Complete) and not discovery.malformed
    }
    needs = {host: _needs(firewall, discoveries[host]) for host in firewall.hosts}
    return Sharing(opened, everybody, needs, frozenset(complete))


def _needs(firewall: Firewall, discovery: Discovery) -> RuleSet:
    if isinstance(discovery, Failed):
        return NOTHING
    ports = [
        port
        for port in discovery.required
        if port.firewalls is None or firewall.name in port.firewalls
    ]
    return RuleSet.union(map(port_rules, ports))
