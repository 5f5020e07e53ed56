"""One firewall considered: what it has, what it should have, the changes, the guards and the steps.
Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from cloudsync.config.configuration import Configuration, Firewall
from cloudsync.model.memory import Memory
from cloudsync.model.plan import (
    FirewallPlan,
    Granted,
    Guard,
    ReadStatus,
    StepSummary,
)
from cloudsync.model.ports import Discovery
from cloudsync.model.ssh_login import Login
from cloudsync.planning import guards
from cloudsync.planning.diff import changes_of
from cloudsync.planning.grace import Past, attributed, remembered, waits
from cloudsync.planning.holds import Holding, hold, withhold
from cloudsync.planning.policy import Desired, desire, unknown_hosts
from cloudsync.provider.contract import (
    Absent,
    Account,
    Description,
    FirewallSpec,
    Observation,
    OnMachine,
    Present,
    Refusal,
    Step,
    Target,
    Unreadable,
)
from cloudsync.rules import NOTHING, RuleSet


@dataclass(frozen=True, slots=True)
class Considered:
    """One firewall's part of a plan, and what an apply needs to carry it out. `steps` are run
    unless `withheld`. `desired`: what policy said, for those who ask why. `memory`: what an apply
    remembers of it from now on, None where it learnt nothing."""

    plan: FirewallPlan
    account: Account
    spec: FirewallSpec
    observed: Observation
    target: Target
    guards: tuple[Guard, ...] = ()
    steps: tuple[Step, ...] = ()
    warnings: tuple[str, ...] = ()
    desired: Desired | None = None
    memory: Memory | None = None

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
    past: Past,
    granted: Granted,
    login: Login | None = None,
    same: Sequence[str] = (),
    foreign: Guard | None = None,
) -> Considered:
    """Decide about one firewall. `login`: the SSH connection of the person who runs this. `same`:
    other firewalls of the configuration that turned out to be this one at the vendor. `foreign`:
    the guard of `policy.foreign = "fail"`, where other firewalls leave something open."""
    table = configuration.accounts[firewall.account]
    desired = desire(
        firewall,
        configuration,
        table.provider.capabilities,
        discoveries,
        _private(configuration, observed),
    )
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
    nothing = Considered(
        empty,
        account,
        spec,
        observed,
        Target(spec, NOTHING),
        warnings=desired.warnings,
        desired=desired,
    )
    if isinstance(observed, Unreadable):
        read = ReadStatus("failed", observed.error.message, temporary=observed.error.temporary)
        return replace(nothing, plan=replace(empty, read=read))

    unknown = unknown_hosts(firewall, discoveries)
    attach = tuple(attachment for attachment in observed.attachments if not attachment.attached)
    reapply = observed.pending if isinstance(observed, Present) else ()
    closing = tuple(one for one in reapply if not one.lifts)
    warnings = desired.warnings
    if (why := _postponing(unknown, desired)) is not None and (attach or closing):
        # Law 1: attaching counts as closing. What is unknown may be open on the machine and would
        # be cut.
        what = ", ".join(a.target for a in attach) or "what is pending at the vendor"
        warnings = (*warnings, f"not put in force now: {what}, because {why}")
        if isinstance(observed, Absent):
            return replace(nothing, warnings=warnings)
        attach, reapply, closing = (), tuple(one for one in reapply if one.lifts), ()

    owner = guards.ownership(firewall.name, observed, spec.marker, granted)
    if owner is not None and owner.id == "foreign-owner":
        return replace(nothing, guards=(owner,), warnings=warnings)
    known = _known(configuration, firewall, observed, desired, past)
    holding, closing_guards, notes = _held(
        configuration, firewall, observed, desired, unknown, past, known, granted
    )
    if foreign is not None and isinstance(observed, Present):
        holding = withhold(holding, desired, observed, foreign.id, foreign.message)
    before = observed.rules if isinstance(observed, Present) else NOTHING
    here = _is_here(configuration, firewall, spec)
    found = [owner, *closing_guards, foreign, guards.attaching(firewall.name, attach, granted)]
    found.append(
        guards.same_firewall(
            firewall.name, observed.id if isinstance(observed, Present) else "", same
        )
    )
    found.append(guards.ssh_moved(firewall.name, past.ssh, holding.closing, granted))
    found.append(
        guards.own_ssh(
            firewall.name, login, before, holding.final, attaches=bool(attach), here=here
        )
    )
    note = guards.own_ssh_elsewhere(login, before, holding.final, here=here)
    warnings = (*warnings, *notes, *((note,) if note is not None else ()))
    adopt = guards.adopting(observed, spec.marker)
    memory = None
    if owner is None:
        identity = table.provider.identity(spec)
        memory = remembered(past, known, identity, desired, before, complete=not unknown)
    changes = changes_of(observed, desired, holding, attach, adopt=adopt, reapply=reapply)
    target = Target(
        spec=spec,
        rules=holding.final,
        ssh=desired.ssh,
        descriptions=tuple(Description(one.rules, one.description) for one in desired.wanted),
        attach=attach,
        marker=spec.marker if isinstance(observed, Absent) or adopt is not None else None,
        reapply=bool(closing),
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
    return Considered(
        plan, account, spec, observed, target, refusals, steps, warnings, desired, memory
    )


def _known(
    configuration: Configuration,
    firewall: Firewall,
    observed: Present | Absent,
    desired: Desired,
    past: Past,
) -> Mapping[str, RuleSet]:
    """What is known to have been a container's, by host; nothing of a firewall that is not ours
    yet."""
    if isinstance(observed, Absent):
        return {}
    if past.memory is None and (
        observed.marker is None or observed.marker.owner != configuration.owner
    ):
        return {}
    return attributed(past, observed, observed.rules - desired.rules, firewall.hosts)


def _held(
    configuration: Configuration,
    firewall: Firewall,
    observed: Present | Absent,
    desired: Desired,
    unknown: Mapping[str, str],
    past: Past,
    known: Mapping[str, RuleSet],
    granted: Granted,
) -> tuple[Holding, tuple[Guard, ...], tuple[str, ...]]:
    """What closes and what stays, the guards that withhold the closings, and notes."""
    present = observed if isinstance(observed, Present) else None
    policy = configuration.policy
    grace = timedelta() if granted.now else policy.grace
    holding = hold(
        present, desired, policy, unknown, lambda extra: waits(past, known, extra, grace)
    )
    notes: tuple[str, ...] = ()
    if past.memory is None and any(held.reason == "grace" for held in holding.held):
        note = (
            f"no earlier run left word in {configuration.state}: closings of container ports wait for a second run that finds this "
            f'directory again. Where none lasts (an ephemeral runner), set policy.grace = "0s" or pass --now'
        )
        notes = (note,)
    found = (
        guards.max_close(firewall.name, holding.closing, policy.max_close, granted),
        guards.everything_would_close(
            firewall.name, desired, holding.closing, _of_hosts(known, firewall), granted
        ),
    )
    refusals = tuple(guard for guard in found if guard is not None)
    if not refusals or present is None:
        return holding, (), notes
    return withhold(holding, desired, present, refusals[0].id, refusals[0].message), refusals, notes


def _of_hosts(known: Mapping[str, RuleSet], firewall: Firewall) -> Mapping[str, RuleSet]:
    return {host: rules for host, rules in known.items() if host in firewall.hosts}


def _is_here(configuration: Configuration, firewall: Firewall, spec: FirewallSpec) -> bool:
    """Whether a host of the firewall is this machine: its provider says so, or its engine is read
    through a local socket."""
    provider = configuration.accounts[firewall.account].provider
    if isinstance(provider, OnMachine):
        return provider.is_here(spec)
    hosts = (configuration.hosts[name] for name in firewall.hosts)
    return any(
        isinstance(engine, str) and engine.startswith("unix://")
        for host in hosts
        for engine in host.docker
    )


def _private(configuration: Configuration, observed: Observation) -> RuleSet:
    """What to let in from private networks: only a new firewall, unless the configuration manages
    private sources too."""
    if isinstance(observed, Unreadable) or (
        isinstance(observed, Present) and configuration.policy.private == "keep"
    ):
        return NOTHING
    return observed.private


def _foreign(configuration: Configuration, observed: Present | Absent) -> tuple[str, ...]:
    return (
        ()
        if configuration.policy.foreign == "ignore"
        else tuple(one.summary for one in observed.foreign)
    )


def _postponing(unknown: Mapping[str, str], desired: Desired) -> str | None:
    """Why nothing may be attached now; None where everything is known."""
    if unknown:
        return "; ".join(
            f"{host} was not read completely: {reason}" for host, reason in sorted(unknown.items())
        )
    if desired.doubtful is None or desired.doubtful:
        return "the labels of a container do not parse"
    return None
