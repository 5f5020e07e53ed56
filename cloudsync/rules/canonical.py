"""The canonical form under `RuleSet`: protocols in order, and in each the selectors in order with
who may reach them.

Two dimensions are walked (protocol number, selector), the third is a value (`NetworkSet`). Work is
done edge by edge in one pass, never pair by pair, and protocols that are open in full alike stay
together, so that `all` costs as much as tcp.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

from cloudsync.rules.networks import NOWHERE, Interval, NetworkSet
from cloudsync.rules.protocols import full_selector

Operation = Callable[[NetworkSet, NetworkSet], NetworkSet]


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
    wide: list[Band] = []
    single: dict[int, list[Band]] = defaultdict(list)
    for low, high, bands in regions:
        if low < high:
            wide.append(Band(low, high, bands[0].sources))
        else:
            single[low] += bands
    layers = [in_full(*band) for band in _sweep(wide)]
    layers += [Region(number, number, tuple(bands)) for number, bands in single.items()]
    return _joined(
        Region(
            low, high, _sweep([band for layer in layers for band in _bands((layer,), low, high)])
        )
        for low, high in _pieces(layers)
    )


def combine(a: Regions, b: Regions, operation: Operation) -> Regions:
    """Two canonical forms combined at every point; `operation` makes nothing of nothing and
    nothing."""
    known: dict[tuple[int, int], NetworkSet] = {}

    def once(left: NetworkSet, right: NetworkSet) -> NetworkSet:
        """A source set is mostly shared by many bands; `a` and `b` keep it alive, so that its id is
        its own."""
        key = id(left), id(right)
        if key not in known:
            known[key] = operation(left, right)
        return known[key]

    return _joined(
        Region(low, high, _overlay(_bands(a, low, high), _bands(b, low, high), once))
        for low, high in _pieces((*a, *b))
    )


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
    """The union of bands in any order, by one walk over their edges."""
    numbers: dict[NetworkSet, int] = {}
    opening: dict[int, list[int]] = defaultdict(list)
    closing: dict[int, list[int]] = defaultdict(list)
    for first, last, sources in spans:
        number = numbers.setdefault(sources, len(numbers))
        opening[first].append(number)
        closing[last + 1].append(number)
    sets = list(numbers)
    open_now: dict[int, int] = defaultdict(int)
    swept: list[Band] = []
    for start, after in pairwise(sorted({*opening, *closing})):
        for number in opening.get(start, ()):
            open_now[number] += 1
        for number in closing.get(start, ()):
            open_now[number] -= 1
            if not open_now[number]:
                del open_now[number]
        _append(swept, start, after - 1, NetworkSet.union(sets[number] for number in open_now))
    return tuple(swept)


def _overlay(a: Sequence[Band], b: Sequence[Band], operation: Operation) -> tuple[Band, ...]:
    """Two sequences of canonical bands combined at every selector."""
    overlaid: list[Band] = []
    i = j = 0
    for start, after in pairwise(
        sorted({edge for band in (*a, *b) for edge in (band.first, band.last + 1)})
    ):
        while i < len(a) and a[i].last < start:
            i += 1
        while j < len(b) and b[j].last < start:
            j += 1
        left = a[i].sources if i < len(a) and a[i].first <= start else NOWHERE
        right = b[j].sources if j < len(b) and b[j].first <= start else NOWHERE
        _append(overlaid, start, after - 1, operation(left, right))
    return tuple(overlaid)


def _append(bands: list[Band], first: int, last: int, sources: NetworkSet) -> None:
    """Add a band behind the others; where it touches the last one and has the same sources, that
    one becomes wider."""
    if not sources:
        return
    if bands and bands[-1].last + 1 == first and bands[-1].sources == sources:
        bands[-1] = Band(bands[-1].first, last, sources)
    else:
        bands.append(Band(first, last, sources))
