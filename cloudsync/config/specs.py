"""A firewall of the configuration as its provider sees it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from cloudsync.config.configuration import Configuration, Firewall, Host
from cloudsync.provider.contract import FirewallSpec
from cloudsync.provider.marker import Marker, host_digest


def spec_of(configuration: Configuration, firewall: Firewall) -> FirewallSpec:
    """One firewall of the configuration, as its provider sees it."""
    names = host_digest(firewall.marker_hosts)
    hosts = host_digest(firewall.marker_hosts, configuration.identities)
    marker = Marker(
        configuration.owner, firewall.name, hosts, formerly=names if names != hosts else ""
    )
    engines = engines_of(configuration.hosts, firewall.marker_hosts)
    lists = dict.fromkeys(id_ for allow in firewall.allow for id_ in allow.written.lists)
    return FirewallSpec(
        firewall.name, firewall.settings, marker, firewall.hosts, engines, tuple(lists)
    )


def engines_of(hosts: Mapping[str, Host | None], names: Iterable[str]) -> tuple[str, ...]:
    """The engines of some hosts, as the configuration names them; of unknown hosts none."""
    known = (host for name in names if (host := hosts.get(name)) is not None)
    return tuple(str(engine) for host in known for engine in host.docker)
