"""The grammar of `cloudsync.*` labels (decision 0003): anchored, strict, without spaces inside.
`LABELS` lists them."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Generic, TypeVar

from cloudsync.config.problems import did_you_mean
from cloudsync.model.ports import LabelScope
from cloudsync.rules.frozen import dataclass
from cloudsync.rules.networks import ANY, NetworkSet

Value = TypeVar("Value")

PREFIX = "cloudsync."
LABELS = (
    (
        "expose",
        "true|false",
        (
            "`false` wins over everything; `true` asks for the published ports where `policy.expose"
            ' = "labelled"`'
        ),
    ),
    (
        "ports",
        "443,8000-8010/udp",
        (
            "host ports: only these of the published ones (asks for them too). On a container on"
            " the host network it is the list"
        ),
    ),
    (
        "sources",
        "any|any4|any6|CIDR,…|@name",
        (
            "who may reach them; `@name` is a network of `[networks]`. Without it: anyone, within"
            " the families published"
        ),
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
"""Characters of one value."""
MAX_LABELS = 1000
"""`cloudsync.*` labels of one container, image or service."""
MAX_LETTERS = 256 * 1024
"""Characters of all of them together: they are a stranger's, and take time to read."""
_KEYS = tuple(name for name, _, _ in LABELS if "<" not in name)
_PORT = re.compile(r"([0-9]{1,5})(?:-([0-9]{1,5}))?(?:/(tcp|udp|sctp))?", re.ASCII)
_PORT_KEY = re.compile(
    r"port\.([0-9]{1,5}(?:-[0-9]{1,5})?(?:/(?:tcp|udp|sctp))?)\.sources", re.ASCII
)
_MAPPED = NetworkSet.of(["::ffff:0:0/96"])


class LabelError(ValueError):
    """A label that does not parse; the message names the key, never the whole value."""


@dataclass(frozen=True, slots=True)
class LabelledPorts:
    """`first`..`last` of one protocol, inclusive."""

    protocol: str
    """`tcp`, `udp`, `sctp`."""
    first: int
    last: int

    def __contains__(self, port: tuple[str, int]) -> bool:
        return port[0] == self.protocol and self.first <= port[1] <= self.last

    def __str__(self) -> str:
        ports = str(self.first) if self.first == self.last else f"{self.first}-{self.last}"
        return f"{ports}/{self.protocol}"


@dataclass(frozen=True, slots=True)
class Sources:
    """Who a label lets in."""

    networks: NetworkSet
    """CIDRs and `any`; names of `[networks]` are apart."""
    families: frozenset[int]
    """The families it names on purpose (`any` names none: it takes what is published)."""


@dataclass(frozen=True, slots=True)
class PortSteps(Generic[Value]):
    """A value for every port of one protocol, in steps: from `starts[i]` on, `values[i]`."""

    starts: tuple[int, ...]
    values: tuple[Value, ...]

    def at(self, port: int) -> Value:
        """The value for one port."""
        return self.values[bisect_right(self.starts, port) - 1]


