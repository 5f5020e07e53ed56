"""Rules and rule sets: protocol x port range x source networks, with exact set algebra.

Every protocol has one dimension besides its sources, the *selector*, an inclusive interval of
integers:

| protocol                      | selector           | text                                  |
|-------------------------------|--------------------|---------------------------------------|
| tcp, udp, sctp, dccp, udplite | ports 1..65535     | `443`, `8000-8010`, `1-65535` for all |
| icmp, icmpv6                  | type * 256 + code, | `` for all, `8` type 8, `8/0` one     |
|                               | 0..65535           | code                                  |
| every other number            | the one point 0    | ``                                    |

Neighbouring ICMP types are an interval as ports are: `8-11`, and `3/4-5/0` where it does not fall
on whole types.

Protocols are IANA numbers 0..255 (a closed universe, so `all` minus tcp is exact). A rule speaks
for an inclusive range of protocol numbers, nearly always one; a range of several always has the
full selector, 0..65535.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import field
from functools import lru_cache
from operator import is_

from cloudsync.rules import protocols
from cloudsync.rules.canonical import (
    DIFFERENCE,
    INTERSECTION,
    UNION,
    Band,
    Region,
    Regions,
    combine,
    covers,
    united,
)
from cloudsync.rules.frozen import dataclass
from cloudsync.rules.minimize import fewest
from cloudsync.rules.networks import ANY, Interval, NetworkSet


@dataclass(frozen=True, slots=True)
class Rule:
    """What one rule lets in. `protocol` is canonical text: a name (`tcp`, `icmpv6`, `esp`, ...), a
    number without a common name (`143`), a range of numbers (`7-255`) or `all` (0-255).

    `first` and `last` bound the selector (see the module's table), both inclusive; a `ValueError`
    where the protocol has no such.
    """

    protocol: str
    first: int
    last: int
    sources: NetworkSet

    def __post_init__(self) -> None:
        low, high = self._numbers
        if self.protocol != protocols.name(low, high):
            raise ValueError(f"protocol {self.protocol!r} is written {protocols.name(low, high)!r}")
        bounds = protocols.full_selector(low, high)
        if not bounds[0] <= self.first <= self.last <= bounds[1] or (
            low < high and (self.first, self.last) != bounds
        ):
            raise ValueError(f"{self.protocol} has no selector {self.first}..{self.last}")

    @classmethod
    def of(cls, protocol: str, ports: str, sources: NetworkSet | Iterable[str]) -> Rule:
        """From text in the module's table; `ports` also `""` for everything. Raises `ValueError`
        that says what is wrong."""
        low, high = protocols.numbers(protocol)
        first, last = protocols.selector(low, high, ports)
        return cls(
            protocols.name(low, high),
            first,
            last,
            sources if isinstance(sources, NetworkSet) else NetworkSet.of(sources),
        )

    @property
    def ports(self) -> str:
        """The selector as text: `443`, `8000-8010`, `1-65535`; `""` for protocols without ports and
        for all ICMP types."""
        return protocols.selector_text(*self._numbers, self.first, self.last)

    @property
    def is_one_protocol(self) -> bool:
        """Whether it is about one protocol, and not a range of them (`all`)."""
        low, high = self._numbers
        return low == high

    @property
    def has_ports(self) -> bool:
        """Whether the protocol has ports (tcp, udp, sctp, dccp, udplite)."""
        return self.is_one_protocol and self._numbers[0] in protocols.WITH_PORTS

    @property
    def protocol_and_ports(self) -> str:
        """`tcp/443`, `udp/8000-8010`, `icmp`: the rule without its sources."""
        return f"{self.protocol}/{self.ports}" if self.ports else self.protocol

    def __str__(self) -> str:
        """`tcp/443 from 0.0.0.0/0, ::/0`; `icmp from any4`-like forms are not abbreviated."""
        return f"{self.protocol_and_ports} from {', '.join(self.sources.cidrs()) or 'nowhere'}"

    @property
    def _numbers(self) -> tuple[int, int]:
        return protocols.numbers(self.protocol)


@dataclass(frozen=True, slots=True)
class RuleSet:
    """A set of (protocol, selector, address) points in its one canonical form. Equality is equality
    of meaning; hashable.

    Made by `of` and the operators, which keep `regions` canonical.
    """

    regions: Regions = ()
    _listed: tuple[Rule, ...] | None = field(default=None, init=False, compare=False, repr=False)
    """The canonical rules, once somebody asked for them."""

    @classmethod
    def of(cls, rules: Iterable[Rule]) -> RuleSet:
        """The union of rules, in any order; O(n log n) for n rules, plus the size of the result."""
        listed = tuple(rules)
        if len(listed) == 1:
            return cls._alone(listed[0])
        by_protocols: dict[Interval, list[Band]] = {}
        for rule in listed:
            bands = by_protocols.setdefault(protocols.numbers(rule.protocol), [])
            bands.append(Band(rule.first, rule.last, rule.sources))
        return cls(united(by_protocols))

    @classmethod
    def union(cls, sets: Iterable[RuleSet]) -> RuleSet:
        """The union of many sets, in one pass (`|` one by one would be quadratic)."""
        listed = tuple(sets)
        return _union(_Same(listed)) if len(listed) > 1 else (*listed, NOTHING)[0]

    @classmethod
    def _alone(cls, rule: Rule) -> RuleSet:
        """A rule by itself, which is canonical as it is."""
        if not rule.sources:
            return NOTHING
        band = Band(rule.first, rule.last, rule.sources)
        rules = cls((Region(*protocols.numbers(rule.protocol), (band,)),))
        object.__setattr__(rules, "_listed", (rule,))
        return rules

    def __bool__(self) -> bool:
        return bool(self.regions)

    # Where nothing changes, most operations of a plan combine a set with itself or with nothing.

    def __or__(self, other: RuleSet) -> RuleSet:
        if not other or self == other:
            return self
        if not self:
            return other
        return RuleSet(combine(self.regions, other.regions, UNION))

    def __and__(self, other: RuleSet) -> RuleSet:
        if not self or self == other:
            return self
        if not other:
            return other
        return RuleSet(combine(self.regions, other.regions, INTERSECTION))

    def __sub__(self, other: RuleSet) -> RuleSet:
        if not self or not other:
            return self
        if self == other:
            return NOTHING
        return RuleSet(combine(self.regions, other.regions, DIFFERENCE))

    def covers(self, other: RuleSet) -> bool:
        """Whether every point of `other` is in this set."""
        return not other or self.regions == other.regions or covers(self.regions, other.regions)

    def __iter__(self) -> Iterator[Rule]:
        """The canonical rules: per protocol the maximal port intervals with an equal source set,
        disjoint, ordered by protocol number and port (tcp and udp sort by number as every other).
        Protocols that are open in full to the same sources and consecutive are one range rule,
        `all` where it is all of them."""
        if self._listed is None:
            object.__setattr__(self, "_listed", tuple(_rules(self.regions)))
        return iter(self._listed or ())

    def fewest(self) -> tuple[Rule, ...]:
        """The fewest rules (one interval, one source set each) whose union is this set; they may
        overlap, they never bridge a gap.

        The number is the smallest possible, ranges of protocols counted as one rule. Ordered,
        deterministic, and the canonical rules where overlap saves nothing. Equal in meaning:
        `RuleSet.of(s.fewest()) == s`.
        """
        return tuple(_rules(fewest(self.regions)))

    def where(self, sources: NetworkSet) -> RuleSet:
        """The part whose sources lie in `sources`, for every protocol."""
        return self & RuleSet.of((Rule.of("all", "", sources),))

    def everything_from(self) -> NetworkSet:
        """The sources that every protocol and every port is open to."""
        missing = RuleSet.of((Rule.of("all", "", ANY),)) - self
        return ANY - NetworkSet.union(rule.sources for rule in missing)

    def apart_from_everything(self, everything: NetworkSet) -> RuleSet:
        """What has to be said besides the rule that lets `everything`'s sources reach every
        protocol and port; all of them must be in this set. Where sources that overlap are fewer
        networks than their difference, they overlap: `0.0.0.0/0` is one network, all of it but
        203.0.113.0/24 is 24."""
        rest = self - RuleSet.of((Rule.of("all", "", everything),)) if everything else self

        def shorter(sources: NetworkSet) -> NetworkSet:
            both = sources | everything
            return both if len(both.cidrs()) < len(sources.cidrs()) else sources

        return RuleSet.of(Rule(r.protocol, r.first, r.last, shorter(r.sources)) for r in rest)

    def of_protocols(self, *protocols: str) -> RuleSet:
        """The part of the named protocols only."""
        return self & _all_of(protocols)


class _Same:
    """Several sets as a key: the very same objects, in the same order. Sets that are equal may have
    been spelled differently."""

    __slots__ = ("_hash", "sets")

    def __init__(self, sets: tuple[RuleSet, ...]) -> None:
        self.sets = sets
        self._hash = hash(tuple(map(id, sets)))

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, _Same)
            and len(self.sets) == len(other.sets)
            and all(map(is_, self.sets, other.sets))
        )


@lru_cache(maxsize=16)
def _union(several: _Same) -> RuleSet:
    """The stages of a plan unite the same rules again and again, and so does the next plan of
    `watch`. As long as the union is remembered its sets are, so that no id is another's."""
    by_protocols: dict[Interval, list[Band]] = {}
    for rules in several.sets:
        for low, high, bands in rules.regions:
            by_protocols.setdefault((low, high), []).extend(bands)
    return RuleSet(united(by_protocols))


@lru_cache(maxsize=64)
def _all_of(names: tuple[str, ...]) -> RuleSet:
    """Protocols in full. A provider that can say nearly all of them asks for the same 250 again and
    again."""
    return RuleSet.of(Rule.of(name, "", ANY) for name in names)


def _rules(regions: Iterable[Region]) -> Iterator[Rule]:
    for low, high, bands in regions:
        protocol = protocols.name(low, high)
        for first, last, sources in bands:
            yield Rule(protocol, first, last, sources)


NOTHING = RuleSet()
