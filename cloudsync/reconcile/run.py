"""The whole story: read hosts and firewalls, decide, show (`plan`); lock, decide again, write, read
back (`apply`).

`plan` is handed readers only; a writer exists nowhere but below `apply` and `release` (law 5). How
firewalls are read is in `observe.py`, how steps are run in `execute.py`, what an apply leaves
behind in `audit_log.py` and `state/`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from cloudsync import __version__
from cloudsync.config.configuration import Configuration
from cloudsync.config.specs import spec_of
from cloudsync.model.observed import Seen
from cloudsync.model.outcome import Outcome, Report, Status
from cloudsync.model.plan import (
    Granted,
    Guard,
    Plan,
    ReadStatus,
)
from cloudsync.model.plan_digest import digest
from cloudsync.model.ports import (
    Complete,
    Discovery,
    Failed,
    Partial,
    name_of,
)
from cloudsync.planning.approval import moved
from cloudsync.planning.decide import Considered, consider
from cloudsync.planning.grace import Past
from cloudsync.planning.machine_exposure import with_exposure
from cloudsync.planning.orphans import orphans, unlooked
from cloudsync.planning.policy import unassigned
from cloudsync.planning.shared_ports import shared_ports
from cloudsync.provider.contract import FirewallSpec, Progress, silent
from cloudsync.reconcile.audit_log import recording
from cloudsync.reconcile.execute import carry_out
from cloudsync.reconcile.observe import accounts_of, observe, twins
from cloudsync.reconcile.ssh_session import own_login
from cloudsync.rules import NOTHING, RuleSet
from cloudsync.runtime import clock
from cloudsync.runtime.deadline import Deadline
from cloudsync.runtime.pools import side_by_side
from cloudsync.runtime.signals import Interruption
from cloudsync.sources.read_hosts import read_hosts
from cloudsync.state import StateError, seen
from cloudsync.state.applied import last_ssh, record_ssh
from cloudsync.state.directory import prepare
from cloudsync.state.engines import recall, remember
from cloudsync.state.lock import locked

__all__ = ["Options", "Outcome", "Planned", "Report", "Status", "apply", "plan"]
_FROM_THE_FUTURE = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Options:
    """`firewalls`: only these, by their names in the configuration; empty = all. `granted`: what
    the user allowed."""

    firewalls: tuple[str, ...] = ()
    granted: Granted = field(default_factory=Granted)


@dataclass(frozen=True, slots=True)
class Planned:
    """A plan, and what an apply would need to carry it out."""

    plan: Plan
    considered: tuple[Considered, ...]
    discoveries: Mapping[str, Discovery] = field(default_factory=dict)


def plan(configuration: Configuration, options: Options, progress: Progress = silent) -> Planned:
    """What an apply would change now, and why. Writes nothing, anywhere.

    Raises `StateError` where the state cannot be read.
    """
    return _plan(configuration, options, progress, Deadline.start(configuration.run.deadline).over)


def apply(
    configuration: Configuration,
    options: Options,
    *,
    approved: Plan | None = None,
    expect: str | None = None,
    confirm: Callable[[Plan], bool] | None = None,
    lock_timeout: float = 0.0,
    progress: Progress = silent,
    trigger: str = "apply",
    interruption: Interruption | None = None,
) -> Report:
    """Plan again, see that it is what was approved, write it, read it back.

    `approved`: a plan that bounds what may be done. `expect`: a digest that must be met exactly.
    `confirm`: asked with the fresh plan before the first write. `trigger`: why there is a run, for
    the history. `interruption`: tells of signals. Raises `LockHeld` and `StateError`, both before
    anything is written to a cloud, and `Interrupted` where nothing was begun.
    """
    stop = interruption or Interruption()
    prepare(configuration.state)
    with (
        locked(configuration.state, configuration.owner, lock_timeout),
        recording(configuration, trigger, options.granted) as entry,
    ):
        deadline = Deadline.start(configuration.run.deadline)
        planned = _plan(configuration, options, progress, deadline.reading, approved)
        _remember_seen(configuration, planned.considered)
        remember(
            configuration.state, configuration.owner, planned.discoveries, planned.plan.created
        )
        if (why := _not_approved(configuration, planned.plan, approved, expect)) is not None:
            return entry.ends(Report(planned.plan, moved=why))
        if confirm is not None and planned.plan.has_changes:
            asked = time.monotonic()
            if not confirm(planned.plan):
                return entry.ends(Report(planned.plan, declined=True))
            deadline = replace(deadline, begun=deadline.begun + time.monotonic() - asked)
        if any(one.steps and not one.withheld for one in planned.considered):
            entry.begins(planned.plan, planned.considered)
        with stop.writing():
            outcomes = carry_out(configuration, planned.considered, deadline, stop, progress)
            if stop.number is None:
                outcomes = _once_more(
                    configuration, options, planned.plan, outcomes, deadline, stop, progress
                )
            notes = _remember_ssh(configuration, planned.considered, outcomes)
            return entry.ends(Report(planned.plan, outcomes, interrupted=stop.number, notes=notes))


def _plan(
    configuration: Configuration,
    options: Options,
    progress: Progress,
    until: float,
    approved: Plan | None = None,
) -> Planned:
    """`until`: when reading must be over. `approved`: what it showed as held by grace stays
    held."""
    chosen = [
        f
        for f in configuration.firewalls.values()
        if not options.firewalls or f.name in options.firewalls
    ]
    fed = {host for firewall in configuration.firewalls.values() for host in firewall.hosts}
    wanted_hosts = {host for firewall in chosen for host in firewall.hosts}
    if not options.firewalls:
        wanted_hosts |= {
            host.name
            for host in configuration.hosts.values()
            if not host.retired and host.name not in fed
        }
    specs = {f.name: spec_of(configuration, f) for f in chosen}
    past, damaged = _past(configuration, specs, approved)
    accounts = accounts_of(configuration, {f.account for f in chosen}, until, progress)
    engines = recall(configuration.state, configuration.owner)
    with side_by_side(1, "hosts") as beside:
        reading = beside.submit(
            read_hosts, _within(configuration, until), sorted(wanted_hosts), progress, engines
        )
        told: dict[str, Seen] = {}
        observed = observe(
            configuration, accounts, {f.name: (f.account, specs[f.name]) for f in chosen}, told
        )
        discoveries = reading.result()
    same = twins(configuration, accounts, {f.name: f.account for f in chosen}, observed)
    login = own_login(os.environ)

    def judge(name: str, foreign: Guard | None = None) -> Considered:
        firewall = configuration.firewalls[name]
        one = consider(
            configuration,
            firewall,
            accounts[firewall.account],
            specs[name],
            observed[name],
            discoveries,
            past[name],
            options.granted,
            login,
            same.get(name, ()),
            foreign,
        )
        return replace(
            one,
            plan=replace(
                one.plan,
                shared=shared_ports(configuration, firewall, one.target.rules, discoveries),
            ),
        )

    considered = with_exposure(
        configuration, [judge(firewall.name) for firewall in chosen], told, judge
    )
    return Planned(
        Plan(
            tool_version=__version__,
            created=datetime.now(UTC),
            owner=configuration.owner,
            granted=options.granted,
            hosts=tuple((name, _status(discovery)) for name, discovery in discoveries.items()),
            firewalls=tuple(one.plan for one in considered),
            guards=tuple(guard for one in considered for guard in one.guards),
            unassigned=unassigned(configuration, discoveries),
            malformed=_malformed(discoveries),
            warnings=(*damaged, *_warnings(considered, discoveries), *unlooked(told)),
            orphans=orphans(configuration, considered, told),
        ),
        considered,
        discoveries,
    )


def _within(configuration: Configuration, until: float) -> Configuration:
    """The configuration with no more time for a host than the run has."""
    left = max(until - time.monotonic(), 0.1)
    return replace(
        configuration,
        run=replace(configuration.run, host_timeout=min(configuration.run.host_timeout, left)),
    )


def _past(
    configuration: Configuration, specs: Mapping[str, FirewallSpec], approved: Plan | None
) -> tuple[dict[str, Past], tuple[str, ...]]:
    """What earlier runs left of each firewall, and a warning where it cannot be read."""
    ssh = last_ssh(configuration.state, configuration.owner)
    found = seen.load(configuration.state, configuration.owner)
    now = clock.now()
    shown = (
        {
            f.name: RuleSet.of(h.rule for h in f.held if h.reason == "grace")
            for f in approved.firewalls
        }
        if approved
        else {}
    )
    past = {}
    for name, spec in specs.items():
        memory = found.memories.get(name)
        account = configuration.accounts[configuration.firewalls[name].account]
        if memory is not None and memory.identity != account.provider.identity(spec):
            memory = None
        past[name] = Past(
            now, ssh.get(name), memory, found.damaged is not None, shown.get(name, RuleSet())
        )
    if found.damaged is None:
        return past, ()
    return past, (f"{found.damaged}: all grace starts anew, and the next apply writes it again",)


def _once_more(
    configuration: Configuration,
    options: Options,
    approved: Plan,
    outcomes: tuple[Outcome, ...],
    deadline: Deadline,
    stop: Interruption,
    progress: Progress,
) -> tuple[Outcome, ...]:
    """Where a write met somebody else's, look and plan again, once; within what was approved (law
    6)."""
    names = tuple(outcome.firewall for outcome in outcomes if outcome.conflict)
    if not names:
        return outcomes
    again = _plan(
        configuration, replace(options, firewalls=names), progress, deadline.writing, approved
    )
    if (why := moved(approved, again.plan)) is not None:
        return tuple(
            replace(one, message=f"{one.message}; planned again: {why}") if one.conflict else one
            for one in outcomes
        )
    second = {
        outcome.firewall: outcome
        for outcome in carry_out(configuration, again.considered, deadline, stop, progress)
    }
    return tuple(_merged(one, second[one.firewall]) if one.conflict else one for one in outcomes)


def _merged(first: Outcome, second: Outcome) -> Outcome:
    opened, closed = first.opened + second.opened, first.closed + second.closed
    after = first.after if second.after is None else second.after
    if second.status in ("done", "unchanged"):
        return Outcome(first.firewall, "done", opened, closed, before=first.before, after=after)
    status: Status = "failed" if second.status in ("refused", "not-begun") else second.status
    return replace(
        second, status=status, opened=opened, closed=closed, before=first.before, after=after
    )


def _not_approved(
    configuration: Configuration, fresh: Plan, approved: Plan | None, expect: str | None
) -> str | None:
    if expect is not None and (now := digest(fresh)) != expect:
        return f"the changes are not the expected ones any more: their digest is {now} now"
    if approved is None:
        return None
    oldest = configuration.policy.plan_max_age
    if fresh.created - approved.created > oldest:
        return f"the plan is older than policy.plan_max_age ({oldest}); plan again"
    if approved.created - fresh.created > _FROM_THE_FUTURE:
        return f"the plan was made at {approved.created:%Y-%m-%d %H:%M} UTC, which is in the future: a clock is wrong; plan again"
    return moved(approved, fresh)


def _remember_seen(configuration: Configuration, considered: tuple[Considered, ...]) -> None:
    """Keep what containers need now, and since when they do not: where a timer starts (law 5: never
    by a plan). Raises `StateError`."""
    known = seen.load(configuration.state, configuration.owner).memories
    learnt = {one.plan.name: one.memory for one in considered if one.memory is not None}
    fresh = {
        name: memory for name, memory in learnt.items() if not seen.same(known.get(name), memory)
    }
    if fresh:
        kept = {name: memory for name, memory in known.items() if name in configuration.firewalls}
        seen.save(configuration.state, configuration.owner, {**kept, **fresh})


def _remember_ssh(
    configuration: Configuration, considered: tuple[Considered, ...], outcomes: tuple[Outcome, ...]
) -> tuple[str, ...]:
    """Keep the SSH that law 2's guard is about; written only where it differs. Clouds are written
    already: what goes wrong here is a note."""
    try:
        known = last_ssh(configuration.state, configuration.owner)
        after = {
            outcome.firewall: guarded_ssh(
                known.get(outcome.firewall), configuration.ssh.rules, outcome, judged.plan.exists
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


def _status(discovery: Discovery) -> ReadStatus:
    if isinstance(discovery, Failed):
        return ReadStatus("failed", discovery.reason, temporary=discovery.temporary)
    if isinstance(discovery, Partial):
        return ReadStatus("partial", "; ".join(discovery.reasons), temporary=discovery.temporary)
    return ReadStatus("complete")


def _malformed(discoveries: Mapping[str, Discovery]) -> tuple[str, ...]:
    return tuple(
        f"{one.origin.container or name_of(one.origin)} on {host}: {one.problem}"
        for host, discovery in discoveries.items()
        if isinstance(discovery, Complete | Partial)
        for one in discovery.malformed
    )


def _warnings(
    considered: tuple[Considered, ...], discoveries: Mapping[str, Discovery]
) -> tuple[str, ...]:
    said = [f"{one.plan.name}: {text}" for one in considered for text in one.warnings]
    for host, discovery in discoveries.items():
        if isinstance(discovery, Complete | Partial):
            said += [f"{host}: {text}" for text in discovery.remarks]
    return tuple(dict.fromkeys(said))