@dataclass(frozen=True, slots=True)
class ContainerLabels:
    """What the labels of one container say; None and empty if they say nothing."""

    expose: bool | None = None
    """`cloudsync.expose`."""
    ports: tuple[LabelledPorts, ...] | None = None
    """Disjoint unless they overlapped in the label."""
    sources: Sources | None = None
    """`cloudsync.sources`, for ports without sources of their own."""
    port_sources: tuple[tuple[LabelledPorts, Sources], ...] = ()
    """Of each protocol disjoint, or one within the other."""
    firewalls: frozenset[str] | None = None
    """`cloudsync.firewall`: the only firewalls to open."""
    description: str | None = None
    """`cloudsync.description`."""

    def sources_for(self, protocol: str) -> PortSteps[Sources | None]:
        """The most specific sources for every host port of a protocol."""
        starts: list[int] = [0]
        values: list[Sources | None] = [self.sources]
        around: list[tuple[int, Sources]] = []  # the ranges that are open, the innermost last

        def step(port: int, value: Sources | None) -> None:
            if starts[-1] == port:
                values[-1] = value
            else:
                starts.append(port)
                values.append(value)

        def leave(port: int) -> None:
            while around and around[-1][0] < port:
                last, _ = around.pop()
                step(last + 1, around[-1][1] if around else self.sources)

        mine = [(ports, value) for ports, value in self.port_sources if ports.protocol == protocol]
        for ports, value in sorted(mine, key=lambda entry: (entry[0].first, -entry[0].last)):
            leave(ports.first)
            step(ports.first, value)
            around.append((ports.last, value))
        leave(_AFTER_LAST_PORT)
        return PortSteps(tuple(starts), tuple(values))

    def limits_for(self, protocol: str) -> PortSteps[NetworkSet]:
        """What all sources together let reach every host port of a protocol: of labels that may
        only narrow none wins over another."""
        mine = [(ports, value) for ports, value in self.port_sources if ports.protocol == protocol]
        edges = sorted({edge for ports, _ in mine for edge in (ports.first, ports.last + 1)})
        everywhere = ANY if self.sources is None else self.sources.networks
        starts, values = [0], [everywhere]
        for start in edges:
            limit = everywhere
            for ports, value in mine:
                if ports.first <= start <= ports.last:
                    limit = limit & value.networks
            starts.append(start)
            values.append(limit)
        return PortSteps(tuple(starts), tuple(values))

    def lists(self, protocol: str) -> PortSteps[bool]:
        """Whether `cloudsync.ports` lists a host port; everywhere if there is no such label."""
        if self.ports is None:
            return PortSteps((0,), (True,))
        listed = (port for port in self.ports if port.protocol == protocol)
        starts, values = [0], [False]
        for first, last in port_spans(listed):
            starts += [first, last + 1]
            values += [True, False]
        return PortSteps(tuple(starts), tuple(values))


_AFTER_LAST_PORT = 65536


def port_spans(parts: Iterable[LabelledPorts]) -> list[tuple[int, int]]:
    """The ports of ranges of one protocol as `spans`."""
    return spans((ports.first, ports.last) for ports in parts)


