"""A machine behind two walls, its cloud's firewalls and its own kernel: what only one of them lets
in. It is reachable through neither, and where the configuration wants it that is an outage."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from cloudsync.model.plan import Halted
from cloudsync.planning.exposure import exposure_of, sendable
from cloudsync.provider.contract import Present
from cloudsync.rules import NOTHING, RuleSet

if TYPE_CHECKING:
    from cloudsync.planning.decide import Considered
    from cloudsync.provider.machines import ObservedMachine

CLOUD, KERNEL = "the cloud", "the machine's own firewall"


def halted_now(outer: ObservedMachine, inner: ObservedMachine) -> tuple[Halted, ...]:
    """What only one of the two walls lets in; nothing while one of them is not there."""
    cloud, kernel = exposure_of(outer), exposure_of(inner)
    if not (cloud.protected and kernel.protected):
        return ()
    return _apart(outer, cloud.rules, kernel.rules, NOTHING)


def halted_after(
    outer: ObservedMachine,
    inner: ObservedMachine,
    considered: Iterable[Considered],
    wanted: RuleSet,
) -> tuple[Halted, ...]:
    """The same once the plan is applied. `wanted`: what the configuration wants on the machine."""
    judged = tuple(considered)
    cloud, kernel = _after(outer, judged), _after(inner, judged)
    if cloud is None or kernel is None:
        return ()
    return _apart(outer, cloud, kernel, wanted)


def _apart(
    outer: ObservedMachine, cloud: RuleSet, kernel: RuleSet, wanted: RuleSet
) -> tuple[Halted, ...]:
    # A kernel lets IPv6 in on a machine that has none.
    arriving = kernel & sendable(outer)
    return tuple(
        Halted(rule, let_in_by, stopped_by, needed=bool(RuleSet.of((rule,)) & wanted))
        for rules, let_in_by, stopped_by in (
            (cloud - kernel, CLOUD, KERNEL),
            (arriving - cloud, KERNEL, CLOUD),
        )
        for rule in rules
    )


def _after(wall: ObservedMachine, considered: Iterable[Considered]) -> RuleSet | None:
    """What a wall will let in; None where it will stop nothing."""
    now = exposure_of(wall)
    acting = [
        judged
        for judged in considered
        if judged.plan.name in wall.concerns and judged.steps and not judged.withheld
    ]
    if not (now.protected or any(judged.target.attach for judged in acting)):
        return None
    rules = now.rules if now.protected else NOTHING
    for judged in acting:
        before = judged.observed.rules if isinstance(judged.observed, Present) else NOTHING
        rules = (rules - (before - judged.target.rules)) | judged.target.rules
    return rules
