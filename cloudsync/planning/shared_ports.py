"""Several hosts behind one firewall: what is open on one of them only because another needs it (law
8)."""

from __future__ import annotations

from collections.abc import Mapping

from cloudsync.config.configuration import Configuration, Firewall
from cloudsync.model.plan import Shared
from cloudsync.model.ports import Complete, Discovery, Failed, port_rules
from cloudsync.rules import NOTHING, RuleSet
from cloudsync.rules.index import RuleIndex


def shared_ports(
    configuration: Configuration,
    firewall: Firewall,
    opened: RuleSet,
    discoveries: Mapping[str, Discovery],
) -> tuple[Shared, ...]:
    """The parts of `opened`, what the firewall is to let in, that a host does not need and another
    one does, host by host.

    Only a host that was read completely, every label of it, can be said not to need something. What
    the configuration itself asks for (SSH, `allow`) is for all of them.
    """
    if len(firewall.hosts) < 2:
        return ()
    needs = {host: _needs(firewall, discoveries[host]) for host in firewall.hosts}
    everybody = RuleSet.of(
        rule
        for rules in (configuration.ssh.rules, *(allow.rules for allow in firewall.allow))
        for rule in rules
    )
    needed = RuleSet.of(rule for need in needs.values() for rule in need)
    index = RuleIndex((rules, host) for host, rules in needs.items())
    shared: list[Shared] = []
    for host, own in needs.items():
        discovery = discoveries[host]
        if not isinstance(discovery, Complete) or discovery.malformed:
            continue
        # What nobody but this host needs goes with `own`, so that needed by anybody means needed by
        # others.
        shared += [
            Shared(host, rule, tuple(other for other in index.overlapping(rule) if other != host))
            for rule in (needed & opened) - own - everybody
        ]
    return tuple(shared)


def _needs(firewall: Firewall, discovery: Discovery) -> RuleSet:
    if isinstance(discovery, Failed):
        return NOTHING
    ports = [
        port
        for port in discovery.required
        if port.firewalls is None or firewall.name in port.firewalls
    ]
    return RuleSet.of(rule for port in ports for rule in port_rules(port))
