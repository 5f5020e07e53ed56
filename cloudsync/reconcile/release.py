"""Releasing a firewall: the owner marker is taken off at the vendor, its rules and attachments stay
as they are.

Afterwards cloudsync treats it like one that a person made by hand: refused until `--adopt`.
"""

from __future__ import annotations

from dataclasses import replace

from cloudsync.config.configuration import Configuration
from cloudsync.config.specs import spec_of
from cloudsync.model.outcome import Outcome
from cloudsync.model.plan import (
    FirewallPlan,
    Granted,
    Guard,
    Plan,
    ReadStatus,
    StepSummary,
)
from cloudsync.planning import guards
from cloudsync.planning.decide import Considered
from cloudsync.provider.contract import (
    Account,
    FirewallSpec,
    Observation,
    Present,
    Progress,
    Refusal,
    Target,
    Unreadable,
    silent,
)
from cloudsync.provider.errors import ProviderError
from cloudsync.reconcile.audit_log import recording
from cloudsync.reconcile.execute import Conditions, carry_out
from cloudsync.reconcile.identities import identified
from cloudsync.reconcile.inventories import with_hosts_from_store
from cloudsync.reconcile.make_plan import unusable
from cloudsync.reconcile.observe import accounts_of, observe
from cloudsync.rules.frozen import dataclass
from cloudsync.runtime.deadline import Deadline
from cloudsync.runtime.signals import Interruption
from cloudsync.state import StateError, seen
from cloudsync.state.exclusive import exclusive, make_ready


@dataclass(frozen=True, slots=True)
class Released:
    """`outcome`: `done`, `unchanged` (there is no mark, or no firewall), `refused` (by `guard`),
    `failed`, `unknown`, `not-begun`. `error`: why the firewall could not be read."""

    outcome: Outcome
    guard: Guard | None = None
    error: ProviderError | None = None
    notes: tuple[str, ...] = ()


def release(
    configuration: Configuration,
    name: str,
    *,
    lock_timeout: float = 0.0,
    progress: Progress = silent,
    interruption: Interruption | None = None,
) -> Released:
    """Take the marker off one firewall of the configuration. Another owner's is refused, and one
    managed for other hosts too.

    Raises `LockHeld` and `StateError` before anything is written, and `Interrupted` where nothing
    was begun.
    """
    stop = interruption or Interruption()
    make_ready(configuration.state)
    with (
        exclusive(configuration.state, configuration.owner, (name,), timeout=lock_timeout) as held,
        recording(replace(configuration, state=held.state), "release", Granted()) as entry,
    ):
        configuration = with_hosts_from_store(entry.configuration)
        deadline = Deadline.start(configuration.run.deadline)
        considered = _consider(configuration, name, deadline, progress)
        plan = Plan(
            "",
            entry.started,
            configuration.owner,
            Granted(),
            (),
            (considered.plan,),
            considered.guards,
        )
        if considered.steps:
            entry.begins(plan, (considered,))
        with stop.writing(), held.guarded():
            conditions = Conditions(deadline, stop, progress, held=held)
            (outcome,) = carry_out(configuration, (considered,), conditions)
            notes = _forget(configuration, name) if outcome.status in ("done", "unchanged") else ()
            word = {
                "done": "released",
                "unchanged": "nothing-to-do",
                "unknown": "partly",
                "not-begun": "failed",
            }.get(outcome.status, outcome.status)
            problem = entry.says(word, plan, (outcome,))
        error = considered.observed.error if isinstance(considered.observed, Unreadable) else None
        return Released(
            outcome,
            considered.guards[0] if considered.guards else None,
            error,
            (*notes, *((problem,) if problem else ())),
        )


def _consider(
    configuration: Configuration, name: str, deadline: Deadline, progress: Progress
) -> Considered:
    configuration = identified(configuration)
    firewall = configuration.firewalls[name]
    spec = spec_of(configuration, firewall)
    accounts = accounts_of(configuration, (firewall.account,), deadline.reading, progress)
    asked = {name: (firewall.account, spec)}
    observed = observe(configuration, accounts, asked).observed[name]
    account = accounts[firewall.account]
    try:
        return _decided(configuration, account, spec, observed)
    except ProviderError as error:
        return unusable(configuration, account, spec, error)


def _decided(
    configuration: Configuration, account: Account, spec: FirewallSpec, observed: Observation
) -> Considered:
    """What taking the mark off comes to, and whether it may be done. Raises `ProviderError`."""
    name = spec.name
    firewall = configuration.firewalls[name]
    table = configuration.accounts[firewall.account]
    plan = FirewallPlan(
        name=name,
        provider=table.name,
        type=table.type,
        endpoint=table.provider.endpoint(account),
        identity=table.provider.identity(spec),
        id=observed.id if isinstance(observed, Present) else None,
        exists=None if isinstance(observed, Unreadable) else isinstance(observed, Present),
        read=ReadStatus("complete"),
        hosts=firewall.hosts,
    )
    nothing = Considered(plan, account, spec, observed, Target(spec, configuration.ssh.rules))
    if not isinstance(observed, Present) or observed.marker is None:
        return nothing
    if (guard := guards.releasing(name, observed, spec.marker)) is not None:
        return replace(nothing, guards=(guard,))
    target = Target(spec, observed.rules, release=True)
    steps = table.provider.plan_steps(observed, target)
    if isinstance(steps, tuple) and not steps:
        steps = Refusal(f'the provider "{table.type}" cannot take its mark off')
    refusal = guards.unsupported(name, steps)
    steps = () if isinstance(steps, Refusal) else steps
    refusal = refusal or guards.lawful_steps(name, observed.rules, target, steps)
    plan = replace(plan, steps=tuple(StepSummary(step.summary, step.kind) for step in steps))
    return replace(
        nothing,
        plan=plan,
        target=target,
        steps=steps,
        guards=(refusal,) if refusal is not None else (),
    )


def _forget(configuration: Configuration, name: str) -> tuple[str, ...]:
    """What containers needed of it is nobody's memory any more; the SSH of the last apply stays
    guarded."""
    try:
        seen.forget(configuration.state, configuration.owner, name)
    except StateError as error:
        return (str(error),)
    return ()
