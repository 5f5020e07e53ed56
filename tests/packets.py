"""Packets, one by one: what a referee looks at where the product reckons with sets. Nothing of the
product's algebra is used."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from ipaddress import ip_address, ip_network

from cloudsync.rules import Rule

PROTOCOLS = {"icmp": 1, "tcp": 6, "udp": 17, "gre": 47, "esp": 50, "icmpv6": 58}
PORTS = (*range(1, 8), 22, 443, 65535)
SELECTORS: dict[int, tuple[int, ...]] = {
    1: (0, 2048),
    6: PORTS,
    17: PORTS,
    47: (0,),
    50: (0,),
    58: (0, 32768),
}
ADDRESSES = (
    "192.0.2.0",
    "192.0.2.1",
    "192.0.2.2",
    "192.0.2.5",
    "198.51.100.7",
    "10.1.2.3",
    "2001:db8::1",
    "2001:db8::9",
    "fd00::1",
)
Packet = tuple[int, int, str]
"""Protocol number, port (ICMP: type * 256 + code; 0 without either), the sender's address."""
PACKETS: tuple[Packet, ...] = tuple(
    (number, selector, address)
    for number, ports in SELECTORS.items()
    for selector in ports
    for address in ADDRESSES
)


def within(address: str, cidrs: Iterable[str]) -> bool:
    """Whether an address is in one of the networks, host bits or not."""
    return any(_is_in(address, cidr) for cidr in cidrs)


@lru_cache(maxsize=65536)
def _is_in(address: str, cidr: str) -> bool:
    return ip_address(address) in ip_network(cidr, strict=False)


def come_through(rules: Iterable[Rule]) -> set[Packet]:
    """The packets that rules let in, read by their text."""
    let_in: set[Packet] = set()
    for rule in rules:
        cidrs = rule.sources.cidrs()
        senders = {address for address in ADDRESSES if within(address, cidrs)}
        first, last = _numbers(rule.protocol)
        for packet in PACKETS:
            number, selector, address = packet
            if (
                address in senders
                and first <= number <= last
                and (first < last or rule.first <= selector <= rule.last)
            ):
                let_in.add(packet)
    return let_in


def _numbers(protocol: str) -> tuple[int, int]:
    if protocol == "all":
        return 0, 255
    if protocol in PROTOCOLS:
        return PROTOCOLS[protocol], PROTOCOLS[protocol]
    low, _, high = protocol.partition("-")
    return (int(low), int(high or low)) if low.isdecimal() else (-1, -1)
