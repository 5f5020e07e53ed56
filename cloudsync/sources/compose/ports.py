"""`ports:` of a service: the short and the long form, one published port each.

| short form                         | means                                            |
|------------------------------------|--------------------------------------------------|
| `8080:80`, `53:53/udp`             | a host port, on every address                    |
| `127.0.0.1:8080:80`                | on one address; IPv6 as `[::1]:8080:80` or bare, |
|                                    | `::1:8080:80`                                    |
| `9000-9002:9000-9002`              | ranges of one length, one to one                 |
| `7000-7010:80`                     | one free port of the range: no fixed host port   |
| `80`, `3000-3005`, `127.0.0.1::80` | a container port only: no fixed host port        |

The long form has `target`, `published` (a port or a range), `host_ip`, `protocol`; `mode`, `name`
and `app_protocol` change nothing here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import field
from ipaddress import IPv4Address, IPv6Address, ip_address

from cloudsync.config.problems import did_you_mean
from cloudsync.rules.frozen import dataclass
from cloudsync.sources.compose.budget import Budget
from cloudsync.sources.compose.nodes import (
    ComposeError,
    Mapping,
    Node,
    Place,
    Scalar,
    Sequence,
)

PROTOCOLS = ("tcp", "udp", "sctp")
MAX_TEXT = 200

_SHORT = re.compile(
    r"""(?:(?:\[(?P<bracketed>[^\]]*)\]|(?P<address>.*)):(?=[^:]*:))?   # address, if 2 more follow
        (?:(?P<host>[0-9-]*):)?
        (?P<target>[0-9-]+)
        (?:/(?P<protocol>[A-Za-z]*))?""",
    re.VERBOSE | re.ASCII,
)
_RANGE = re.compile(r"([0-9]{1,5})(?:-([0-9]{1,5}))?", re.ASCII)
_LONG = ("target", "published", "host_ip", "protocol", "mode", "name", "app_protocol")


@dataclass(frozen=True, slots=True)
class PublishedPort:
    """One published port."""

    protocol: str
    target: int
    """The container port."""
    host: str
    """`"8080"`; `"7000-7010"` or `""` if the engine picks one."""
    address: IPv4Address | IPv6Address | None
    """None for every address."""
    place: Place
    is_long: bool = field(default=False, compare=False)
    """Whether it is written in the long form, as a mapping; the meaning is the same."""
    address_place: Place | None = field(default=None, compare=False)
    """Of `host_ip` in the long form."""

    @property
    def key(self) -> tuple[str, int, str, str]:
        """What makes a port unique when files are merged (specification 13): address, target,
        published, protocol."""
        address = str(self.address or "0.0.0.0")  # noqa: S104 - not bound here
        return address, self.target, self.host, self.protocol


def published_ports(node: Sequence, budget: Budget) -> tuple[PublishedPort, ...]:
    """The ports of a list, in its order; of several with the same key the last counts. Raises
    `ComposeError`."""
    by_key: dict[tuple[str, int, str, str], PublishedPort] = {}
    for item in node.items:
        ports = tuple(_ports(item))
        budget.count_ports(len(ports), item.place)
        for port in ports:
            by_key[port.key] = port
    return tuple(by_key.values())


def _ports(item: Node) -> Iterable[PublishedPort]:
    try:
        if isinstance(item, Scalar) and not item.null:
            if item.integer and not (item.text.isdecimal() and not item.text.startswith("0")):
                raise ValueError("a number that is not plain decimal; write the port in quotes")
            yield from short_form(item.text, item.place)
        elif isinstance(item, Mapping):
            yield from _long_form(item)
        else:
            raise ValueError("neither a port such as 8080:80 nor a mapping with target")
    except ValueError as error:
        raise ComposeError(item.place, f"ports: {error}") from None


def short_form(text: str, place: Place) -> Iterable[PublishedPort]:
    """The ports of the short form, one by one. Raises `ValueError`, which quotes no more than what
    is a port's own."""
    match = _SHORT.fullmatch(text) if len(text) <= MAX_TEXT else None
    if match is None:
        raise ValueError(
            'not a port; write 8080:80, 127.0.0.1:8080:80 or "[::1]:8080:80", with /udp at the end'
            " for UDP"
        )
    address = match["bracketed"] if match["bracketed"] is not None else match["address"]
    first, last = _range(match["target"], "container")
    side = _Side(_protocol(match["protocol"] or "tcp"), _address(address), place)
    yield from _paired(match["host"] or "", first, last, side)


