"""What an engine answers, checked: the shape of a value and the range it must lie in.

An engine, or whoever may start a container there, can answer anything. A value that does not fit
raises `Unexpected`, which harms the container or the host it is about and nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Literal

Address = IPv4Address | IPv6Address
PROTOCOLS = ("tcp", "udp", "sctp")
LAST_PORT = 65535

_NUMBER = re.compile(r"[0-9]{1,5}", re.ASCII)
_ID = re.compile(r"[A-Za-z0-9]{1,128}", re.ASCII)
_IMAGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:@/+-]{0,500}", re.ASCII)


class Unexpected(ValueError):
    """The engine's answer has not the shape it should have; what it says is not known then."""


def table(value: object) -> Mapping[str, object]:
    """A JSON object."""
    if not isinstance(value, dict):
        raise Unexpected("something else instead of an object")
    return value


def table_at(parent: Mapping[str, object], name: str) -> Mapping[str, object]:
    """The object at `name`, empty if there is none."""
    return table(parent.get(name) or {})


def items(value: object) -> list[object]:
    """A JSON list."""
    if not isinstance(value, list):
        raise Unexpected("something else instead of a list")
    return value


def text(value: object) -> str:
    """A JSON string."""
    if not isinstance(value, str):
        raise Unexpected("something else instead of a text")
    return value


def identifier(value: object) -> str:
    """The id of a container, network, service or node: it becomes part of a path."""
    if _ID.fullmatch(word := text(value)) is None:
        raise Unexpected("an id that is none")
    return word


def image_reference(value: object) -> str:
    """The id or the name of an image: it becomes part of a path."""
    word = text(value)
    if _IMAGE.fullmatch(word) is None or ".." in word:
        raise Unexpected("an image whose id is none")
    return word


def port(value: object) -> int:
    """A port number, as a number or as text. Zero is not one."""
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= LAST_PORT:
        raise Unexpected("a port that is not a number from 1 to 65535")
    return value


def protocol(value: object) -> str:
    """A protocol that can be published, in lower case."""
    word = text(value).lower()
    if word not in PROTOCOLS:
        raise Unexpected("a published port that is neither tcp nor udp nor sctp")
    return word


def published(name: str) -> tuple[int, str]:
    """The container port and the protocol of a key such as `80/tcp`."""
    number, slash, word = name.partition("/")
    return port(number), protocol(word if slash else "tcp")


def host_port(value: object) -> str:
    """`8080`; `7000-7005` for a range onto one container port; `""` for a port that the engine
    chooses. In the one canonical form: `08080` and `8080-8080` are `8080`."""
    word = text(value or "")
    if word in ("", "0"):
        return ""
    first, dash, last = word.partition("-")
    low = port(first)
    high = port(last) if dash else low
    if low > high:
        raise Unexpected("a range of ports that ends before it begins")
    return str(low) if low == high else f"{low}-{high}"


def address(value: object) -> Address | None:
    """An address of the machine, None if it is left out. A mapped IPv4 address is the IPv4 address;
    the zone of a link-local one is dropped."""
    word = text(value or "")
    if not word:
        return None
    bare, zone, _ = word.partition("%")
    try:
        parsed = ip_address(bare)
    except ValueError:
        raise Unexpected("a port bound to something that is not an address") from None
    if zone and not parsed.is_link_local:
        raise Unexpected("a zone at an address that is not link-local")
    if isinstance(parsed, IPv6Address):
        return parsed.ipv4_mapped or parsed
    return parsed


def asked_address(value: object) -> Address | None:
    """The address that a container asks for. What engines do not take for an address (a zone, a
    name) they bind to every address, so it is not known what it comes to."""
    if "%" in text(value or ""):
        raise Unexpected("an address with a zone")
    return address(value)


def family(bound: Address) -> Literal[4, 6]:
    """4 or 6."""
    return 4 if bound.version == 4 else 6
