"""IP protocols by name and number, and what is counted inside each of them: the *selector* (see
`cloudsync.rules`) and its text.

Numbers are IANA's (https://www.iana.org/assignments/protocol-numbers, and .../icmp-parameters for
types and codes), names the usual ones of firewalls.
"""

from __future__ import annotations

import re
from functools import lru_cache

from cloudsync.rules.networks import Interval

ALL: Interval = (0, 255)

NAMES = {
    0: "hopopt",
    1: "icmp",
    2: "igmp",
    4: "ipip",
    6: "tcp",
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
    "icmpv4": 1,
    "ipencap": 4,
    "icmp6": 58,
    "ipv6-icmp": 58,
    "ospfigp": 89,
    "udp-lite": 136,
}

WITH_PORTS = frozenset({6, 17, 33, 132, 136})
WITH_TYPES = frozenset({1, 58})

EVERY_PORT: Interval = (1, 65535)
EVERY_TYPE: Interval = (0, 65535)
NO_SELECTOR: Interval = (0, 0)

_PORT = re.compile(r"[1-9][0-9]{0,4}")
_BYTE = re.compile(r"0|[1-9][0-9]{0,2}")


@lru_cache(maxsize=1024)
def numbers(text: str) -> Interval:
    """The protocol numbers, both inclusive, that a name, a number, a range `7-255` or `all` stands
    for, in any case.

    Raises `ValueError` for anything else.
    """
    word = text.lower()
    if word == "all":
        return ALL
    if word in _NUMBERS:
        return _NUMBERS[word], _NUMBERS[word]
    low_text, dash, high_text = text.partition("-")
    low = _byte(low_text)
    high = _byte(high_text) if dash else low
    if low is None or high is None:
        raise ValueError(
            f"{text!r} is not a protocol: use a name (tcp, udp, icmp, esp, ...), a number 0-255, "
            "a range of numbers, or all"
        )
    if low > high:
        raise ValueError(f"{text!r} is not a range of protocols: it ends before it begins")
    return low, high


def name(low: int, high: int) -> str:
    """The canonical text of the protocols `low`..`high`."""
    if (low, high) == ALL:
        return "all"
    return NAMES.get(low, str(low)) if low == high else f"{low}-{high}"


def full_selector(low: int, high: int) -> Interval:
    """Everything inside the protocols `low`..`high`; for several of them the widest interval there
    is stands for all they have."""
    if low < high or low in WITH_TYPES:
        return EVERY_TYPE
    return EVERY_PORT if low in WITH_PORTS else NO_SELECTOR


@lru_cache(maxsize=16384)
def selector(low: int, high: int, text: str) -> Interval:
    """The selectors that `text` names in the protocols `low`..`high`; `""` is all of them. Raises
    `ValueError`."""
    if not text:
        return full_selector(low, high)
    if low < high or low not in WITH_PORTS | WITH_TYPES:
        raise ValueError(f"{name(low, high)} has no ports, but {text!r} was given")
    edge = _port if low in WITH_PORTS else _icmp
    first_text, dash, last_text = text.partition("-")
    first, last = edge(first_text, text)
    if dash:
        _, last = edge(last_text, text)
    if first > last:
        raise ValueError(f"{text!r} is not a range: it ends before it begins")
    return first, last


def selector_text(low: int, high: int, first: int, last: int) -> str:
    """What `selector` reads as `first`..`last`, in the one form that is canonical."""
    if low == high and low in WITH_PORTS:
        return str(first) if first == last else f"{first}-{last}"
    if (first, last) == full_selector(low, high):
        return ""
    if first % 256 == 0 and last % 256 == 255:
        edges = (f"{first // 256}", f"{last // 256}")
    else:
        edges = (f"{first // 256}/{first % 256}", f"{last // 256}/{last % 256}")
    return "-".join(dict.fromkeys(edges))


def _port(word: str, text: str) -> Interval:
    if not _PORT.fullmatch(word) or int(word) > EVERY_PORT[1]:
        raise ValueError(f"{text!r} is neither a port (1-65535) nor a range of ports (8000-8010)")
    return int(word), int(word)


def _icmp(word: str, text: str) -> Interval:
    """A type, which is all of its 256 codes, or one code of a type."""
    type_text, slash, code_text = word.partition("/")
    kind = _byte(type_text)
    code = _byte(code_text) if slash else 0
    if kind is None or code is None:
        raise ValueError(
            f"{text!r} is neither an ICMP type (8) nor a type and code (8/0), each 0-255"
        )
    return kind * 256 + code, kind * 256 + (code if slash else 255)


def _byte(text: str) -> int | None:
    return int(text) if _BYTE.fullmatch(text) and int(text) <= 255 else None
