"""A firewall of the configuration as its provider sees it."""

from __future__ import annotations

from cloudsync.config.configuration import Configuration, Firewall
from cloudsync.provider.contract import FirewallSpec
from cloudsync.provider.marker import Marker, host_digest


def spec_of(configuration: Configuration, firewall: Firewall) -> FirewallSpec:
    """One firewall of the configuration, as its provider sees it."""
    marker = Marker(configuration.owner, firewall.name, host_digest(firewall.marker_hosts))
    return FirewallSpec(firewall.name, firewall.settings, marker, firewall.hosts)
