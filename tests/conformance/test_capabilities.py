"""The capabilities of our own providers, written by hand.

A flag chooses the scenarios of the suite: one that is switched off takes its scenarios with it, and
nothing else fails. So a change of a flag is a change of this table.
"""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from cloudsync.provider import registry
from cloudsync.rules import protocols

PROVIDERS = Path(__file__).resolve().parents[2] / "providers"
_EVERY_PROTOCOL = frozenset(protocols.name(number, number) for number in range(256))
_PORTS_ELSEWHERE = {"dccp", "sctp", "udplite"}
"""Protocols with ports that vendors do not look into."""

CAPABILITIES: dict[str, dict[str, Any]] = {
    "aws": {
        "protocols": _EVERY_PROTOCOL - _PORTS_ELSEWHERE,
        "icmp_types": True,
        "private_is_public": True,
        "attaches": False,
        "descriptions": True,
        "all_protocols": True,
        "other_sources": True,
        "limited": True,
        "paged": True,
        "counted": False,
        "remote": True,
        "at_once": 4,
        "longest_description": 255,
        "list_ids": "pl-[0-9a-f]{8,17}",
        "lag_seconds": 120.0,
        "filters_private": False,
        "private_setting": "private",
        "denies": False,
        "accepts_by_default": False,
        "pends": False,
    },
    "digitalocean": {
        "protocols": {"icmp", "icmpv6", "tcp", "udp"},
        "icmp_types": False,
        "private_is_public": False,
        "attaches": True,
        "descriptions": False,
        "all_protocols": False,
        "other_sources": True,
        "limited": True,
        "paged": True,
        "counted": True,
        "remote": True,
        "at_once": 4,
        "longest_description": None,
        "list_ids": None,
        "lag_seconds": 0.0,
        "filters_private": True,
        "private_setting": "private",
        "denies": False,
        "accepts_by_default": False,
        "pends": True,
    },
    "gcp": {
        "protocols": _EVERY_PROTOCOL - _PORTS_ELSEWHERE,
        "icmp_types": False,
        "private_is_public": True,
        "attaches": False,
        "descriptions": True,
        "all_protocols": True,
        "other_sources": True,
        "limited": False,
        "paged": True,
        "counted": False,
        "remote": True,
        "at_once": 4,
        "longest_description": 1900,
        "list_ids": None,
        "lag_seconds": 0.0,
        "filters_private": False,
        "private_setting": "private",
        "denies": False,
        "accepts_by_default": False,
        "pends": False,
    },
    "hetzner": {
        "protocols": {"esp", "gre", "icmp", "icmpv6", "tcp", "udp"},
        "icmp_types": False,
        "private_is_public": False,
        "attaches": True,
        "descriptions": True,
        "all_protocols": False,
        "other_sources": False,
        "limited": True,
        "paged": True,
        "counted": True,
        "remote": True,
        "at_once": 4,
        "longest_description": 255,
        "list_ids": None,
        "lag_seconds": 0.0,
        "filters_private": False,
        "private_setting": "private",
        "denies": False,
        "accepts_by_default": False,
        "pends": True,
    },
    "host": {
        "protocols": None,
        "icmp_types": True,
        "private_is_public": False,
        "attaches": True,
        "descriptions": True,
        "all_protocols": True,
        "other_sources": False,
        "limited": False,
        "paged": False,
        "counted": False,
        "remote": True,
        "at_once": 8,
        "longest_description": None,
        "list_ids": None,
        "lag_seconds": 0.0,
        "filters_private": False,
        "private_setting": "private",
        "denies": False,
        "accepts_by_default": False,
        "pends": False,
    },
    "local": {
        "protocols": None,
        "icmp_types": True,
        "private_is_public": False,
        "attaches": False,
        "descriptions": True,
        "all_protocols": True,
        "other_sources": True,
        "limited": False,
        "paged": False,
        "counted": False,
        "remote": False,
        "at_once": 1,
        "longest_description": None,
        "list_ids": None,
        "lag_seconds": 0.0,
        "filters_private": False,
        "private_setting": "private",
        "denies": False,
        "accepts_by_default": False,
        "pends": False,
    },
    "openstack": {
        "protocols": None,
        "icmp_types": True,
        "private_is_public": True,
        "attaches": True,
        "descriptions": True,
        "all_protocols": True,
        "other_sources": True,
        "limited": True,
        "paged": True,
        "counted": False,
        "remote": True,
        "at_once": 4,
        "longest_description": 255,
        "list_ids": "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}",
        "lag_seconds": 0.0,
        "filters_private": False,
        "private_setting": "private",
        "denies": False,
        "accepts_by_default": False,
        "pends": False,
    },
}


def test_every_provider_of_ours_is_in_the_table() -> None:
    ours = {path.parent.name for path in PROVIDERS.glob("*/cloudsync_*")}
    assert ours == set(CAPABILITIES)
    assert ours <= set(registry.names())


@pytest.mark.parametrize("name", CAPABILITIES)
def test_a_provider_declares_what_the_table_says(name: str) -> None:
    declared = registry.load(name).capabilities
    flags = {one.name: getattr(declared, one.name) for one in fields(declared)}
    del flags["notes"]  # sentences for people
    assert flags == CAPABILITIES[name]
