"""The whole story: read hosts and firewalls, decide, show (`plan`); lock, decide again, write, read
back (`apply`).

`plan` is handed readers only; a writer exists nowhere but below `apply` and `release` (law 5). How
a plan comes about is in `make_plan.py`, how firewalls are read in `observe.py`, how steps are run
in `execute.py`, what an apply leaves behind in `audit_log.py` and `state/`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import field, replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from cloudsync.config.configuration import Configuration
from cloudsync.model.outcome import Outcome, Report, Status
from cloudsync.model.plan import Granted, Plan
from cloudsync.model.plan_digest import digest
from cloudsync.planning.approval import moved
from cloudsync.planning.decide import Considered
from cloudsync.provider.contract import Progress, silent
from cloudsync.reconcile.audit_log import recording
from cloudsync.reconcile.execute import Conditions, carry_out
from cloudsync.reconcile.inventories import Inventories, with_hosts_from_store
from cloudsync.reconcile.make_plan import Planned, Request, make_plan
from cloudsync.reconcile.networks import remember as remember_networks
from cloudsync.rules import NOTHING, RuleSet
from cloudsync.rules.frozen import dataclass
from cloudsync.runtime.deadline import Deadline
from cloudsync.runtime.signals import Interruption
from cloudsync.state import StateError, seen
from cloudsync.state.applied import last_ssh, record_ssh
from cloudsync.state.engines import remember
from cloudsync.state.exclusive import IfFree, exclusive, make_ready

if TYPE_CHECKING:
    from cloudsync.sources.docker.inspected import Inspections
    from cloudsync.state.lease import Standing
    from cloudsync.state.shards import Shard

__all__ = ["Options", "Outcome", "Planned", "Report", "Status", "Terms", "apply", "plan"]
_FROM_THE_FUTURE = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Options:
    """What a run is about."""

    firewalls: tuple[str, ...] = ()
    """Only these, by their names in the configuration; empty = all."""
    granted: Granted = field(default_factory=Granted)
    """What the user allowed."""
    shard: Shard | None = None
    """Only the firewalls that this shard takes."""
    inventories: Inventories = field(default_factory=Inventories)
    """How published hosts are read: kept for several runs, only what changed is read again."""
    inspections: Inspections | None = None
    """The same for the containers of engines."""


@dataclass(frozen=True, slots=True)
class Terms:
    """On what terms an apply may write."""

    approved: Plan | None = None
    """A plan that bounds what may be done."""
    expect: str | None = None
    """A digest that the changes must have exactly."""
    lock_timeout: float = 0.0
    """How long to wait for another run, in seconds."""
    trigger: str = "apply"
    """Why there is a run, for the history."""
    standing: Standing | None = None
    """The service that this is a run of: others of its kind stand by between its runs."""

    @property
    def still(self) -> Mapping[str, RuleSet]:
        """By firewall, what the approved plan showed as held by grace: it stays held."""
        if self.approved is None:
            return {}
        return {
            firewall.name: RuleSet.of(held.rule for held in firewall.held if held.reason == "grace")
            for firewall in self.approved.firewalls
        }


def unannounced(_: Plan) -> None:
    """Nobody looks at the plan before it is carried out."""


def plan(configuration: Configuration, options: Options, progress: Progress = silent) -> Planned:
    """What an apply would change now, and why. Writes nothing, anywhere.

    Raises `StateError` if the state cannot be read.
    """
    until = Deadline.start(configuration.run.deadline).over
    request = _request(options, {})
    configuration = with_hosts_from_store(configuration, options.inventories)
    return make_plan(configuration, request, until, progress)


def _request(options: Options, still: Mapping[str, RuleSet]) -> Request:
    return Request(
        options.firewalls,
        options.granted,
        still,
        options.shard,
        options.inventories,
        options.inspections,
    )


def apply(
    configuration: Configuration,
    options: Options,
    terms: Terms = Terms(),
    progress: Progress = silent,
    interruption: Interruption | None = None,
    announce: Callable[[Plan], None] = unannounced,
) -> Report:
    """Plan again, see that it is what was approved, write it, read it back.

    `announce` is shown the plan before the first write, if there is anything to change.
    Raises `LockHeld` and `StateError`, both before anything is written to a cloud, and
    `Interrupted` if nothing was begun.
    """
    stop = interruption or Interruption()
    make_ready(configuration.state)
    with (
        exclusive(
            configuration.state,
            configuration.owner,
            _locked_names(configuration, options, terms),
            shard=options.shard,
            timeout=terms.lock_timeout,
            standing=terms.standing,
        ) as held,
        recording(
            replace(configuration, state=held.state), terms.trigger, options.granted
        ) as entry,
    ):
        configuration = with_hosts_from_store(entry.configuration, options.inventories)
        deadline = Deadline.start(configuration.run.deadline)
        conditions = Conditions(deadline, stop, progress, held=held)
        if held.busy:
            free = tuple(name for name in configuration.firewalls if name not in held.busy)
            options = replace(options, firewalls=free)
        request = _request(options, terms.still)
        planned = make_plan(configuration, request, conditions.deadline.reading, progress)
        configuration = planned.configuration
        remember_networks(configuration, planned.plan.networks)
        _remember_seen(configuration, planned.considered)
        remember(
            configuration.state,
            configuration.owner,
            planned.discoveries,
            planned.plan.created,
            planned.engines.hosts,
        )
        if (why := _not_approved(configuration, planned.plan, terms)) is not None:
            return entry.ends(_besides(Report(planned.plan, moved=why), held.busy))
        if planned.plan.has_changes:
            announce(planned.plan)
        if any(judged.steps and not judged.withheld for judged in planned.considered):
            entry.begins(planned.plan, planned.considered)
        with stop.writing(), held.guarded():
            outcomes = carry_out(configuration, planned.considered, conditions)
            if stop.number is None:
                outcomes = _once_more(configuration, request, planned.plan, outcomes, conditions)
            notes = _remember_ssh(configuration, planned.considered, outcomes)
            report = Report(planned.plan, outcomes, interrupted=stop.number)
            return entry.ends(_besides(report, held.busy, notes))


def _locked_names(configuration: Configuration, options: Options, terms: Terms) -> tuple[str, ...]:
    """The firewalls to lock: of all of them those that are free, unless exactly what was approved
    is to be done. In a folder each has a lock of its own; a bucket has leases of shards."""
    if options.firewalls or not isinstance(configuration.state, Path):
        return configuration.named(options.firewalls)
    shard = options.shard
    names = (name for name in configuration.firewalls if shard is None or shard.takes(name))
    exactly = terms.approved is not None or terms.expect is not None
    return tuple(names) if exactly else IfFree(names)


def _besides(report: Report, busy: frozenset[str], notes: tuple[str, ...] = ()) -> Report:
    """The report with what it leaves to another run."""
    names = tuple(sorted(busy))
    if names:
        note = (
            f"another run is at work on {', '.join(names)}: left to it; the other firewalls were "
            "looked after"
        )
        notes = (note, *notes)
    return replace(report, notes=notes, busy=names)


def _once_more(
    configuration: Configuration,
    request: Request,
    approved: Plan,
    outcomes: tuple[Outcome, ...],
    conditions: Conditions,
) -> tuple[Outcome, ...]:
    """If a write met somebody else's, look and plan again, once; within what was approved (law
    6)."""
    names = tuple(outcome.firewall for outcome in outcomes if outcome.conflict)
    if not names:
        return outcomes
    again = make_plan(
        configuration,
        replace(request, firewalls=names, still=Terms(approved).still),
        conditions.deadline.writing,
        conditions.progress,
    )
    if (why := moved(approved, again.plan)) is not None:
        return tuple(
            (
                replace(outcome, message=f"{outcome.message}; planned again: {why}")
                if outcome.conflict
                else outcome
            )
            for outcome in outcomes
        )
    second = {
        outcome.firewall: outcome
        for outcome in carry_out(configuration, again.considered, conditions)
    }
    return tuple(
        _merged(outcome, second[outcome.firewall]) if outcome.conflict else outcome
        for outcome in outcomes
    )


def _merged(first: Outcome, second: Outcome) -> Outcome:
    opened, closed = first.opened + second.opened, first.closed + second.closed
    after = first.after if second.after is None else second.after
    if second.status in ("done", "unchanged"):
        return Outcome(first.firewall, "done", opened, closed, before=first.before, after=after)
    status: Status = "failed" if second.status in ("refused", "not-begun") else second.status
    return replace(
        second, status=status, opened=opened, closed=closed, before=first.before, after=after
    )


def _not_approved(configuration: Configuration, fresh: Plan, terms: Terms) -> str | None:
    if terms.expect is not None and (now := digest(fresh)) != terms.expect:
        return f"the digest of the changes is {now} now"
    approved = terms.approved
    if approved is None:
        return None
    oldest = configuration.policy.plan_max_age
    if fresh.created - approved.created > oldest:
        return f"the plan is older than policy.plan_max_age ({oldest}); plan again"
    if approved.created - fresh.created > _FROM_THE_FUTURE:
        return (
            f"the plan was made at {approved.created:%Y-%m-%d %H:%M} UTC, which is in the future: a"
            " clock is wrong; plan again"
        )
    return moved(approved, fresh)


def _remember_seen(configuration: Configuration, considered: tuple[Considered, ...]) -> None:
    """Keep what containers need now, and since when they do not: where a timer starts (law 5: never
    by a plan). Raises `StateError`."""
    learnt = {judged.plan.name: judged.memory for judged in considered if judged.memory is not None}
    known = seen.load(configuration.state, configuration.owner, learnt).entries
    fresh = {
        name: memory for name, memory in learnt.items() if not seen.same(known.get(name), memory)
    }
    if fresh:
        seen.save(configuration.state, configuration.owner, fresh, only=configuration.firewalls)


def _remember_ssh(
    configuration: Configuration, considered: tuple[Considered, ...], outcomes: tuple[Outcome, ...]
) -> tuple[str, ...]:
    """Keep the SSH that law 2's guard is about; written only where it differs. Clouds are written
    already: what goes wrong here is a note."""
    try:
        names = [outcome.firewall for outcome in outcomes]
        known = last_ssh(configuration.state, configuration.owner, names)
        after = {
            outcome.firewall: guarded_ssh(
                known.get(outcome.firewall) or judged.login_ways or None,
                configuration.ssh.rules,
                outcome,
                judged.plan.exists,
            )
            for outcome, judged in zip(outcomes, considered, strict=True)
        }
        fresh = {
            name: ssh for name, ssh in after.items() if ssh is not None and known.get(name) != ssh
        }
        if fresh:
            record_ssh(configuration.state, configuration.owner, fresh)
    except StateError as error:
        return (f"{error}; the next apply does not know which SSH this one declared",)
    return ()


def guarded_ssh(
    known: RuleSet | None, declared: RuleSet, outcome: Outcome, exists: bool | None
) -> RuleSet | None:
    """What law 2 guards of one firewall after an apply; None if there is nothing to remember.

    | the apply of the firewall          | then it is                                             |
    |------------------------------------|--------------------------------------------------------|
    | ended, or had nothing to do        | the declared SSH, and of the earlier what is still open |
    | failed, or its fate is not known   | the earlier, and of the declared what is open by now    |
    | was refused or never begun         | the earlier                                             |
    """
    earlier = NOTHING if known is None else known
    now = outcome.after if outcome.after is not None else outcome.before
    if outcome.status == "done" or (outcome.status == "unchanged" and exists):
        return declared | (earlier if now is None else earlier & now)
    if outcome.status in ("failed", "unknown") and outcome.after is not None:
        return (earlier | (declared & outcome.after)) or known
    return known
