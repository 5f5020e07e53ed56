"""What the stages of the house on doubles share: rules as a vendor keeps them, read anew."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_network

from cloudsync.rules import Rule, RuleSet
from cloudsync.rules.networks import NetworkSet
from cloudsync.testing.http_stage import HttpStage


def networks(sources: Sequence[str]) -> NetworkSet:
    """Sources as a vendor keeps them: host bits mean the network."""
    return NetworkSet.of(str(ip_network(source, strict=False)) for source in sources)


def rule_set(rules: Sequence[tuple[str, str, Sequence[str]]]) -> RuleSet:
    return RuleSet.of(
        Rule.of(protocol, ports, networks(sources)) for protocol, ports, sources in rules
    )


def without_host_bits(sources: Sequence[str]) -> list[str]:
    """The vendor takes no host bits: a person has to leave them out."""
    return [
        str(ip_network(source, strict=False)) if _has_host_bits(source) else source
        for source in sources
    ]


def _has_host_bits(source: str) -> bool:
    try:
        ip_network(source)
    except ValueError:
        return True
    return False


__all__ = ["HttpStage", "networks", "rule_set", "without_host_bits"]
