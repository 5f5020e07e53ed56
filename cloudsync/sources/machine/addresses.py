"""The machine's own addresses: whether IPv6 reaches it, and whether it has neighbours."""

from __future__ import annotations

import json
from collections.abc import Iterator
from ipaddress import ip_address
from typing import NamedTuple

from cloudsync.sources.machine.root import Root, Unreadable

_INSIDE = ("docker", "br-", "veth", "podman", "cni", "lo", "virbr")
"""Beginnings of interfaces that lead to containers, not to other machines."""


class Situation(NamedTuple):
    """How the machine stands in its networks."""

    global_ipv6: bool
    """Whether it has a global IPv6 address."""
    neighbours: bool
    """Whether other machines share a network with it."""


UNKNOWN = Situation(global_ipv6=True, neighbours=True)


class _Address(NamedTuple):
    link: str
    local: str
    prefix: int
    point_to_point: bool


def read(root: Root) -> Situation:
    """From `ip -j addr`, the most reachable reading where it cannot be had."""
    try:
        content = root.dump("ip") or root.output(["ip", "-j", "addr"])
        addresses = tuple(_addresses(json.loads(content))) if content else None
    except (Unreadable, ValueError, TypeError, KeyError, AttributeError):
        return UNKNOWN
    if addresses is None:
        return UNKNOWN
    return Situation(
        global_ipv6=any(_is_global6(address.local) for address in addresses),
        neighbours=any(_is_shared(address) for address in addresses),
    )


def _addresses(links: object) -> Iterator[_Address]:
    for link in links if isinstance(links, list) else ():
        flags = link.get("flags") or ()
        for address in link.get("addr_info") or ():
            yield _Address(
                str(link["ifname"]),
                str(address["local"]),
                int(address["prefixlen"]),
                "POINTOPOINT" in flags,
            )


def _is_global6(local: str) -> bool:
    address = ip_address(local)
    return address.version == 6 and not (
        address.is_link_local or address.is_loopback or local[:2].lower() in ("fc", "fd")
    )


def _is_shared(address: _Address) -> bool:
    """Whether others can sit in the same network: not on a point-to-point link or a network of one
    address, as clouds with routed addresses give it. Link-local addresses say nothing."""
    own = ip_address(address.local)
    if address.link.startswith(_INSIDE) or address.point_to_point or own.is_link_local:
        return False
    return address.prefix < own.max_prefixlen
