"""Rules and rule sets: protocol x port range x source networks, with exact set algebra.

Every protocol has one dimension beside its sources, the *selector*, an inclusive interval of integers:

| protocol                      | selector                                  | text                                   |
|-------------------------------|-------------------------------------------|----------------------------------------|
| tcp, udp, sctp, dccp, udplite | ports 1..65535                            | `443`, `8000-8010`, `1-65535` for all  |
| icmp, icmpv6                  | type * 256 + code, 0..65535               | `` for all, `8` type 8, `8/0` one code |
| every other number            | the one point 0                           | ``                                     |

Neighbouring ICMP types are an interval too: `8-11`, and `3/4-5/0` where it does not fall on whole types.

Protocols are IANA numbers 0..255 (a closed universe, so `all` minus tcp is exact). A rule speaks for an inclusive
range of protocol numbers, nearly always one; a range of several always has the full selector, written 0..65535.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from cloudsync import protocols
from cloudsync.networks import ANY, NOWHERE, Interval, NetworkSet


@dataclass(frozen=True, slots=True)
class Rule:
    """What one rule lets in. `protocol` is canonical text: a name (`tcp`, `icmpv6`, `esp`, ...), a number
    without a common name (`143`), a range of numbers (`7-255`) or `all` (0-255).

    `first` and `last` bound the selector (see the module's table), both inclusive. `ValueError` where they do not fit the protocol.
    """

    protocol: str
    first: int
    last: int
    sources: NetworkSet

    def __post_init__(self) -> None:
        low, high = protocols.numbers(self.protocol)
        if self.protocol != protocols.name(low, high):
            raise ValueError(f"protocol {self.protocol!r} is written {protocols.name(low, high)!r}")
        bounds = protocols.full_selector(low, high)
        if not bounds[0] <= self.first <= self.last <= bounds[1] or (low < high and (self.first, self.last) != bounds):
            raise ValueError(f"{self.protocol} has no selector {self.first}..{self.last}")

    @classmethod
    def of(cls, protocol: str, ports: str, sources: NetworkSet | Iterable[str]) -> Rule:
        """From text in the module's table; `ports` also `""` for everything. Raises `ValueError` that says what is wrong."""
        low, high = protocols.numbers(protocol)
        first, last = _selector(low, high, ports)
        return cls(protocols.name(low, high), first, last, sources if isinstance(sources, NetworkSet) else NetworkSet.of(sources))

    @property
    def ports(self) -> str:
        """The selector as text: `443`, `8000-8010`, `1-65535`; `""` for protocols without ports and for all ICMP types."""
        low, high = protocols.numbers(self.protocol)
        if self.has_ports:
            return str(self.first) if self.first == self.last else f"{self.first}-{self.last}"
        return "" if (self.first, self.last) == protocols.full_selector(low, high) else _icmp_text(self.first, self.last)

    @property
    def has_ports(self) -> bool:
        """Whether the protocol has ports (tcp, udp, sctp, dccp, udplite)."""
        low, high = protocols.numbers(self.protocol)
        return low == high and low in protocols.WITH_PORTS

    def __str__(self) -> str:
        """`tcp/443 from 0.0.0.0/0, ::/0`; `icmp from any4`-like forms are not abbreviated."""
        what = f"{self.protocol}/{self.ports}" if self.ports else self.protocol
        return f"{what} from {', '.join(self.sources.cidrs()) or 'nowhere'}"


class Band(NamedTuple):
    """An interval of selectors, every one of them open to the same sources."""

    first: int
    last: int
    sources: NetworkSet


class Region(NamedTuple):
    """The protocols `low`..`high` and their bands: sorted, disjoint, as wide as can be, no sources empty.

    A region of several protocols has one band, the full selector.
    """

    low: int
    high: int
    bands: tuple[Band, ...]


@dataclass(frozen=True, slots=True)
class RuleSet:
    """A set of (protocol, selector, address) points in its one canonical form. Equality is equality of meaning; hashable."""

    regions: tuple[Region, ...] = ()

    @classmethod
    def of(cls, rules: Iterable[Rule]) -> RuleSet:
        """The union of rules, in any order. O(n log n) for n rules, and the size of the result."""
        spans: dict[Interval, list[Band]] = defaultdict(list)
        for rule in rules:
            if rule.sources:
                spans[protocols.numbers(rule.protocol)].append(Band(rule.first, rule.last, rule.sources))
        layers = [Region(low, high, _sweep(bands)) for (low, high), bands in spans.items()]
        return cls(_merged(Region(low, high, _stacked(layers, low, high)) for low, high in _pieces(layers)))

    def __bool__(self) -> bool:
        return bool(self.regions)

    def __or__(self, other: RuleSet) -> RuleSet:
        return self._combined(other, NetworkSet.__or__)

    def __and__(self, other: RuleSet) -> RuleSet:
        return self._combined(other, NetworkSet.__and__)

    def __sub__(self, other: RuleSet) -> RuleSet:
        return self._combined(other, NetworkSet.__sub__)

    def covers(self, other: RuleSet) -> bool:
        """Whether every point of `other` is in this set."""
        return not other - self

    def __iter__(self) -> Iterator[Rule]:
        """The canonical rules: per protocol the maximal port intervals with an equal source set, disjoint, ordered by
        protocol number and port (tcp and udp sort by number as every other). Protocols that are open in full to the same
        sources and consecutive are one range rule, `all` where it is all of them."""
        for low, high, bands in self.regions:
            protocol = protocols.name(low, high)
            for first, last, sources in bands:
                yield Rule(protocol, first, last, sources)

    def fewest(self) -> tuple[Rule, ...]:
        """The fewest rules (one interval, one source set each) whose union is this set; they may overlap, they never bridge a gap.

        Ordered, deterministic. Equal in meaning: `RuleSet.of(s.fewest()) == s`.
        """
        return tuple(self)

    def where(self, sources: NetworkSet) -> RuleSet:
        """The part whose sources lie in `sources`, for every protocol."""
        return self & RuleSet.of((Rule.of("all", "", sources),))

    def of_protocols(self, *protocols: str) -> RuleSet:
        """The part of the named protocols only."""
        return self & RuleSet.of(Rule.of(protocol, "", ANY) for protocol in protocols)

    def _combined(self, other: RuleSet, operation: Operation) -> RuleSet:
        pieces = _pieces((*self.regions, *other.regions))
        return RuleSet(
            _merged(
                Region(low, high, _overlaid(_bands(self.regions, low, high), _bands(other.regions, low, high), operation))
                for low, high in pieces
            )
        )


NOTHING = RuleSet()

Operation = Callable[[NetworkSet, NetworkSet], NetworkSet]


def _pieces(regions: Iterable[Region]) -> Iterator[Interval]:
    """The protocol numbers cut where any region begins or ends, in order; what no region touches may be among them."""
    cuts = sorted({edge for region in regions for edge in (region.low, region.high + 1)})
    return ((low, after - 1) for low, after in pairwise(cuts))


def _bands(regions: Iterable[Region], low: int, high: int) -> tuple[Band, ...]:
    """What a set has at the protocols `low`..`high`, which no edge of a region cuts."""
    for region in regions:
        if region.low <= low and high <= region.high:
            if (region.low, region.high) == (low, high):
                return region.bands
            return (Band(*protocols.full_selector(low, high), region.bands[0].sources),)
    return ()


def _stacked(layers: Iterable[Region], low: int, high: int) -> tuple[Band, ...]:
    return _sweep([band for layer in layers for band in _bands((layer,), low, high)])


def _merged(regions: Iterable[Region]) -> tuple[Region, ...]:
    """Regions in order, the empty ones left out and neighbours that are open in full to the same sources made one."""
    merged: list[Region] = []
    for region in regions:
        if not region.bands:
            continue
        if merged and merged[-1].high + 1 == region.low and _full(merged[-1]) and _full(region):
            low, sources = merged[-1].low, merged[-1].bands[0].sources
            if sources == region.bands[0].sources:
                merged[-1] = Region(low, region.high, (Band(*protocols.full_selector(low, region.high), sources),))
                continue
        merged.append(region)
    return tuple(merged)


def _full(region: Region) -> bool:
    return region.bands[0][:2] == protocols.full_selector(region.low, region.high)


def _sweep(spans: Sequence[Band]) -> tuple[Band, ...]:
    """The union of overlapping bands, by one walk over their edges."""
    known: dict[NetworkSet, int] = {}
    opens: dict[int, list[int]] = defaultdict(list)
    closes: dict[int, list[int]] = defaultdict(list)
    for first, last, sources in spans:
        number = known.setdefault(sources, len(known))
        opens[first].append(number)
        closes[last + 1].append(number)
    sets = list(known)
    active: dict[int, int] = defaultdict(int)
    found: list[Band] = []
    for start, after in pairwise(sorted({*opens, *closes})):
        for number in opens.get(start, ()):
            active[number] += 1
        for number in closes.get(start, ()):
            active[number] -= 1
            if not active[number]:
                del active[number]
        if active:
            _append(found, start, after - 1, NetworkSet.union(sets[number] for number in active))
    return tuple(found)


def _overlaid(a: Sequence[Band], b: Sequence[Band], operation: Operation) -> tuple[Band, ...]:
    """Two sets of bands combined at every selector."""
    found: list[Band] = []
    i = j = 0
    for start, after in pairwise(sorted({edge for band in (*a, *b) for edge in (band.first, band.last + 1)})):
        while i < len(a) and a[i].last < start:
            i += 1
        while j < len(b) and b[j].last < start:
            j += 1
        left = a[i].sources if i < len(a) and a[i].first <= start else NOWHERE
        right = b[j].sources if j < len(b) and b[j].first <= start else NOWHERE
        if sources := operation(left, right):
            _append(found, start, after - 1, sources)
    return tuple(found)


def _append(bands: list[Band], first: int, last: int, sources: NetworkSet) -> None:
    """Add a band behind the others, or widen the one before where it touches and has the same sources."""
    if bands and bands[-1].last + 1 == first and bands[-1].sources == sources:
        bands[-1] = Band(bands[-1].first, last, sources)
    else:
        bands.append(Band(first, last, sources))


_PORT = re.compile(r"[1-9][0-9]{0,4}", re.ASCII)
_BYTE = r"(?:0|[1-9][0-9]{0,2})"
_ICMP_EDGE = re.compile(rf"(?P<type>{_BYTE})(?:/(?P<code>{_BYTE}))?", re.ASCII)


def _selector(low: int, high: int, text: str) -> Interval:
    if not text:
        return protocols.full_selector(low, high)
    if low == high and low in protocols.WITH_PORTS:
        first_text, dash, last_text = text.partition("-")
        first = _port(first_text, text)
        last = _port(last_text, text) if dash else first
    elif low == high and low in protocols.WITH_TYPES:
        first_text, dash, last_text = text.partition("-")
        first, end = _icmp_edge(first_text, text)
        last = _icmp_edge(last_text, text)[1] if dash else end
    else:
        raise ValueError(f"{protocols.name(low, high)} has no ports, and {text!r} was given")
    if first > last:
        raise ValueError(f"{text!r} is no range: it ends before it begins")
    return first, last


def _port(word: str, text: str) -> int:
    if not _PORT.fullmatch(word) or int(word) > protocols.EVERY_PORT[1]:
        raise ValueError(f"{text!r} is no port (1-65535) and no range of ports (8000-8010)")
    return int(word)


def _icmp_edge(word: str, text: str) -> Interval:
    """The selectors of a type, or of a type and code."""
    match = _ICMP_EDGE.fullmatch(word)
    if not match or int(match["type"]) > 255 or int(match["code"] or 0) > 255:
        raise ValueError(f"{text!r} is no ICMP type (8) and no type and code (8/0), each 0-255")
    start = int(match["type"]) * 256
    return (start, start + 255) if match["code"] is None else (start + int(match["code"]),) * 2


def _icmp_text(first: int, last: int) -> str:
    if first % 256 == 0 and last % 256 == 255:
        return f"{first // 256}" if last - first == 255 else f"{first // 256}-{last // 256}"
    edges = [f"{edge // 256}/{edge % 256}" for edge in dict.fromkeys((first, last))]
    return "-".join(edges)
