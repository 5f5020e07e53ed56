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
from cloudsync.testing.stage import GetsIntoTrouble, HasAnswerOnly, LagsBehind
from tests.conformance.aws import AwsStage
from tests.conformance.digitalocean import DigitalOceanStage
from tests.conformance.gcp import GcpStage
from tests.conformance.hetzner import HetznerStage
from tests.conformance.host import HostStage
from tests.conformance.local import LocalStage
from tests.conformance.openstack import OpenStackStage

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


STAGES: dict[str, type] = {
    "aws": AwsStage,
    "digitalocean": DigitalOceanStage,
    "gcp": GcpStage,
    "hetzner": HetznerStage,
    "host": HostStage,
    "local": LocalStage,
    "openstack": OpenStackStage,
}
KINDS: dict[str, type] = {
    "a read that lags behind a write": LagsBehind,
    "a field that only answers have": HasAnswerOnly,
    "a 404 about something that exists": GetsIntoTrouble,
}
"""Faults that public bug reports tell of many vendors, and the protocol of a stage that shows them.
That another engine answers under a host's name is none of the vendor's: a firewall that its marker
gives to other hosts stands for it here, and tests/crash and tests/fuzz have the engine itself."""
CANNOT: dict[tuple[str, str], str] = {
    ("a read that lags behind a write", "digitalocean"): "the answer of the write is the firewall",
    ("a read that lags behind a write", "gcp"): "an operation that is done can be read",
    ("a read that lags behind a write", "hetzner"): "a write ends with its actions",
    ("a read that lags behind a write", "host"): "the kernel has one table",
    ("a read that lags behind a write", "local"): "the file is read as it was written",
    ("a read that lags behind a write", "openstack"): "Neutron reads the database it wrote",
    ("a field that only answers have", "aws"): "rules are written by their values, and botocore "
    "hands on what its model of EC2 knows",
    ("a field that only answers have", "host"): "what nft lists is never sent back: sets get "
    "elements that are written anew",
    ("a field that only answers have", "local"): "there is no vendor that could refuse a field",
    ("a 404 about something that exists", "local"): "a file that is not there does not exist",
}
"""By kind and vendor, why the vendor cannot have the fault. For what a vendor promises and breaks
all the same, the crash matrix answers reads of Hetzner, DigitalOcean and Google as they were before
the last write (`stale`)."""


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("vendor", STAGES)
def test_every_kind_of_fault_is_shown_by_the_stage_or_cannot_be_had(vendor: str, kind: str) -> None:
    assert set(STAGES) == set(CAPABILITIES)
    shows = issubclass(STAGES[vendor], KINDS[kind])
    assert shows is ((kind, vendor) not in CANNOT)
