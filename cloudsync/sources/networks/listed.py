"""A list of networks as text: one a line, `#` and `;` begin a comment. Pure."""

from __future__ import annotations

from ipaddress import ip_network

from cloudsync.rules.networks import NetworkSet
from cloudsync.sources.networks.unread import NetworkUnread

MAX_BYTES = 1024 * 1024
"""Of one list."""
MAX_NETWORKS = 20_000
"""In one list: more than any vendor takes."""
WIDEST = {4: 8, 6: 16}
"""The shortest prefix that a list may hold, by IP version: no registry gives more to anybody, and a
list that names the whole Internet is a mistake or an attack. Who means everyone writes `any`."""


def networks_in(raw: bytes) -> NetworkSet:
    """All networks of a list. Raises `NetworkUnread` unless every line is one, or there is none."""
    if len(raw) > MAX_BYTES:
        raise NetworkUnread(f"larger than {MAX_BYTES // 1024} KiB", temporary=False)
    try:
        lines = raw.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise NetworkUnread("not UTF-8 text", temporary=False) from None
    words = []
    for number, line in enumerate(lines, 1):
        word = line.partition("#")[0].partition(";")[0].strip()
        if word:
            words.append(_checked(word, number))
        if len(words) > MAX_NETWORKS:
            raise NetworkUnread(f"more than {MAX_NETWORKS} networks", temporary=False)
    if not words:
        raise NetworkUnread("it lists no network", temporary=False)
    return NetworkSet.of(words)


def _checked(word: str, number: int) -> str:
    try:
        NetworkSet.of([word])
        network = ip_network(word)
    except ValueError:
        raise NetworkUnread(
            f"line {number} is not a network (192.0.2.0/24, 2001:db8::/32) without host bits",
            temporary=False,
        ) from None
    if network.version == 6 and network.subnet_of(ip_network("::ffff:0:0/96")):  # type: ignore[arg-type]
        raise NetworkUnread(f"line {number} writes IPv4 as ::ffff:…", temporary=False)
    if network.prefixlen < WIDEST[network.version]:
        raise NetworkUnread(
            f"line {number} is {network}: a list may hold nothing wider than "
            f"/{WIDEST[network.version]}; if everyone is meant, write any in the configuration",
            temporary=False,
        )
    return word
