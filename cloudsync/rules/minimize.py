"""The fewest rules that say the same: how many intervals it takes when they may overlap.

Seen from one address, a rule set is a set of selectors. Rules that lie inside its maximal intervals
have to make up every one of those, so the question is for the smallest family of intervals that
generates a given one. Györi proved the minimax theorem behind it, Franzblau and Kleitman found the
algorithm; `generators` follows D. E. Knuth, "Irredundant Intervals"
(https://arxiv.org/abs/math/9606232), which has the proofs.

Ranges of protocols take part: all bands stand on one line, and an interval on it is a rule where it
lies within one protocol or is made of whole ones. Where two such intervals overlap, what they share
is one too, and `generators` makes its intervals by overlaps only.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from functools import reduce
from itertools import pairwise
from typing import NamedTuple

from cloudsync.rules.canonical import Band, Region, in_full
from cloudsync.rules.networks import NOWHERE, Interval, NetworkSet
from cloudsync.rules.protocols import full_selector


def fewest(regions: Iterable[Region]) -> Iterator[Region]:
    """Regions of one band each, their number the smallest possible, whose union is that of
    canonical `regions`; in order.

    Where overlapping saves nothing, they are the canonical bands.
    """
    for chain in _chains(_runs(regions)):
        single = [Region(run.low, run.high, (band,)) for run in chain for band in run.bands]
        wanted = _wanted(chain) if len(single) > 2 else {}
        chosen = generators(wanted)
        if chosen and len(chosen) < len(single):
            yield from (
                _over(single[first], single[last], who)
                for (first, last), who in _reach(chosen, wanted)
            )
        else:
            yield from single


def generators(family: Iterable[Interval]) -> list[Interval]:
    """A smallest set of intervals such that each of `family` (inclusive, from 0 on) is a union of
    some of them; sorted.

    An interval is bad where each of its points lies in two or more members that lie inside it. A
    minimal bad one is fixed by putting the overlaps of neighbours among its maximal members in
    their place: one fewer, and they still generate all. Nothing good becomes bad by that, so one
    pass over the right ends is enough. O((m + n)^2) for m members over n points, near linear where
    few end together.
    """
    starting: dict[int, set[int]] = defaultdict(set)
    ending: Counter[int] = Counter()

    def add(first: int, last: int) -> None:
        starting[first].add(last)
        ending[last] += 1

    def remove(first: int, last: int) -> None:
        starting[first].remove(last)
        ending[last] -= 1

    for member in set(family):
        add(*member)
    for end in range(max(ending, default=-1) + 1):
        while ending[end] > 1 and (start := _bad_start(starting, end)) is not None:
            maximal = _maximal(starting, start, end)
            for member in maximal:
                remove(*member)
            for (_, last), (first, _) in pairwise(maximal):
                add(first, last)
    return sorted((first, last) for first, ends in starting.items() for last in ends)


def _bad_start(starting: dict[int, set[int]], end: int) -> int | None:
    """The largest start that makes start..`end` bad; None where no start does."""
    cover: Counter[int] = Counter()
    thin: list[int] = []  # the points in fewer than two members, the smallest at the end
    for start in range(end, -1, -1):
        thin.append(start)
        for last in starting.get(start, ()):
            if last > end:
                continue
            still_thin: list[int] = []
            while thin and thin[-1] <= last:
                point = thin.pop()
                cover[point] += 1
                if cover[point] < 2:
                    still_thin.append(point)
            thin += reversed(still_thin)
        if not thin:
            return start
    return None


def _maximal(starting: dict[int, set[int]], start: int, end: int) -> list[Interval]:
    """The members inside start..end that lie in no other of those."""
    maximal: list[Interval] = []
    reached = start - 1
    for first in range(start, end + 1):
        last = max((last for last in starting.get(first, ()) if last <= end), default=reached)
        if last > reached:
            maximal.append((first, last))
            reached = last
    return maximal


class _Run(NamedTuple):
    """Bands of one region that touch, each sharing some sources with the next. `common`: who has
    all of the region by them."""

    low: int
    high: int
    bands: tuple[Band, ...]
    common: NetworkSet


def _runs(regions: Iterable[Region]) -> Iterator[_Run]:
    for low, high, bands in regions:
        cuts = [
            i
            for i, (a, b) in enumerate(pairwise(bands), 1)
            if a.last + 1 < b.first or not a.sources & b.sources
        ]
        for begin, after in pairwise((0, *cuts, len(bands))):
            connected = bands[begin:after]
            whole = (connected[0].first, connected[-1].last) == full_selector(low, high)
            yield _Run(
                low,
                high,
                connected,
                reduce(NetworkSet.__and__, (band.sources for band in connected))
                if whole
                else NOWHERE,
            )


def _chains(runs: Iterable[_Run]) -> Iterator[list[_Run]]:
    """Runs cut wherever no rule can reach from one to the next, so that each chain is a question of
    its own."""
    chain: list[_Run] = []
    for run in runs:
        if chain and not (chain[-1].high + 1 == run.low and chain[-1].common & run.common):
            yield chain
            chain = []
        chain.append(run)
    if chain:
        yield chain


def _wanted(chain: Sequence[_Run]) -> dict[Interval, list[NetworkSet]]:
    """The maximal intervals of every address, over the bands of a chain counted from 0, and whose
    they are."""
    wanted: dict[Interval, list[NetworkSet]] = defaultdict(list)
    for view, addresses in _views([band.sources for run in chain for band in run.bands]).items():
        for interval in _intervals(view, chain):
            wanted[interval].append(addresses)
    return wanted


def _views(sets: Sequence[NetworkSet]) -> dict[int, NetworkSet]:
    """The addresses by the sets that hold them, as bits (the first set is bit 0); addresses in none
    are left out."""
    pieces: dict[int, list[NetworkSet]] = defaultdict(list)
    for family in (4, 6):
        toggles: Counter[int] = Counter()
        for number, intervals in enumerate(s.v4 if family == 4 else s.v6 for s in sets):
            for first, last in intervals:
                toggles[first] ^= 1 << number
                toggles[last + 1] ^= 1 << number
        view = 0
        for address, after in pairwise(sorted(toggles)):
            view ^= toggles[address]
            if view:
                piece = ((address, after - 1),)
                pieces[view].append(NetworkSet(v4=piece) if family == 4 else NetworkSet(v6=piece))
    return {view: NetworkSet.union(parts) for view, parts in pieces.items()}


def _intervals(view: int, chain: Sequence[_Run]) -> Iterator[Interval]:
    """The maximal intervals of bits that are set and are rules: within one run, or made of whole
    runs."""
    whole_from: int | None = None
    at = 0
    for run in chain:
        after = at + len(run.bands)
        bits = view >> at & (1 << len(run.bands)) - 1
        if bits.bit_count() == len(run.bands):
            whole_from = at if whole_from is None else whole_from
        else:
            if whole_from is not None:
                yield whole_from, at - 1
                whole_from = None
            while bits:
                zeros = (bits & -bits).bit_length() - 1
                bits >>= zeros
                ones = (~bits & bits + 1).bit_length() - 1
                bits >>= ones
                at += zeros + ones
                yield at - ones, at - 1
        at = after
    if whole_from is not None:
        yield whole_from, at - 1


def _reach(
    chosen: list[Interval], wanted: dict[Interval, list[NetworkSet]]
) -> Iterator[tuple[Interval, NetworkSet]]:
    """Each of the chosen intervals (sorted) with everybody who wants all of it."""
    reach: dict[Interval, list[NetworkSet]] = {interval: [] for interval in chosen}
    for (first, last), addresses in wanted.items():
        for interval in chosen[
            bisect_left(chosen, (first, first)) : bisect_right(chosen, (last, last))
        ]:
            if interval[1] <= last:
                reach[interval] += addresses
    return ((interval, NetworkSet.union(addresses)) for interval, addresses in reach.items())


def _over(begin: Region, end: Region, sources: NetworkSet) -> Region:
    """The one-band region that reaches from one to another."""
    if begin.low == end.low:
        return Region(
            begin.low, begin.high, (Band(begin.bands[0].first, end.bands[0].last, sources),)
        )
    return in_full(begin.low, end.high, sources)