def _long_form(item: Mapping) -> Iterable[PublishedPort]:
    for key in item.entries:
        if key not in _LONG and not key.startswith("x-"):
            raise ValueError(f"unknown key {key[:40]!r}{did_you_mean(key, _LONG)}")
    target = _text(item, "target")
    if not target:
        raise ValueError("the long form needs target, the container port")
    first, last = _range(target, "container")
    if first != last:
        raise ValueError("target must be one port; use the short form for ranges")
    mode = _text(item, "mode") or "ingress"
    if mode not in ("ingress", "host"):
        raise ValueError('mode must be "ingress" or "host"')
    protocol = _protocol(_text(item, "protocol") or "tcp")
    address = _text(item, "host_ip")
    if address == "":
        raise ValueError("host_ip is empty, which docker compose refuses; leave it out")
    side = _Side(protocol, _address(address), item.place, True, item.keys.get("host_ip"))
    yield from _paired(_text(item, "published") or "", first, last, side)


@dataclass(frozen=True, slots=True)
class _Side:
    """What all ports of one line have in common."""

    protocol: str
    address: IPv4Address | IPv6Address | None
    place: Place
    is_long: bool = False
    address_place: Place | None = None

    def port(self, target: int, host: str) -> PublishedPort:
        return PublishedPort(
            self.protocol, target, host, self.address, self.place, self.is_long, self.address_place
        )


def _paired(host: str, first: int, last: int, side: _Side) -> Iterable[PublishedPort]:
    """A host side and a container range as single ports."""
    if not host:
        for number in range(first, last + 1):
            yield side.port(number, "")
        return
    low, high = _range(host, "host", least=0)
    if high - low == last - first:
        for number in range(first, last + 1):
            yield side.port(number, str(low + number - first))
    elif first == last:
        yield side.port(first, f"{low}-{high}")
    else:
        raise ValueError(
            "the range of host ports and the range of container ports differ in length"
        )


def _range(text: str, side: str, *, least: int = 1) -> tuple[int, int]:
    match = _RANGE.fullmatch(text)
    if match is None:
        raise ValueError(f"the {side} port is neither a port nor a range")
    first, last = int(match[1]), int(match[2] or match[1])
    if not least <= first <= last <= 65535:
        raise ValueError(f"{side} ports are between 1 and 65535, the first not above the last")
    return first, last


def _address(text: str | None) -> IPv4Address | IPv6Address | None:
    """An address of the host. One that is empty (`":443:443"`) is every address, as for docker
    compose: its author made it empty, since a variable without a value never gets here."""
    if not text:
        return None
    try:
        address = ip_address(text)
    except ValueError:
        raise ValueError("the host address is not an IP address") from None
    if isinstance(address, IPv6Address) and address.scope_id is not None:
        raise ValueError("the host address has a zone, which docker compose does not take")
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def _protocol(text: str) -> str:
    if text.lower() not in PROTOCOLS:
        raise ValueError("the protocol must be tcp, udp or sctp")
    return text.lower()


def _text(item: Mapping, key: str) -> str | None:
    node = item.entries.get(key)
    if node is None or (isinstance(node, Scalar) and node.null):
        return None
    if not isinstance(node, Scalar):
        raise ValueError(f"{key} must be a single value")  # noqa: TRY004 - about the file, not about a caller
    if node.integer and not (
        node.text == "0" or (node.text.isdecimal() and not node.text.startswith("0"))
    ):
        raise ValueError(f"{key} is a number that is not plain decimal")
    return node.text
