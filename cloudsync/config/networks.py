"""What sources of the configuration come to, once the networks that move were read. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from cloudsync.config.configuration import Allow, Configuration, Firewall, Ssh
from cloudsync.rules import Rule, RuleSet
from cloudsync.rules.networks import NetworkSet


def with_networks(
    configuration: Configuration, answers: Mapping[str, NetworkSet], unread: Mapping[str, str]
) -> Configuration:
    """The configuration with these answers for its networks that move. `unread`: why some of them
    are only the last good answer, or none."""
    networks = {**configuration.networks, **answers}

    def allow(entry: Allow) -> Allow:
        if not entry.written.moving:
            return entry
        rules = allowed_rules(entry.ports, entry.written.resolved(networks))
        return replace(entry, rules=rules)

    def firewall(entry: Firewall) -> Firewall:
        return replace(entry, allow=tuple(allow(rule) for rule in entry.allow))

    return replace(
        configuration,
        networks=networks,
        unread=unread,
        ssh=_ssh(configuration.ssh, networks),
        firewalls={name: firewall(entry) for name, entry in configuration.firewalls.items()},
    )


def ssh_rules(ports: Iterable[int], sources: NetworkSet) -> RuleSet:
    """What `[ssh]` declares."""
    return RuleSet.of(Rule("tcp", port, port, sources) for port in ports)


def allowed_rules(ports: Iterable[tuple[str, int, int]], sources: NetworkSet) -> RuleSet:
    """What an allow table asks for. `ports`: (protocol, first, last)."""
    return RuleSet.of(rule for port in ports for rule in _crossed(*port, sources))


def _ssh(ssh: Ssh, networks: Mapping[str, NetworkSet]) -> Ssh:
    if not ssh.written.moving:
        return ssh
    sources = ssh.written.resolved(networks)
    return replace(ssh, sources=sources, rules=ssh_rules(ssh.ports, sources))


def _crossed(protocol: str, first: int, last: int, sources: NetworkSet) -> Iterator[Rule]:
    """A port of an allow table with its sources: ICMP speaks IPv4, ICMPv6 speaks IPv6, and `icmp`
    without a type means both."""
    if protocol == "icmp":
        yield Rule(protocol, first, last, sources.family(4))
        if (first, last) == (0, 65535):
            yield Rule("icmpv6", first, last, sources.family(6))
    else:
        yield Rule(protocol, first, last, sources.family(6) if protocol == "icmpv6" else sources)
