"""Sets of IPv4 and IPv6 addresses, exact and with one canonical form.

A `NetworkSet` is what a firewall rule calls its *sources*. Two sets that mean the same addresses
are equal, however they were spelled: `10.0.0.0/9` plus `10.128.0.0/9` is `10.0.0.0/8`. IPv4 and
IPv6 are kept apart; `::ffff:0:0/96` is IPv6.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import field
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from operator import itemgetter
from typing import Literal

from cloudsync.rules.frozen import dataclass

Family = Literal[4, 6]
Interval = tuple[int, int]
Intervals = tuple[Interval, ...]

_BITS: dict[Family, int] = {4: 32, 6: 128}
_first = itemgetter(0)
_PREFIX_LENGTH = re.compile(r"0|[1-9][0-9]{0,2}", re.ASCII)


@dataclass(frozen=True, slots=True)
class NetworkSet:
    """Addresses as sorted, disjoint, non-adjacent inclusive integer intervals, one tuple a family.

    `of` and the operators keep that form; code that fills in the fields itself has to.
    """

    v4: Intervals = ()
    v6: Intervals = ()
    spelled: tuple[str, ...] = field(default=(), compare=False, repr=False)
    """The networks as a person listed them, if that is known: not part of what the set is, and lost
    where a set is cut. See `written`."""

    @classmethod
    def of(cls, networks: Iterable[str]) -> NetworkSet:
        """The union of CIDRs, bare addresses and the words `any`, `any4`, `any6`.

        Raises `ValueError` naming the word for anything else, host bits in a CIDR and zone ids
        included.
        """
        v4: list[Interval] = []
        v6: list[Interval] = []
        listed: list[IPv4Network | IPv6Network] = []
        for word in networks:
            if word in _WORDS:
                v4 += _WORDS[word].v4
                v6 += _WORDS[word].v6
                continue
            network = _parse(word)
            listed.append(network)
            interval = (int(network.network_address), int(network.broadcast_address))
            (v4 if network.version == 4 else v6).append(interval)
        united = len(listed) > 1 and len(listed) == len(v4) + len(v6)
        return cls(_joined(v4), _joined(v6), _outermost(listed) if united else ())

    @classmethod
    def union(cls, sets: Iterable[NetworkSet]) -> NetworkSet:
        """The union of many sets, in one pass (`|` pair by pair would be quadratic)."""
        distinct = list(sets)
        if len(distinct) == 1:
            return distinct[0]
        if ANY in distinct:
            return ANY
        whole = cls(
            _joined([interval for networks in distinct for interval in networks.v4]),
            _joined([interval for networks in distinct for interval in networks.v6]),
            _spelled_together(distinct),
        )
        # Most rules are open to everybody: the very same set is compared in no time.
        return ANY if whole == ANY and not whole.spelled else whole

    def __bool__(self) -> bool:
        return bool(self.v4 or self.v6)

    def __or__(self, other: NetworkSet) -> NetworkSet:
        if not other or self == other:
            return self
        if not self:
            return other
        return NetworkSet.union((self, other))

    def __and__(self, other: NetworkSet) -> NetworkSet:
        if self == other:
            return self
        common = NetworkSet(_common(self.v4, other.v4), _common(self.v6, other.v6))
        # What was not cut is the same set, and keeps its spelling.
        return self if common == self else other if common == other else common

    def __sub__(self, other: NetworkSet) -> NetworkSet:
        if not other:
            return self
        if self == other:
            return NOWHERE
        rest = NetworkSet(_without(self.v4, other.v4), _without(self.v6, other.v6))
        return self if rest == self else rest

    def covers(self, other: NetworkSet) -> bool:
        """Whether every address of `other` is in this set."""
        return not other - self

    def overlaps(self, other: NetworkSet) -> bool:
        """Whether they have an address in common; of a few networks and thousands, only the few are
        gone through."""
        return _meet(self.v4, other.v4) or _meet(self.v6, other.v6)

    def family(self, family: Family) -> NetworkSet:
        """Only the IPv4 (4) or the IPv6 (6) part."""
        spelled = tuple(cidr for cidr in self.spelled if (":" in cidr) == (family == 6))
        if family == 4:
            return NetworkSet(v4=self.v4, spelled=spelled)
        return NetworkSet(v6=self.v6, spelled=spelled)

    def cidrs(self) -> tuple[str, ...]:
        """The fewest CIDRs, IPv4 before IPv6, in numeric order, IPv6 as in RFC 5952."""
        return _cidrs(self.v4, self.v6)

    def written(self) -> tuple[str, ...]:
        """The networks as a person would write them into a rule: as they were listed, if that is
        known, in the order of `cidrs`; else the fewest."""
        return self.spelled or self.cidrs()

    def shortest_prefix(self, family: Family) -> int | None:
        """The length of the largest network in `cidrs()` of that family; None if the family is
        empty."""
        intervals = self.v4 if family == 4 else self.v6
        return min((length for _, length in _blocks(intervals, _BITS[family])), default=None)


NOWHERE = NetworkSet()
ANY4 = NetworkSet(v4=((0, 2**32 - 1),))
ANY6 = NetworkSet(v6=((0, 2**128 - 1),))
ANY = NetworkSet(v4=ANY4.v4, v6=ANY6.v6)

_WORDS = {"any": ANY, "any4": ANY4, "any6": ANY6}


def is_loopback(host: str | None) -> bool:
    """Whether the host of a URL is certainly this machine, so that nothing on the way can listen:
    `localhost`, 127.0.0.0/8 or ::1.

    False for no host, and for every other name, whatever it resolves to.
    """
    try:
        return host == "localhost" or ip_address(host or "").is_loopback
    except ValueError:
        return False


@lru_cache(maxsize=16384)
def _parse(word: str) -> IPv4Network | IPv6Network:
    """A CIDR or an address, strictly: `ipaddress` alone would let netmasks, hostmasks, leading
    zeros and zone ids pass. Once a run for each: the rules of a fleet name the same ones again and
    again, in the state and at the vendor too."""
    address, slash, length = word.partition("/")
    if "%" in word:
        raise ValueError(f"{word!r} has a zone id, which means nothing to a firewall")
    if slash and not _PREFIX_LENGTH.fullmatch(length):
        raise ValueError(
            f"{word!r} is not a network: after the slash comes the prefix length, "
            "as in 192.0.2.0/24"
        )
    try:
        network = ip_network(word, strict=False)
    except ValueError:
        raise ValueError(
            f"{word!r} is neither a network (192.0.2.0/24, 2001:db8::/32) nor any, any4, any6"
        ) from None
    if slash and int(ip_address(address)) != int(network.network_address):
        raise ValueError(
            f"{word!r} has host bits set; the network is {network}, "
            f"the single address {ip_address(address)}"
        )
    return network


def _outermost(networks: Iterable[IPv4Network | IPv6Network]) -> tuple[str, ...]:
    """Without those that lie in another, IPv4 before IPv6, in numeric order."""
    outermost: list[IPv4Network | IPv6Network] = []
    in_order = sorted(
        set(networks),
        key=lambda network: (network.version, int(network.network_address), network.prefixlen),
    )
    for network in in_order:
        last = outermost[-1] if outermost else None
        if (
            last is None
            or last.version != network.version
            or int(network.network_address) > int(last.broadcast_address)
        ):
            outermost.append(network)
    return tuple(_text(network) for network in outermost)


def _text(network: IPv4Network | IPv6Network) -> str:
    if network.version == 4:
        return str(network)
    return f"{_v6_text(int(network.network_address))}/{network.prefixlen}"


def _spelled_together(sets: Iterable[NetworkSet]) -> tuple[str, ...]:
    """The spelling of a union; () if it is that of none of them."""
    listed = [networks for networks in sets if networks]
    if not any(networks.spelled for networks in listed):
        return ()
    return _outermost(_parse(cidr) for networks in listed for cidr in networks.written())


def _joined(intervals: list[Interval]) -> Intervals:
    """The union of intervals in any order: sorted, overlapping and touching ones merged."""
    if len(intervals) < 2:
        return tuple(intervals)
    intervals.sort()
    merged: list[Interval] = []
    first, last = intervals[0]
    for next_first, next_last in intervals:
        if next_first > last + 1:
            merged.append((first, last))
            first, last = next_first, next_last
        elif next_last > last:
            last = next_last
    merged.append((first, last))
    return tuple(merged)


def _reaching(intervals: Intervals, address: int, start: int = 0) -> int:
    """Where the first interval is that ends at `address` or behind it. `start`: the same of a lower
    address. Looked up, so that a few networks among thousands cost next to nothing."""
    at = bisect_right(intervals, address, lo=start, key=_first)
    return at - 1 if at > start and intervals[at - 1][1] >= address else at


def _common(a: Intervals, b: Intervals) -> Intervals:
    few, many = sorted((a, b), key=len)
    common: list[Interval] = []
    at = 0
    for first, last in few:
        at = _reaching(many, first, at)
        while at < len(many) and many[at][0] <= last:
            common.append((max(first, many[at][0]), min(last, many[at][1])))
            if many[at][1] > last:
                break  # it reaches the next one, too
            at += 1
    return tuple(common)


def _meet(a: Intervals, b: Intervals) -> bool:
    few, many = sorted((a, b), key=len)
    for first, last in few:
        at = _reaching(many, first)
        if at < len(many) and many[at][0] <= last:
            return True
    return False


def _without(a: Intervals, b: Intervals) -> Intervals:
    left: list[Interval] = []
    j = 0
    for first, last in a:
        j = k = _reaching(b, first, j)
        while k < len(b) and b[k][0] <= last:
            if first < b[k][0]:
                left.append((first, b[k][0] - 1))
            first = b[k][1] + 1
            k += 1
        if first <= last:
            left.append((first, last))
    return tuple(left)


def _blocks(intervals: Intervals, bits: int) -> Iterator[tuple[int, int]]:
    """The fewest aligned power-of-two blocks, as (first address, prefix length)."""
    for first, last in intervals:
        at = first
        while at <= last:
            alignment = (at & -at).bit_length() - 1 if at else bits
            size = min(alignment, (last - at + 1).bit_length() - 1)
            yield at, bits - size
            at += 1 << size


@lru_cache(maxsize=1024)
def _cidrs(v4: Intervals, v6: Intervals) -> tuple[str, ...]:
    """Most rules of a firewall have the sources of another."""
    return (
        *(f"{IPv4Address(address)}/{length}" for address, length in _blocks(v4, _BITS[4])),
        *(f"{_v6_text(address)}/{length}" for address, length in _blocks(v6, _BITS[6])),
    )


def _v6_text(address: int) -> str:
    """RFC 5952, section 5 included (`::ffff:192.0.2.1`), which `ipaddress` itself does from Python
    3.13 on only."""
    if address >> 32 == 0xFFFF:
        return f"::ffff:{IPv4Address(address & 0xFFFFFFFF)}"
    return str(IPv6Address(address))