def spans(ranges: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Ranges in any order, overlapping or not, as the fewest (first, last), in order."""
    united: list[tuple[int, int]] = []
    for first, last in sorted(ranges):
        if united and first <= united[-1][1] + 1:
            united[-1] = (united[-1][0], max(united[-1][1], last))
        else:
            united.append((first, last))
    return united


def ours(labels: Mapping[str, str]) -> dict[str, str]:
    """The `cloudsync.*` labels among all labels."""
    return {key: value for key, value in labels.items() if key.startswith(PREFIX)}


def parse_labels(labels: Mapping[str, str], scope: LabelScope) -> ContainerLabels:
    """The meaning of `cloudsync.*` labels. Raises `LabelError` for the first that is unknown or
    malformed."""
    mine = ours(labels)
    check_amount(mine)
    parsed = ContainerLabels()
    port_sources: list[tuple[LabelledPorts, Sources]] = []
    for key, value in sorted(mine.items()):
        label = parse_label(key, value, scope)
        if isinstance(label, ContainerLabels):
            parsed = merged(parsed, label)
        else:
            port_sources.append(label)
    check_overlap(port_sources)
    return replace(parsed, port_sources=tuple(port_sources))


def check_amount(mine: Mapping[str, str]) -> None:
    """Raise `LabelError` if there are more labels, or longer ones, than anybody writes."""
    if len(mine) > MAX_LABELS:
        raise LabelError(f"more than {MAX_LABELS} {PREFIX}* labels")
    if sum(map(len, mine.values())) > MAX_LETTERS:
        raise LabelError(f"{PREFIX}* labels of more than {MAX_LETTERS // 1024} KiB")


def parse_label(
    key: str, value: str, scope: LabelScope
) -> ContainerLabels | tuple[LabelledPorts, Sources]:
    """One label: what it says, or the sources it gives some ports. Raises `LabelError`."""
    if len(value) > MAX_VALUE:
        raise LabelError(f"{_shown(key)}: longer than {MAX_VALUE} characters")
    name = key.removeprefix(PREFIX)
    match name:
        case "expose":
            if value not in ("true", "false"):
                raise LabelError(f"{key}: must be true or false")
            return ContainerLabels(expose=value == "true")
        case "ports":
            return ContainerLabels(ports=_disjoint(_ports(key, word) for word in value.split(",")))
        case "sources":
            return ContainerLabels(sources=_sources(key, value, scope))
        case "firewall":
            names = None if scope.lenient else _firewalls(key, value, scope)
            return ContainerLabels(firewalls=names)
        case "description":
            return ContainerLabels(description=value)
    if port_key := _PORT_KEY.fullmatch(name):
        return _ports(key, port_key.group(1)), _sources(key, value, scope)
    raise LabelError(_unknown(key, name))


def merged(labels: ContainerLabels, label: ContainerLabels) -> ContainerLabels:
    """Both together; no key is in both."""
    return ContainerLabels(
        labels.expose if label.expose is None else label.expose,
        labels.ports if label.ports is None else label.ports,
        labels.sources if label.sources is None else label.sources,
        labels.port_sources,
        labels.firewalls if label.firewalls is None else label.firewalls,
        labels.description if label.description is None else label.description,
    )


def check_overlap(port_sources: Iterable[tuple[LabelledPorts, Sources]]) -> None:
    """Ranges may lie within one another, where the smaller one wins; any other overlap raises
    `LabelError`."""
    around: list[LabelledPorts] = []
    for ports, _ in sorted(
        port_sources,
        key=lambda port_source: (
            port_source[0].protocol,
            port_source[0].first,
            -port_source[0].last,
        ),
    ):
        while around and (around[-1].protocol != ports.protocol or around[-1].last < ports.first):
            around.pop()
        if around and (around[-1].last < ports.last or around[-1] == ports):
            raise LabelError(
                f"{PREFIX}port.{ports}.sources: overlaps with {PREFIX}port.{around[-1]}.sources"
            )
        around.append(ports)


def _disjoint(parts: Iterable[LabelledPorts]) -> tuple[LabelledPorts, ...]:
    """As they are written, unless they overlap: then united."""
    listed = tuple(dict.fromkeys(parts))
    united = [
        LabelledPorts(protocol, first, last)
        for protocol in dict.fromkeys(entry.protocol for entry in listed)
        for first, last in port_spans(entry for entry in listed if entry.protocol == protocol)
    ]
    ports = sum(entry.last - entry.first + 1 for entry in listed)
    return listed if ports == sum(u.last - u.first + 1 for u in united) else tuple(united)


def _ports(key: str, text: str) -> LabelledPorts:
    match = _PORT.fullmatch(text)
    if match is None:
        raise LabelError(
            f"{_shown(key)}: ports are written 443, 8000-8010 or 53/udp, separated by commas,"
            " without spaces"
        )
    first, last = int(match.group(1)), int(match.group(2) or match.group(1))
    if not 1 <= first <= last <= 65535:
        raise LabelError(f"{_shown(key)}: ports lie in 1-65535, the first not above the last")
    return LabelledPorts(match.group(3) or "tcp", first, last)


def _sources(key: str, value: str, scope: LabelScope) -> Sources:
    parts: list[NetworkSet] = []
    written: list[str] = []
    families: set[int] = set()
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
                message = (
                    "sources are any, any4, any6, CIDRs without host bits, or @name, separated by"
                    " commas, without spaces"
                )
                raise LabelError(f"{_shown(key)}: {message}") from None
            if networks and _MAPPED.covers(networks):
                raise LabelError(f"{_shown(key)}: write IPv4 networks as IPv4, not ::ffff:…")
            written.append(word)
        parts.append(networks)
        if word != "any":
            families |= {family for family in (4, 6) if networks.family(family)}
    united = NetworkSet.union((NetworkSet.of(written), *parts))
    return Sources(united, frozenset(families))


def _firewalls(key: str, value: str, scope: LabelScope) -> frozenset[str]:
    names = frozenset(value.split(","))
    if unknown := names - scope.firewalls:
        hint = did_you_mean(min(unknown), scope.firewalls)
        raise LabelError(f"{key}: names a firewall that this host does not feed{hint}")
    return names


def _unknown(key: str, name: str) -> str:
    if name.startswith("port."):
        return (
            f"{_shown(key)}: is written cloudsync.port.8080.sources, cloudsync.port.53/udp.sources"
            " or cloudsync.port.1-9.sources"
        )
    return f"{_shown(key)}: unknown label{did_you_mean(name, _KEYS, PREFIX)}"


def _shown(key: str) -> str:
    return key if len(key) <= 80 else key[:80] + "…"
