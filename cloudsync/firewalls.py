"""One firewall considered: what it has, what it should have, the changes, the guards and the steps. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from cloudsync import guards
from cloudsync.changes import changes_of
from cloudsync.config.configuration import Configuration, Firewall
from cloudsync.holds import Holding, hold, withhold
from cloudsync.plan import FirewallPlan, Granted, Guard, ReadStatus, StepSummary
from cloudsync.policy import Desired, desire, unknown_hosts
from cloudsync.provider.contract import (
    Absent,
    Account,
    Description,
    FirewallSpec,
    Observation,
    Present,
    Refusal,
    Step,
    Target,
    Unreadable,
)
from cloudsync.rules import NOTHING, RuleSet
from cloudsync.sources.discovery import Discovery


@dataclass(frozen=True, slots=True)
class Considered:
    """One firewall's part of a plan, and what an apply needs to carry it out. `steps` are run unless `withheld`."""

    plan: FirewallPlan
    account: Account
    spec: FirewallSpec
    observed: Observation
    target: Target
    guards: tuple[Guard, ...] = ()
    steps: tuple[Step, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def withheld(self) -> bool:
        """Whether a guard withholds the whole firewall."""
        return any(guard.withholds == "firewall" for guard in self.guards)


def consider(
    configuration: Configuration,
    firewall: Firewall,
    account: Account,
    spec: FirewallSpec,
    observed: Observation,
    discoveries: Mapping[str, Discovery],
    last_ssh: RuleSet | None,
    granted: Granted,
    foreign: Guard | None = None,
) -> Considered:
    """Decide about one firewall. `last_ssh`: the SSH of the last applied plan, None where none is known. `foreign`: the guard of
    `policy.foreign = "fail"`, where other firewalls leave something open."""
    table = configuration.accounts[firewall.account]
    desired = desire(firewall, configuration, table.provider.capabilities, discoveries, _private(configuration, observed))
    empty = FirewallPlan(
        name=firewall.name,
        provider=table.name,
        type=table.type,
        endpoint=table.provider.endpoint(account),
        identity=table.provider.identity(spec),
        id=observed.id if isinstance(observed, Present) else None,
        exists=None if isinstance(observed, Unreadable) else isinstance(observed, Present),
        read=ReadStatus("complete"),
        hosts=firewall.hosts,
        refused=desired.refused,
    )
    nothing = Considered(empty, account, spec, observed, Target(spec, NOTHING), warnings=desired.warnings)
    if isinstance(observed, Unreadable):
        read = ReadStatus("failed", observed.error.message, temporary=observed.error.temporary)
        return replace(nothing, plan=replace(empty, read=read))

    unknown = unknown_hosts(firewall, discoveries)
    attach = tuple(attachment for attachment in observed.attachments if not attachment.attached)
    reapply = isinstance(observed, Present) and bool(observed.pending)
    warnings = desired.warnings
    if (why := _postponing(unknown, desired)) is not None and (attach or reapply):
        # Law 1: attaching counts as closing. What is unknown may be open on the machine and would be cut.
        what = ", ".join(a.target for a in attach) or "what is pending at the vendor"
        warnings = (*warnings, f"not put in force now: {what}, because {why}")
        if isinstance(observed, Absent):
            return replace(nothing, warnings=warnings)
        attach, reapply = (), False

    owner = guards.ownership(firewall.name, observed, spec.marker, granted)
    if owner is not None and owner.id == "foreign-owner":
        return replace(nothing, guards=(owner,), warnings=warnings)
    holding, closing_guard = _held(configuration, firewall, observed, desired, unknown, granted)
    if foreign is not None and isinstance(observed, Present):
        holding = withhold(holding, desired, observed, foreign.id, foreign.message)
    found = [owner, closing_guard, foreign, guards.attaching(firewall.name, attach, granted)]
    found.append(guards.ssh_moved(firewall.name, last_ssh, holding.closing, granted))
    adopt = guards.adopting(observed, spec.marker)
    changes = changes_of(observed, desired, holding, attach, adopt=adopt, reapply=reapply)
    before = observed.rules if isinstance(observed, Present) else NOTHING
    target = Target(
        spec=spec,
        rules=holding.final,
        ssh=desired.ssh,
        descriptions=tuple(Description(one.rules, one.description) for one in desired.wanted),
        attach=attach,
        marker=spec.marker if isinstance(observed, Absent) or adopt is not None else None,
        reapply=reapply,
    )
    steps = table.provider.plan_steps(observed, target) if changes else ()
    found.append(guards.unsupported(firewall.name, steps))
    steps = () if isinstance(steps, Refusal) else steps
    warnings = (*warnings, *(step.warning for step in steps if step.warning is not None))
    if steps:
        found.append(guards.lawful_steps(firewall.name, before, holding.final, desired.ssh, steps))
    refusals = tuple(guard for guard in found if guard is not None)
    plan = replace(
        empty,
        changes=changes,
        steps=tuple(StepSummary(step.summary, step.kind) for step in steps),
        unchanged=len(tuple(before & holding.final)),
        held=holding.held,
        kept=(*holding.kept, *_foreign(configuration, observed)),
    )
    return Considered(plan, account, spec, observed, target, refusals, steps, warnings)


def _held(
    configuration: Configuration,
    firewall: Firewall,
    observed: Present | Absent,
    desired: Desired,
    unknown: Mapping[str, str],
    granted: Granted,
) -> tuple[Holding, Guard | None]:
    present = observed if isinstance(observed, Present) else None
    holding = hold(present, desired, configuration.policy, unknown)
    guard = guards.max_close(firewall.name, holding.closing, configuration.policy.max_close, granted)
    if guard is None or present is None:
        return holding, None
    return withhold(holding, desired, present, guard.id, guard.message), guard


def _private(configuration: Configuration, observed: Observation) -> RuleSet:
    """What to let in from private networks: only a new firewall, unless the configuration manages private sources too."""
    if isinstance(observed, Unreadable) or (isinstance(observed, Present) and configuration.policy.private == "keep"):
        return NOTHING
    return observed.private


def _foreign(configuration: Configuration, observed: Present | Absent) -> tuple[str, ...]:
    return () if configuration.policy.foreign == "ignore" else tuple(one.summary for one in observed.foreign)


def _postponing(unknown: Mapping[str, str], desired: Desired) -> str | None:
    """Why nothing may be attached now; None where everything is known."""
    if unknown:
        return "; ".join(f"{host} was not read completely: {reason}" for host, reason in sorted(unknown.items()))
    if desired.doubtful is None or desired.doubtful:
        return "the labels of a container do not parse"
    return None
