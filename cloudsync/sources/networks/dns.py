"""All addresses of a DNS name, by the machine's own resolver."""

from __future__ import annotations

import socket
from ipaddress import ip_address

from cloudsync.rules.networks import NetworkSet
from cloudsync.sources.networks.unread import NetworkUnread

_NO_ADDRESS = frozenset(
    getattr(socket, name)
    for name in ("EAI_NONAME", "EAI_NODATA", "EAI_ADDRFAMILY")
    if hasattr(socket, name)
)


def addresses_of(name: str) -> NetworkSet:
    """Its IPv4 and IPv6 addresses. Raises `NetworkUnread`.

    Each family is asked for by itself: asked for both, the resolver keeps silent about the family
    that failed, and half an answer would look like a whole one.
    """
    families = (socket.AF_INET, socket.AF_INET6)
    addresses = [address for family in families for address in _of_family(name, family)]
    if not addresses:
        raise NetworkUnread(f"{name} has no address", temporary=False)
    for address in addresses:
        _check(name, address)
    return NetworkSet.of(addresses)


def _of_family(name: str, family: socket.AddressFamily) -> list[str]:
    try:
        answers = socket.getaddrinfo(name, None, family, socket.SOCK_STREAM)
    except socket.gaierror as error:
        if error.errno in _NO_ADDRESS:
            return []
        raise NetworkUnread(f"{name} cannot be resolved: {error.strerror}") from None
    except (OSError, UnicodeError) as error:
        raise NetworkUnread(f"{name} cannot be resolved: {type(error).__name__}") from None
    return [str(answer[4][0]) for answer in answers]


def _check(name: str, word: str) -> None:
    """Some resolvers answer 0.0.0.0 or 127.0.0.1 for names they block."""
    try:
        address = ip_address(word)
    except ValueError:  # with a zone: link-local
        raise NetworkUnread(f"{name} has the address {word}", temporary=False) from None
    mapped = address.version == 6 and address.ipv4_mapped is not None
    if mapped or address.is_unspecified or address.is_loopback or address.is_multicast:
        raise NetworkUnread(f"{name} has the address {word}, no client's", temporary=False)
    if address.is_link_local:
        raise NetworkUnread(f"{name} has the address {word}, a link-local one", temporary=False)
