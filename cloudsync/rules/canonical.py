"""The canonical form under `RuleSet`: protocols in order, and in each the selectors in order with
who may reach them.

Two dimensions are walked (protocol number, selector), the third is a value (`NetworkSet`). Work is
done edge by edge in one pass, never pair by pair, and protocols that are open in full alike stay
together, so that `all` costs as much as tcp.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

from cloudsync.rules.networks import Interval, NetworkSet
from cloudsync.rules.protocols import full_selector


class Operation(NamedTuple):
    """How two sets are combined at a point."""

    both: Callable[[NetworkSet, NetworkSet], NetworkSet]
    """The sources at a point that both have."""
    keeps_left: bool
    """Whether a point that only the left one has stays, with its sources."""
    keeps_right: bool
    """The same for the right one."""


UNION = Operation(NetworkSet.__or__, True, True)
INTERSECTION = Operation(NetworkSet.__and__, False, False)
DIFFERENCE = Operation(NetworkSet.__sub__, True, False)


class Band(NamedTuple):
    """An interval of integers, both ends inclusive, every one of them open to the same sources."""

    first: int
    last: int
    sources: NetworkSet


class Region(NamedTuple):
    """The protocols `low`..`high` and their bands of selectors. A region of several protocols has
    one band, the full selector.

    Canonical bands are sorted and disjoint, none has empty sources, and no two that touch have
    equal sources.
    """

    low: int
    high: int
    bands: tuple[Band, ...]


Regions = tuple[Region, ...]


def in_full(low: int, high: int, sources: NetworkSet) -> Region:
    """The protocols `low`..`high`, open in full to `sources`."""
    return Region(low, high, (Band(*full_selector(low, high), sources),))


def union(regions: Iterable[Region]) -> Regions:
    """The canonical union of regions in any order, overlapping as they like."""
    by_protocols: dict[Interval, list[Band]] = defaultdict(list)
    for low, high, bands in regions:
        by_protocols[low, high] += bands
    return united(by_protocols)


def united(by_protocols: Mapping[Interval, Sequence[Band]]) -> Regions:
    """The canonical union of bands in any order, by the protocols that they are bands of."""
    if all(low == high for low, high in by_protocols):  # mostly: no two of them overlap
        return _joined(
            Region(*protocols, _sweep(bands)) for protocols, bands in sorted(by_protocols.items())
        )
    wide = [
        Band(*protocols, band.sources)
        for protocols, bands in by_protocols.items()
        if protocols[0] < protocols[1]
        for band in bands
    ]
    layers = [in_full(*band) for band in _sweep(wide)]
    layers += [
        Region(*protocols, tuple(bands))
        for protocols, bands in by_protocols.items()
        if protocols[0] == protocols[1]
    ]
    return _joined(
        Region(
            low, high, _sweep([band for layer in layers for band in _bands((layer,), low, high)])
        )
        for low, high in _pieces(layers)
    )


def combine(a: Regions, b: Regions, operation: Operation) -> Regions:
    """Two canonical forms combined at every point."""
    return _joined(_combined(a, b, operation))


def covers(outer: Regions, inner: Regions) -> bool:
    """Whether every point of one canonical form is in another."""
    for low, high, bands in inner:
        around = [region for region in outer if region.low <= high and low <= region.high]
        if len(around) != 1:  # in none, or in pieces
            return bool(around) and not combine(inner, outer, DIFFERENCE)
        if not _covers(_bands(around, low, high), bands):
            return False
    return True


def _covers(outer: Sequence[Band], inner: Sequence[Band]) -> bool:
    """The same for bands of the same protocols."""
    at = 0
    for first, last, sources in inner:
        start = first
        if at < len(outer) and outer[at].last < start:
            at += 1  # mostly
            if at < len(outer) and outer[at].last < start:
                at = bisect_left(outer, start, lo=at, key=_last)
        while start <= last:
            if at == len(outer) or outer[at].first > start:
                return False
            if not (outer[at].sources is sources or outer[at].sources.covers(sources)):
                return False
            start = outer[at].last + 1
            if start <= last:
                at += 1
    return True


def _combined(a: Regions, b: Regions, operation: Operation) -> Iterator[Region]:
    """Piece by piece; a piece that only one of them has is kept or dropped as a whole."""
    pointwise = _Pointwise(operation)
    for low, high in _pieces((*a, *b)):
        left, right = _bands(a, low, high), _bands(b, low, high)
        if left and right:
            yield Region(low, high, _overlay(left, right, pointwise))
        elif left and operation.keeps_left:
            yield Region(low, high, left)
        elif right and operation.keeps_right:
            yield Region(low, high, right)


class _Pointwise:
    """An operation that combines two source sets once, however many bands share them."""

    def __init__(self, operation: Operation) -> None:
        self.both, self.keeps_left, self.keeps_right = operation
        self._known: dict[tuple[int, int], NetworkSet] = {}

    def __call__(self, left: NetworkSet, right: NetworkSet) -> NetworkSet:
        """Both are alive as long as the sets that are combined, so that an id is theirs alone."""
        key = id(left), id(right)
        if key not in self._known:
            self._known[key] = self.both(left, right)
        return self._known[key]


def _pieces(regions: Iterable[Region]) -> Iterator[Interval]:
    """The protocol numbers cut wherever a region begins or ends, in order; gaps between regions are
    among the pieces."""
    cuts = sorted({edge for region in regions for edge in (region.low, region.high + 1)})
    return ((low, after - 1) for low, after in pairwise(cuts))


def _bands(regions: Iterable[Region], low: int, high: int) -> tuple[Band, ...]:
    """What disjoint regions have at one of their pieces."""
    for region in regions:
        if region.low <= low and high <= region.high:
            if (region.low, region.high) == (low, high):
                return region.bands
            return in_full(low, high, region.bands[0].sources).bands
    return ()


def _joined(regions: Iterable[Region]) -> Regions:
    """Regions in order: the empty ones left out, neighbours that are open in full to the same
    sources made one."""
    joined: list[Region] = []
    for region in regions:
        if not region.bands:
            continue
        if joined and _continues(joined[-1], region):
            joined[-1] = in_full(joined[-1].low, region.high, region.bands[0].sources)
        else:
            joined.append(region)
    return tuple(joined)


def _continues(region: Region, after: Region) -> bool:
    """Whether both are open in full, to the same sources, with no protocol in between."""
    return (
        region.high + 1 == after.low
        and region.bands[0].sources == after.bands[0].sources
        and all(
            full.bands == in_full(*full[:2], full.bands[0].sources).bands
            for full in (region, after)
        )
    )


def _sweep(spans: Sequence[Band]) -> tuple[Band, ...]:
    """The union of bands in any order. Most rules of a firewall share no port with another, or all
    of them: then sorting does."""
    if len(spans) == 1:
        return tuple(spans) if spans[0].sources else ()
    alike: dict[Interval, Band] = {}
    several: dict[Interval, list[NetworkSet]] = {}
    for band in spans:
        first, last, sources = band
        known = alike.setdefault((first, last), band)
        if known.sources is not sources:
            several.setdefault((first, last), [known.sources]).append(sources)
    unite = _Uniting()
    swept: list[Band] = []
    end = -1
    for interval in sorted(alike):
        band, sets = alike[interval], several.get(interval)
        if band.first <= end:
            return _sweep_edges(spans)
        end = band.last
        sources = band.sources if sets is None else unite(sets)
        last_band = swept[-1] if swept else None
        if last_band and last_band.last + 1 == band.first and last_band.sources == sources:
            swept[-1] = Band(last_band.first, end, sources)
        elif sources:
            swept.append(band if sets is None else Band(band.first, end, sources))
    return tuple(swept)


class _Uniting:
    """Unites source sets once, however many bands share them: all of them live as long as the
    bands, so that an id is theirs alone."""

    def __init__(self) -> None:
        self._known: dict[tuple[int, ...], NetworkSet] = {}

    def __call__(self, sets: Iterable[NetworkSet]) -> NetworkSet:
        key = tuple(map(id, sets))
        if key not in self._known:
            self._known[key] = NetworkSet.union(dict.fromkeys(sets))
        return self._known[key]


def _sweep_edges(spans: Sequence[Band]) -> tuple[Band, ...]:
    """The same for bands that overlap in part, by one walk over their edges."""
    numbers: dict[NetworkSet, int] = {}
    opening: dict[int, list[int]] = defaultdict(list)
    closing: dict[int, list[int]] = defaultdict(list)
    for first, last, sources in spans:
        number = numbers.setdefault(sources, len(numbers))
        opening[first].append(number)
        closing[last + 1].append(number)
    sets = list(numbers)
    united: dict[tuple[int, ...], NetworkSet] = {}
    open_now: dict[int, int] = defaultdict(int)
    swept: list[Band] = []
    for start, after in pairwise(sorted({*opening, *closing})):
        for number in opening.get(start, ()):
            open_now[number] += 1
        for number in closing.get(start, ()):
            open_now[number] -= 1
            if not open_now[number]:
                del open_now[number]
        if not open_now:
            continue
        together = tuple(open_now)
        if together not in united:
            united[together] = NetworkSet.union(sets[number] for number in together)
        _append(swept, start, after - 1, united[together])
    return tuple(swept)


def _overlay(a: Sequence[Band], b: Sequence[Band], operation: _Pointwise) -> tuple[Band, ...]:
    """Two sequences of canonical bands combined at every selector.

    Stretches where only one of them has bands are copied or dropped as a whole, so that a few bands
    are combined with many in little more than the time that the copy takes.
    """
    overlaid: list[Band] = []
    left, right = _Walk(a, operation.keeps_left), _Walk(b, operation.keeps_right)
    while left.remains() and right.remains():
        start = max(left.start(), right.start())
        left.alone_until(start, overlaid)
        right.alone_until(start, overlaid)
        if left.remains() and right.remains() and left.start() == right.start():
            last = min(left.band().last, right.band().last)
            sources = operation(left.band().sources, right.band().sources)
            _append(overlaid, start, last, sources)
            left.pass_by(last)
            right.pass_by(last)
    for rest in (left, right):
        rest.alone_until(None, overlaid)
    return tuple(overlaid)


class _Walk:
    """A position in canonical bands, which may lie inside one of them."""

    __slots__ = ("_bands", "_index", "_kept", "_start")

    def __init__(self, bands: Sequence[Band], kept: bool) -> None:
        self._bands = bands
        self._kept = kept
        self._index = 0
        self._start = bands[0].first if bands else 0

    def remains(self) -> bool:
        return self._index < len(self._bands)

    def band(self) -> Band:
        return self._bands[self._index]

    def start(self) -> int:
        """The first selector of what is left of the band."""
        return self._start

    def pass_by(self, last: int) -> None:
        """Go on behind the selector `last`, which is in the band."""
        self._to(self._index + (self.band().last == last), last + 1)

    def alone_until(self, limit: int | None, overlaid: list[Band]) -> None:
        """Go on to `limit` (to the end without one): the other set has nothing in between."""
        bands, index = self._bands, self._index
        after = len(bands) if limit is None else self._first_ending_at_or_after(limit)
        if self._kept and after > index:
            _append(overlaid, self._start, bands[index].last, bands[index].sources)
            overlaid.extend(bands[index + 1 : after])
        if after > index:
            self._to(after)
        if limit is not None and self.remains() and self._start < limit:
            if self._kept:
                _append(overlaid, self._start, limit - 1, self.band().sources)
            self._start = limit

    def _first_ending_at_or_after(self, selector: int) -> int:
        bands, index = self._bands, self._index
        for near in range(index, min(index + 2, len(bands))):  # mostly, and cheaper than halving
            if bands[near].last >= selector:
                return near
        return bisect_left(bands, selector, lo=index, key=_last)

    def _to(self, index: int, start: int = 0) -> None:
        self._index = index
        if self.remains():
            self._start = max(start, self.band().first)


def _last(band: Band) -> int:
    return band.last


def _append(bands: list[Band], first: int, last: int, sources: NetworkSet) -> None:
    """Add a band behind the others; where it touches the last one and has the same sources, that
    one becomes wider."""
    if not sources:
        return
    if bands and bands[-1].last + 1 == first and bands[-1].sources == sources:
        bands[-1] = Band(bands[-1].first, last, sources)
    else:
        bands.append(Band(first, last, sources))
