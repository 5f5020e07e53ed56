"""Rules and rule sets: protocol x port range x source networks, with exact set algebra.

Every protocol has one dimension beside its sources, the *selector*, an inclusive interval of integers:

| protocol                      | selector                                  | text                                   |
|-------------------------------|-------------------------------------------|----------------------------------------|
| tcp, udp, sctp, dccp, udplite | ports 1..65535                            | `443`, `8000-8010`, `1-65535` for all  |
| icmp, icmpv6                  | type * 256 + code, 0..65535               | `` for all, `8` type 8, `8/0` one code |
| every other number            | the one point 0                           | ``                                     |

Protocols are IANA numbers 0..255 (a closed universe, so `all` minus tcp is exact). A rule speaks for an inclusive
range of protocol numbers, nearly always one; a range of several always has the full selector.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from cloudsync.networks import NetworkSet


@dataclass(frozen=True, slots=True)
class Rule:
    """What one rule lets in. `protocol` is canonical text: a name (`tcp`, `icmpv6`, `esp`, ...), a number
    without a common name (`143`), a range of numbers (`7-255`) or `all` (0-255).

    `first` and `last` bound the selector (see the module's table), both inclusive.
    """

    protocol: str
    first: int
    last: int
    sources: NetworkSet

    @classmethod
    def of(cls, protocol: str, ports: str, sources: NetworkSet | Iterable[str]) -> Rule:
        """From text in the module's table; `ports` also `""` for everything. Raises `ValueError` that says what is wrong."""
        raise NotImplementedError

    @property
    def ports(self) -> str:
        """The selector as text: `443`, `8000-8010`, `1-65535`; `""` for protocols without ports and for all ICMP types."""
        raise NotImplementedError

    @property
    def has_ports(self) -> bool:
        """Whether the protocol has ports (tcp, udp, sctp, dccp, udplite)."""
        raise NotImplementedError

    def __str__(self) -> str:
        """`tcp/443 from 0.0.0.0/0, ::/0`; `icmp from any4`-like forms are not abbreviated."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class RuleSet:
    """A set of (protocol, selector, address) points in its one canonical form. Equality is equality of meaning; hashable."""

    # canonical inside, chosen by the implementation

    @classmethod
    def of(cls, rules: Iterable[Rule]) -> RuleSet:
        raise NotImplementedError

    def __bool__(self) -> bool:
        raise NotImplementedError

    def __or__(self, other: RuleSet) -> RuleSet:
        raise NotImplementedError

    def __and__(self, other: RuleSet) -> RuleSet:
        raise NotImplementedError

    def __sub__(self, other: RuleSet) -> RuleSet:
        raise NotImplementedError

    def covers(self, other: RuleSet) -> bool:
        raise NotImplementedError

    def __iter__(self) -> Iterator[Rule]:
        """The canonical rules: per protocol the maximal port intervals with an equal source set, disjoint, ordered by
        protocol number and port (tcp and udp sort by number as every other). Protocols that are open in full to the same
        sources and consecutive are one range rule, `all` where it is all of them."""
        raise NotImplementedError

    def fewest(self) -> tuple[Rule, ...]:
        """The fewest rules (one interval, one source set each) whose union is this set; they may overlap, they never bridge a gap.

        Ordered, deterministic. Equal in meaning: `RuleSet.of(s.fewest()) == s`.
        """
        raise NotImplementedError

    def where(self, sources: NetworkSet) -> RuleSet:
        """The part whose sources lie in `sources`, for every protocol."""
        raise NotImplementedError

    def of_protocols(self, *protocols: str) -> RuleSet:
        """The part of the named protocols only."""
        raise NotImplementedError


NOTHING = RuleSet()
