"""What kind of address a port is bound to, by a table of our own.

Not `ipaddress.is_private` or `is_global`: those count documentation ranges as private and change
with the Python version. Everything the table does not name counts as public: a wrong guess then
shows in the plan as an opening, not as a port silently missing.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network
from typing import Literal

from cloudsync.rules.networks import NetworkSet

AddressClass = Literal["wildcard", "loopback", "link-local", "private", "shared", "public"]

_CLASSES: tuple[tuple[str, AddressClass], ...] = (
    ("0.0.0.0/32", "wildcard"),
    ("::/128", "wildcard"),
    ("127.0.0.0/8", "loopback"),
    ("::1/128", "loopback"),
    ("169.254.0.0/16", "link-local"),
    ("fe80::/10", "link-local"),
    ("10.0.0.0/8", "private"),
    ("172.16.0.0/12", "private"),
    ("192.168.0.0/16", "private"),
    ("fc00::/7", "private"),
    ("100.64.0.0/10", "shared"),
)  # RFC 1122, 4291, 3927, 1918, 4193, 6598
_TABLE: tuple[tuple[IPv4Network | IPv6Network, AddressClass], ...] = tuple(
    (ip_network(text), kind) for text, kind in _CLASSES
)

PRIVATE = NetworkSet.of(
    ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7"]
)
"""Where `policy.private = "keep"` keeps rules: RFC 1918, RFC 6598 and RFC 4193."""

NOT_PUBLIC = PRIVATE | NetworkSet.of(text for text, kind in _CLASSES if kind != "public")
"""Addresses no packet from the Internet has."""


def classify(address: IPv4Address | IPv6Address) -> AddressClass:
    """The class of an address; an IPv4-mapped IPv6 address is judged as the IPv4 address it stands
    for."""
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    for network, kind in _TABLE:
        if address.version == network.version and address in network:
            return kind
    return "public"
