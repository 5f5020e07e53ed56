"""Sets of IPv4 and IPv6 addresses, exact and with one canonical form.

A `NetworkSet` is what a firewall rule calls its *sources*. Two sets that mean the same addresses are equal, however they were
spelled: `10.0.0.0/9` plus `10.128.0.0/9` is `10.0.0.0/8`. IPv4 and IPv6 are kept apart; `::ffff:0:0/96` is IPv6.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Family = Literal[4, 6]
Interval = tuple[int, int]


@dataclass(frozen=True, slots=True)
class NetworkSet:
    """Addresses as sorted, disjoint, non-adjacent inclusive integer intervals, one tuple a family."""

    v4: tuple[Interval, ...] = ()
    v6: tuple[Interval, ...] = ()

    @classmethod
    def of(cls, networks: Iterable[str]) -> NetworkSet:
        """The union of CIDRs, bare addresses and the words `any`, `any4`, `any6`.

        Raises `ValueError` naming the word for anything else, host bits in a CIDR and zone ids included.
        """
        raise NotImplementedError

    def __bool__(self) -> bool:
        raise NotImplementedError

    def __or__(self, other: NetworkSet) -> NetworkSet:
        raise NotImplementedError

    def __and__(self, other: NetworkSet) -> NetworkSet:
        raise NotImplementedError

    def __sub__(self, other: NetworkSet) -> NetworkSet:
        raise NotImplementedError

    def covers(self, other: NetworkSet) -> bool:
        raise NotImplementedError

    def family(self, family: Family) -> NetworkSet:
        """Only the IPv4 (4) or the IPv6 (6) part."""
        raise NotImplementedError

    def cidrs(self) -> tuple[str, ...]:
        """The fewest CIDRs, IPv4 before IPv6, in numeric order, IPv6 as in RFC 5952."""
        raise NotImplementedError

    def shortest_prefix(self, family: Family) -> int | None:
        """The length of the largest network in `cidrs()` of that family; None where the family is empty."""
        raise NotImplementedError


NOWHERE = NetworkSet()
ANY4 = NetworkSet(v4=((0, 2**32 - 1),))
ANY6 = NetworkSet(v6=((0, 2**128 - 1),))
ANY = NetworkSet(v4=ANY4.v4, v6=ANY6.v6)
