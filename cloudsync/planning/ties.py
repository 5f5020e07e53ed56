"""Which firewalls must be decided together, so that each is decided as if all were. Pure.

Two firewalls are tied if

| they share                         | since then                                            |
|------------------------------------|-------------------------------------------------------|
| a host                             | what the host needs is asked of both                  |
| a machine that they act on         | what one wants there is not exposure beyond the other |
| the identity or the id at a vendor | they are one firewall, which is refused               |

and so on from firewall to firewall. Where the machines of a firewall are not known although they
were asked for, it is tied to all firewalls of its account.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from cloudsync.model.plan import FirewallPlan, Plan
from cloudsync.rules.frozen import dataclass

_Knot = tuple[str, ...]
"""Something that ties the firewalls which have it."""


@dataclass(frozen=True, slots=True)
class Ties:
    """The firewalls of one plan by what ties them."""

    groups: Mapping[str, frozenset[str]]
    """By firewall, it and all that are tied to it."""
    by_host: Mapping[str, frozenset[str]]
    """By host, the firewalls that it feeds."""
    hosts: Mapping[str, tuple[str, ...]]
    """By firewall, the hosts that feed it."""

    def affected(self, hosts: Iterable[str]) -> frozenset[str] | None:
        """The firewalls to decide when these hosts may need something else than before; None if
        that cannot be said of a host: it is new, or feeds no firewall."""
        firewalls: set[str] = set()
        for host in hosts:
            names = self.by_host.get(host)
            if not names:
                return None
            for name in names:
                firewalls |= self.groups[name]
        return frozenset(firewalls)

    def feeding(self, firewalls: Iterable[str]) -> frozenset[str]:
        """The hosts that feed any of these firewalls."""
        return frozenset(host for name in firewalls for host in self.hosts[name])


def ties_of(plan: Plan) -> Ties:
    """The ties of a plan of all firewalls."""
    by_knot: dict[_Knot, list[str]] = {}
    knots = {firewall.name: tuple(_knots(firewall)) for firewall in plan.firewalls}
    unseen = {firewall.provider for firewall in plan.firewalls if _machines_unknown(firewall)}
    for firewall in plan.firewalls:
        if firewall.provider in unseen:
            knots[firewall.name] += (("account", firewall.provider),)
        for knot in knots[firewall.name]:
            by_knot.setdefault(knot, []).append(firewall.name)
    groups: dict[str, frozenset[str]] = {}
    for name in knots:
        if name not in groups:
            group = _reached(name, knots, by_knot)
            groups.update(dict.fromkeys(group, group))
    by_host: dict[str, set[str]] = {}
    for firewall in plan.firewalls:
        for host in firewall.hosts:
            by_host.setdefault(host, set()).add(firewall.name)
    return Ties(
        groups,
        {host: frozenset(names) for host, names in by_host.items()},
        {firewall.name: firewall.hosts for firewall in plan.firewalls},
    )


def _knots(firewall: FirewallPlan) -> Iterable[_Knot]:
    yield from (("host", host) for host in firewall.hosts)
    yield from (
        ("machine", firewall.provider, machine.target) for machine in firewall.standing.machines
    )
    if firewall.identity:
        yield ("identity", firewall.type, firewall.endpoint, firewall.identity)
    if firewall.id is not None:
        yield ("id", firewall.type, firewall.endpoint, firewall.id)


def _machines_unknown(firewall: FirewallPlan) -> bool:
    read = firewall.standing.read
    return read is not None and read.status != "complete"


def _reached(
    first: str, knots: Mapping[str, tuple[_Knot, ...]], by_knot: Mapping[_Knot, list[str]]
) -> frozenset[str]:
    """Everything tied to a firewall. Each knot is followed once."""
    names, ahead, followed = {first}, [first], set[_Knot]()
    while ahead:
        for knot in knots[ahead.pop()]:
            if knot not in followed:
                followed.add(knot)
                fresh = [name for name in by_knot[knot] if name not in names]
                names.update(fresh)
                ahead += fresh
    return frozenset(names)
