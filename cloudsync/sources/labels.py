"""The grammar of `cloudsync.*` labels (decision 0003): anchored, strict, without spaces inside.
`LABELS` lists them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches

from cloudsync.model.ports import LabelScope
from cloudsync.rules.networks import ANY, NOWHERE, NetworkSet

PREFIX = "cloudsync."
LABELS = (
    (
        "expose",
        "true|false",
        '`false` wins over everything; `true` asks for the published ports where `policy.expose = "labelled"`',
    ),
    (
        "ports",
        "443,8000-8010/udp",
        "host ports: only these of the published ones (asks for them too). On a container on the host network it is the list",
    ),
    (
        "sources",
        "any|any4|any6|CIDR,…|@name",
        "who may reach them; `@name` is a network of `[networks]`. Without it: anyone, within the families published",
    ),
    (
        "port.<port>[-<port>][/<protocol>].sources",
        "…",
        "the same for some ports; the smaller range wins, overlapping ranges are malformed",
    ),
    ("firewall", "name,…", "only these firewalls of the host; without it all of them"),
    ("description", "…", "written as the rule's description"),
)
"""Every label without its prefix, its value, and what it means."""
MAX_VALUE = 4096
_KEYS = tuple(name for name, _, _ in LABELS if "<" not in name)
_PORT = re.compile(r"([0-9]{1,5})(?:-([0-9]{1,5}))?(?:/(tcp|udp|sctp))?")
_PORT_KEY = re.compile(r"port\.([0-9]{1,5}(?:-[0-9]{1,5})?(?:/(?:tcp|udp|sctp))?)\.sources")


class LabelError(ValueError):
    """A label that does not parse; the message names the key, never the whole value."""


@dataclass(frozen=True, slots=True)
class LabelledPorts:
    """`first`..`last` of one protocol, inclusive."""

    protocol: str
    first: int
    last: int

    def __contains__(self, port: tuple[str, int]) -> bool:
        return port[0] == self.protocol and self.first <= port[1] <= self.last

    def __str__(self) -> str:
        return f"{self.first if self.first == self.last else f'{self.first}-{self.last}'}/{self.protocol}"


@dataclass(frozen=True, slots=True)
class Sources:
    """`networks` of a label; `families`: the families it names on purpose (`any` names none: it
    takes what is published)."""

    networks: NetworkSet
    families: frozenset[int]


@dataclass(frozen=True, slots=True)
class ContainerLabels:
    """What the labels of one container say; None and empty where they say nothing."""

    expose: bool | None = None
    ports: tuple[LabelledPorts, ...] | None = None
    sources: Sources | None = None
    port_sources: tuple[tuple[LabelledPorts, Sources], ...] = ()
    firewalls: frozenset[str] | None = None
    description: str | None = None

    def sources_for(self, protocol: str, port: int) -> Sources | None:
        """The most specific sources for one host port."""
        matching = [
            (part.last - part.first, sources)
            for part, sources in self.port_sources
            if (protocol, port) in part
        ]
        return min(matching, key=lambda one: one[0])[1] if matching else self.sources


def ours(labels: Mapping[str, str]) -> dict[str, str]:
    """The `cloudsync.*` labels among all labels."""
    return {key: value for key, value in labels.items() if key.startswith(PREFIX)}


def parse_labels(labels: Mapping[str, str], scope: LabelScope) -> ContainerLabels:
    """The meaning of `cloudsync.*` labels. Raises `LabelError` for the first that is unknown or
    malformed."""
    expose: bool | None = None
    ports: tuple[LabelledPorts, ...] | None = None
    sources: Sources | None = None
    port_sources: list[tuple[LabelledPorts, Sources]] = []
    firewalls: frozenset[str] | None = None
    description: str | None = None
    for key, value in sorted(ours(labels).items()):
        if len(value) > MAX_VALUE:
            raise LabelError(f"{_shown(key)}: longer than {MAX_VALUE} characters")
        name = key.removeprefix(PREFIX)
        if name == "expose":
            if value not in ("true", "false"):
                raise LabelError(f"{key}: must be true or false")
            expose = value == "true"
        elif name == "ports":
            ports = tuple(_ports(key, part) for part in value.split(","))
        elif name == "sources":
            sources = _sources(key, value, scope)
        elif match := _PORT_KEY.fullmatch(name):
            port_sources.append((_ports(key, match.group(1)), _sources(key, value, scope)))
        elif name == "firewall":
            firewalls = None if scope.lenient else _firewalls(key, value, scope)
        elif name == "description":
            description = value
        else:
            raise LabelError(_unknown(key, name))
    _check_overlap(port_sources)
    return ContainerLabels(expose, ports, sources, tuple(port_sources), firewalls, description)


def _ports(key: str, text: str) -> LabelledPorts:
    match = _PORT.fullmatch(text)
    if match is None:
        raise LabelError(
            f"{_shown(key)}: ports are written 443, 8000-8010 or 53/udp, separated by commas, without spaces"
        )
    first, last = int(match.group(1)), int(match.group(2) or match.group(1))
    if not 1 <= first <= last <= 65535:
        raise LabelError(f"{_shown(key)}: ports lie in 1-65535, the first not above the last")
    return LabelledPorts(match.group(3) or "tcp", first, last)


def _sources(key: str, value: str, scope: LabelScope) -> Sources:
    found, families = NOWHERE, set()
    for word in value.split(","):
        if word.startswith("@"):
            if word[1:] not in scope.networks and not scope.lenient:
                raise LabelError(
                    f"{_shown(key)}: the configuration has no network of this name in [networks]"
                )
            networks = scope.networks.get(word[1:], ANY)
        else:
            try:
                networks = NetworkSet.of([word])
            except ValueError:
                message = "sources are any, any4, any6, CIDRs without host bits, or @name, separated by commas, without spaces"
                raise LabelError(f"{_shown(key)}: {message}") from None
        found = found | networks
        if word != "any":
            families |= {family for family in (4, 6) if networks.family(family)}
    return Sources(found, frozenset(families))


def _firewalls(key: str, value: str, scope: LabelScope) -> frozenset[str]:
    names = frozenset(value.split(","))
    if unknown := names - scope.firewalls:
        near = get_close_matches(min(unknown), scope.firewalls, 1)
        raise LabelError(
            f"{key}: names a firewall that this host does not feed"
            + (f', did you mean "{near[0]}"?' if near else "")
        )
    return names


def _check_overlap(port_sources: list[tuple[LabelledPorts, Sources]]) -> None:
    """Ranges may lie within one another, where the smaller one wins; to overlap otherwise is
    malformed."""
    for number, (one, _) in enumerate(port_sources):
        for other, _ in port_sources[number + 1 :]:
            if one.protocol != other.protocol or one.last < other.first or other.last < one.first:
                continue
            same = (one.first, one.last) == (other.first, other.last)
            nested = (one.first <= other.first and other.last <= one.last) or (
                other.first <= one.first and one.last <= other.last
            )
            if same or not nested:
                raise LabelError(
                    f"{PREFIX}port.{one}.sources: overlaps with {PREFIX}port.{other}.sources"
                )


def _unknown(key: str, name: str) -> str:
    if name.startswith("port."):
        return f"{_shown(key)}: is written cloudsync.port.8080.sources, cloudsync.port.53/udp.sources or cloudsync.port.1-9.sources"
    near = get_close_matches(name, _KEYS, 1)
    return f"{_shown(key)}: unknown label" + (
        f', did you mean "{PREFIX}{near[0]}"?' if near else ""
    )


def _shown(key: str) -> str:
    return key if len(key) <= 80 else key[:80] + "…"
