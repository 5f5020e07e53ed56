"""The machines behind the firewalls: read beside them, and what each plan says of them.

Exposure is told, it changes nothing: where it cannot be read the plan goes on and says so (unknown
is not empty). Only `policy.foreign = "fail"` makes a guard of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
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
    found = []
    for judged in considered:
        account = judged.account.name
        fleet = seen.get(account, Seen()).fleet
        standing = Standing()
        if isinstance(fleet, Unreadable):
            standing = Standing(
                ReadStatus("failed", fleet.error.message, temporary=fleet.error.temporary)
            )
        elif fleet is not None:
            beside = [other for other in considered if other.account.name == account]
            standing = _settled(_standing(judged.plan.name, fleet, beside), judged, keep)
        found.append(replace(judged, plan=replace(judged.plan, standing=standing)))
    return tuple(found)


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


def _standing(name: str, fleet: Fleet, beside: Sequence[Considered]) -> Standing:
    """`beside`: all firewalls of the account that are looked at in this run; what any of them wants
    on a machine is wanted there."""
    strangers = {
        one.plan.name for one in beside if any(guard.id == "foreign-owner" for guard in one.guards)
    }

    def ours(firewall: ActingFirewall) -> bool:
        return firewall.of is not None and firewall.of not in strangers

    machines = tuple(
        _exposed(name, machine, ours, [one for one in beside if one.plan.name in machine.concerns])
        for machine in sorted(fleet.machines, key=lambda one: (one.name, one.id))
        if name in machine.concerns
    )
    return Standing(ReadStatus("complete"), machines, name in fleet.unattached, fleet.not_evaluated)


def _exposed(
    name: str,
    machine: ObservedMachine,
    ours: Callable[[ActingFirewall], bool],
    concerned: Iterable[Considered],
) -> MachineExposure:
    from cloudsync.planning.exposure import beyond, exposure_of

    exposure = exposure_of(machine)
    # A firewall that waits for a host, or for the user's word, wants no less for it.
    wanted = RuleSet.of(
        rule
        for one in concerned
        for part in (one.target.rules, one.desired.rules if one.desired is not None else NOTHING)
        for rule in part
    )
    acting = dict.fromkeys(
        firewall for interface in machine.interfaces for firewall in interface.firewalls
    )
    return MachineExposure(
        machine=machine.name,
        target=machine.target,
        protected=exposure.protected,
        attached=any(firewall.of == name for firewall in acting),
        beyond=beyond(exposure, wanted, ours),
        reachable=tuple(exposure.rules),
        addresses=tuple(
            dict.fromkeys(
                address for interface in machine.interfaces for address in interface.addresses
            )
        ),
        firewalls=tuple(str(firewall) for firewall in acting),
        pending=machine.pending,
        unknown=machine.unknown,
        kept=machine.kept,
    )


def _attaching(one: Considered) -> frozenset[str]:
    """Targets of the machines that come under the firewall by this plan."""
    return frozenset(
        machine.target for attachment in one.target.attach for machine in attachment.newly_covered
    )
