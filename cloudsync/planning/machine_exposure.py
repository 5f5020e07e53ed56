"""The machines behind the firewalls: read beside them, and what each plan says of them.

Exposure is told, it changes nothing: where it cannot be read the plan goes on and says so (unknown
is not empty). Only `policy.foreign = "fail"` makes a guard of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from cloudsync.config.configuration import PolicySettings
from cloudsync.model.observed import Seen
from cloudsync.model.plan import (
    Guard,
    MachineExposure,
    ReadStatus,
    Standing,
)
from cloudsync.planning import guards
from cloudsync.planning.decide import Considered
from cloudsync.provider.contract import Unreadable
from cloudsync.rules import NOTHING, Rule, RuleSet
from cloudsync.rules.networks import ANY

if TYPE_CHECKING:
    from cloudsync.provider.machines import ActingFirewall, Fleet, ObservedMachine

_PINGS = RuleSet.of((Rule.of("icmp", "", ANY), Rule.of("icmpv6", "", ANY)))


def with_standings(
    considered: Sequence[Considered], seen: Mapping[str, Seen], policy: PolicySettings | None = None
) -> tuple[Considered, ...]:
    """The same firewalls, with what the Internet reaches on their machines. `seen`: by account.

    What the plan itself is about is not trouble: a machine that it attaches is not reported as
    open, and with `policy.icmp = "keep"` pings are not beyond what is wanted.
    """
    keep = _PINGS if policy is not None and policy.icmp == "keep" else NOTHING
    fleets = {
        account: answer.fleet
        for account, answer in seen.items()
        if answer.fleet is not None and not isinstance(answer.fleet, Unreadable)
    }
    machines = [machine for fleet in fleets.values() for machine in fleet.machines]
    walls = _Walls(considered, machines)
    standings = []
    for judged in considered:
        account = judged.account.name
        fleet = seen.get(account, Seen()).fleet
        standing = Standing()
        if isinstance(fleet, Unreadable):
            standing = Standing(
                ReadStatus("failed", fleet.error.message, temporary=fleet.error.temporary)
            )
        elif fleet is not None:
            standing = _standing(judged.plan.name, fleet, considered, walls)
            standing = _settled(standing, judged, keep)
        standings.append(replace(judged, plan=replace(judged.plan, standing=standing)))
    return tuple(standings)


class _Walls:
    """Which machines are one and the same, seen once by its cloud and once by its own kernel."""

    def __init__(
        self, considered: Sequence[Considered], machines: Sequence[ObservedMachine]
    ) -> None:
        self._hosts = {judged.plan.name: judged.spec.hosts for judged in considered}
        self._inner = {machine.name: machine for machine in machines if machine.inside}
        clouds = [machine for machine in machines if not machine.inside]
        self._behind = Counter(name for machine in clouds for name in machine.concerns)
        self._outer: dict[str, list[ObservedMachine]] = {}
        for machine in clouds:
            if (inner := self.inner(machine)) is not None:
                self._outer.setdefault(inner.name, []).append(machine)

    def inner(self, machine: ObservedMachine) -> ObservedMachine | None:
        """The kernel of a cloud's machine: it has the name of the host, or is the only one behind
        a firewall of one host."""
        alone = (
            self._hosts[name][0]
            for name in sorted(machine.concerns)
            if self._behind[name] == 1 and len(self._hosts.get(name, ())) == 1
        )
        names = () if machine.inside else (machine.name, *alone)
        return next((self._inner[name] for name in names if name in self._inner), None)

    def outer(self, machine: ObservedMachine) -> ObservedMachine | None:
        """The one machine of a cloud that this kernel is of."""
        clouds = self._outer.get(machine.name, ()) if machine.inside else ()
        return clouds[0] if len(clouds) == 1 else None


def foreign_guards(policy: PolicySettings, considered: Iterable[Considered]) -> dict[str, Guard]:
    """By firewall, the guard of `policy.foreign = "fail"` where it has something to say."""
    if policy.foreign != "fail":
        return {}
    keep = _PINGS if policy.icmp == "keep" else NOTHING
    guarded = {
        judged.plan.name: guards.foreign(
            judged.plan.name, judged.plan.standing, keep, _attaching(judged)
        )
        for judged in considered
    }
    return {name: guard for name, guard in guarded.items() if guard is not None}


def _settled(standing: Standing, judged: Considered, keep: RuleSet) -> Standing:
    """Without what this very plan changes, and what policy keeps."""
    coming = _attaching(judged)
    machines = []
    for machine in standing.machines:
        remaining = [
            opening
            for opening in machine.beyond
            if opening.firewall is not None or machine.target not in coming
        ]
        pings = [opening for opening in remaining if not RuleSet.of((opening.rule,)) - keep]
        kept = (f'{ping.rule} by {ping.through} (policy.icmp = "keep")' for ping in pings)
        machines.append(
            replace(
                machine,
                beyond=tuple(opening for opening in remaining if opening not in pings),
                kept=(*machine.kept, *kept),
            )
        )
    return replace(standing, machines=tuple(machines))


def _standing(name: str, fleet: Fleet, considered: Sequence[Considered], walls: _Walls) -> Standing:
    """`considered`: all firewalls that are looked at in this run; what any of them wants on a
    machine is wanted there."""
    machines = tuple(
        _exposed(name, machine, considered, walls)
        for machine in sorted(fleet.machines, key=lambda machine: (machine.name, machine.id))
        if name in machine.concerns
    )
    return Standing(ReadStatus("complete"), machines, name in fleet.unattached, fleet.not_evaluated)


def _exposed(
    name: str, machine: ObservedMachine, considered: Sequence[Considered], walls: _Walls
) -> MachineExposure:
    from cloudsync.planning.exposure import beyond, exposure_of
    from cloudsync.planning.two_walls import halted_after, halted_now

    strangers = {
        judged.plan.name
        for judged in considered
        if any(guard.id == "foreign-owner" for guard in judged.guards)
    }

    def ours(firewall: ActingFirewall) -> bool:
        return firewall.of is not None and firewall.of not in strangers

    outer, inner = walls.outer(machine) or machine, walls.inner(machine)
    inner = machine if outer is not machine else inner
    concerns = machine.concerns | outer.concerns | (inner.concerns if inner else frozenset())
    exposure = exposure_of(outer, inner)
    # A firewall that waits for a host, or for the user's word, wants no less for it.
    wanted = RuleSet.union(
        rules
        for judged in considered
        if judged.plan.name in concerns
        for rules in _wanted_by(judged)
    )
    acting = dict.fromkeys(
        firewall
        for wall in ((outer, inner) if inner is not None and inner is not outer else (outer,))
        for interface in wall.interfaces
        for firewall in interface.firewalls
    )
    addresses = (address for interface in outer.interfaces for address in interface.addresses)
    return MachineExposure(
        machine=machine.name,
        target=machine.target,
        protected=exposure.protected,
        attached=any(firewall.of == name for firewall in acting),
        beyond=beyond(exposure, wanted, ours),
        reachable=tuple(exposure.rules),
        addresses=tuple(dict.fromkeys(addresses)),
        firewalls=tuple(str(firewall) for firewall in acting),
        pending=machine.pending,
        unknown=machine.unknown,
        kept=machine.kept,
        metadata=outer.metadata,
        inside=machine.inside,
        halted=halted_now(outer, inner) if inner is not None and inner is not outer else (),
        halted_after=(
            halted_after(outer, inner, considered, wanted)
            if inner is not None and inner is not outer
            else ()
        ),
    )


def _wanted_by(considered: Considered) -> tuple[RuleSet, ...]:
    """What a firewall is to let in, and what is asked of it beyond that."""
    target, desired = considered.target.rules, considered.desired
    return (target,) if desired is None or desired.rules == target else (target, desired.rules)


def _attaching(considered: Considered) -> frozenset[str]:
    """Targets of the machines that come under the firewall by this plan."""
    return frozenset(
        machine.target
        for attachment in considered.target.attach
        for machine in attachment.newly_covered
    )
