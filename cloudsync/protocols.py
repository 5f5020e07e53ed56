"""IP protocols by name and number, and what is counted inside each (ports, ICMP types, nothing).

Numbers are IANA's, https://www.iana.org/assignments/protocol-numbers; names are the usual ones of firewalls.
"""

from __future__ import annotations

import re
from functools import lru_cache

from cloudsync.networks import Interval

ALL: Interval = (0, 255)

NAMES = {
    0: "hopopt",
    1: "icmp",
    2: "igmp",
    4: "ipip",
    6: "tcp",
    8: "egp",
    9: "igp",
    17: "udp",
    27: "rdp",
    33: "dccp",
    41: "ipv6",
    43: "ipv6-route",
    44: "ipv6-frag",
    46: "rsvp",
    47: "gre",
    50: "esp",
    51: "ah",
    58: "icmpv6",
    59: "ipv6-nonxt",
    60: "ipv6-opts",
    88: "eigrp",
    89: "ospf",
    97: "etherip",
    98: "encap",
    103: "pim",
    108: "ipcomp",
    112: "vrrp",
    115: "l2tp",
    124: "isis",
    132: "sctp",
    133: "fc",
    136: "udplite",
    137: "mpls-in-ip",
}
_NUMBERS = {name: number for number, name in NAMES.items()} | {
    "icmp6": 58,
    "icmpv4": 1,
    "ipv6-icmp": 58,
    "ipencap": 4,
    "ospfigp": 89,
    "udp-lite": 136,
}

WITH_PORTS = frozenset({6, 17, 33, 132, 136})
WITH_TYPES = frozenset({1, 58})
_NUMBER = re.compile(r"0|[1-9][0-9]{0,2}", re.ASCII)

EVERY_PORT: Interval = (1, 65535)
EVERY_TYPE: Interval = (0, 65535)
NO_SELECTOR: Interval = (0, 0)


@lru_cache(maxsize=1024)
def numbers(text: str) -> Interval:
    """The protocol numbers, both inclusive, that a name, a number, a range `7-255` or `all` stands for, in any case.

    Raises `ValueError` for anything else.
    """
    word = text.lower()
    if word == "all":
        return ALL
    if word in _NUMBERS:
        return _NUMBERS[word], _NUMBERS[word]
    low_text, dash, high_text = word.partition("-")
    low = _number(low_text)
    high = _number(high_text) if dash else low
    if low is None or high is None:
        raise ValueError(f"{text!r} is no protocol: a name (tcp, udp, icmp, esp, ...), a number 0-255, a range of numbers or all")
    if low > high:
        raise ValueError(f"{text!r} is no range of protocols: the first number is the larger one")
    return low, high


def name(low: int, high: int) -> str:
    """The canonical text of the protocols `low`..`high`."""
    if (low, high) == ALL:
        return "all"
    return NAMES.get(low, str(low)) if low == high else f"{low}-{high}"


def full_selector(low: int, high: int) -> Interval:
    """Everything inside the protocols `low`..`high`; for several of them the widest there is, as they have it all in common."""
    if low < high or low in WITH_TYPES:
        return EVERY_TYPE
    return EVERY_PORT if low in WITH_PORTS else NO_SELECTOR


def _number(text: str) -> int | None:
    return int(text) if _NUMBER.fullmatch(text) and int(text) <= ALL[1] else None
