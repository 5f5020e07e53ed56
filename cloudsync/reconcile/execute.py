"""Execute each firewall's steps in order, firewalls in parallel if the provider allows it, then
re-read and verify.

A firewall that fails leaves the others alone. Nothing is reported as done that was not seen to be
there afterwards.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace

from cloudsync.config.configuration import Configuration
from cloudsync.model.outcome import Outcome, Status
from cloudsync.planning.decide import Considered
from cloudsync.provider.contract import (
    Absent,
    Account,
    Observation,
    Present,
    Progress,
    Unreadable,
    Writer,
)
from cloudsync.provider.errors import Conflict, ProviderError
from cloudsync.provider.phrases import first_of
from cloudsync.reconcile.observe import accounts_of, observe
from cloudsync.rules import NOTHING, RuleSet
from cloudsync.runtime.deadline import Deadline
from cloudsync.runtime.pools import side_by_side
from cloudsync.runtime.signals import PATIENCE_SECONDS, Interruption
from cloudsync.state.exclusive import Held

_LOOK_SECONDS = 0.2
_FIRST_PAUSE, _LONGEST_PAUSE = 0.25, 4.0
AS_PLANNED = "all of it is there"


@dataclass(frozen=True, slots=True)
class Conditions:
    """Under which steps are run."""

    deadline: Deadline
    interruption: Interruption
    progress: Progress
    held: Held | None = None
    """The right to write; None if nobody else can have it."""
    pause: Callable[[float], object] = time.sleep
    """Waits so many seconds between two looks at a vendor whose reads lag behind its writes."""


def carry_out(
    configuration: Configuration, considered: tuple[Considered, ...], conditions: Conditions
) -> tuple[Outcome, ...]:
    """Run the steps of all firewalls that no guard withholds. Raises nothing but bugs of our
    own."""
    todo: dict[str, list[Considered]] = {}
    for judged in considered:
        if judged.steps and not judged.withheld:
            todo.setdefault(judged.account.name, []).append(judged)
    outcomes = _written(configuration, todo, conditions) if todo else {}
    begun = {
        judged.plan.name: judged
        for firewalls in todo.values()
        for judged in firewalls
        if outcomes[judged.plan.name].status != "not-begun"
    }
    outcomes |= _verified(configuration, begun, outcomes, conditions)
    return tuple(outcomes.get(judged.plan.name) or _untouched(judged) for judged in considered)


@dataclass(slots=True)
class _Writing:
    """The writing phase: what became of each firewall so far, and whether it is over."""

    interruption: Interruption
    until: float
    """When writing must be over, `time.monotonic()`: no step is begun later."""
    held: Held | None = None
    sofar: dict[str, Outcome] = field(default_factory=dict)
    over: threading.Event = field(default_factory=threading.Event)
    """Set once nobody waits for the steps any more: a step that was abandoned must not be followed
    by another behind the run's back."""

    @property
    def why_no_further(self) -> str | None:
        """Why no further step is begun; None if it is."""
        if self.interruption.number is not None:
            return f"stopped by {self.interruption.name}"
        if self.held is not None and (why := self.held.lost) is not None:
            return why
        if self.over.is_set() or time.monotonic() >= self.until:
            return "the run's deadline is reached"
        return None


def _written(
    configuration: Configuration, todo: Mapping[str, list[Considered]], conditions: Conditions
) -> dict[str, Outcome]:
    """What became of every firewall. Waits for the steps under way, but no longer than a signal or
    the deadline allows."""
    deadline, interruption = conditions.deadline, conditions.interruption
    accounts = accounts_of(configuration, todo, deadline.writing, conditions.progress)
    writing = _Writing(interruption, deadline.writing, conditions.held)
    abandoned = (deadline.writing + deadline.over) / 2
    pool = ThreadPoolExecutor(len(todo), thread_name_prefix="account")
    running: set[Future[None]] = {
        pool.submit(_write, configuration, accounts[name], todo[name], writing) for name in todo
    }
    unfinished = running
    while unfinished and not interruption.impatient and time.monotonic() < abandoned:
        _, unfinished = wait(unfinished, timeout=_LOOK_SECONDS)
    why = f"{writing.why_no_further or 'nobody waits any more'} before its first step"
    writing.over.set()
    pool.shutdown(wait=False, cancel_futures=True)
    for future in running - unfinished:
        future.result()
    names = [judged.plan.name for firewalls in todo.values() for judged in firewalls]
    stopped = interruption.number is not None
    return {
        name: writing.sofar.get(name) or Outcome(name, "not-begun", message=why, stopped=stopped)
        for name in names
    }


def _write(
    configuration: Configuration, account: Account, todo: list[Considered], writing: _Writing
) -> None:
    provider = configuration.accounts[account.name].provider
    try:
        writer = provider.open_writer(account)
        at_once = provider.capabilities.at_once
    except ProviderError as error:
        writing.sofar.update(
            {
                judged.plan.name: Outcome(judged.plan.name, "failed", message=error.message)
                for judged in todo
            }
        )
        return
    with side_by_side(min(at_once, configuration.run.concurrency, len(todo)), "firewall") as pool:
        for _ in pool.map(lambda judged: _run(writer, judged, writing), todo):
            pass


def _run(writer: Writer, judged: Considered, writing: _Writing) -> None:
    name, count = judged.plan.name, len(judged.steps)
    for number, step in enumerate(judged.steps):
        if (why := writing.why_no_further) is not None:
            if number:
                stopped = writing.interruption.number is not None
                message = f"{why} after {number} of {count} steps"
                writing.sofar[name] = Outcome(name, "failed", message=message, stopped=stopped)
            return
        # What stands here while the step runs is what holds if it is abandoned.
        writing.sofar[name] = Outcome(
            name,
            "unknown",
            message=f"{step.summary}: abandoned while it was under way",
            stopped=True,
        )
        try:
            writer.run(step)
        except ProviderError as error:
            status: Status = "unknown" if error.fate_unknown else "failed"
            writing.sofar[name] = Outcome(
                name,
                status,
                message=f"{step.summary}: {error.message}",
                conflict=isinstance(error, Conflict),
            )
            return
    writing.sofar[name] = Outcome(name, "done")


def _verified(
    configuration: Configuration,
    begun: Mapping[str, Considered],
    outcomes: Mapping[str, Outcome],
    conditions: Conditions,
) -> dict[str, Outcome]:
    """What was really done. If a vendor's reads may lag behind its writes, and the vendor accepted
    all of them, what is not seen yet is looked at again; a look that fails then, or that the
    deadline cuts, does not take away what an earlier one has shown."""
    verified: dict[str, Outcome] = {}
    observed: dict[str, Observation] = {}
    open_: Mapping[str, Considered] = begun
    seconds, begin = _FIRST_PAUSE, time.monotonic()
    while open_:
        observed |= {
            name: observation
            for name, observation in _look_again(configuration, open_, conditions).items()
            if not (name in observed and isinstance(observation, Unreadable))
        }
        verified |= {
            name: _read_back(outcomes[name], judged, observed[name])
            for name, judged in open_.items()
        }
        open_ = {
            name: judged
            for name, judged in open_.items()
            if outcomes[name].status == "done"
            and verified[name].status != "done"
            and _may_lag(judged, observed[name])
            and time.monotonic() + seconds < begin + _lag(configuration, judged)
        }
        if not open_ or conditions.interruption.number is not None:
            break
        if time.monotonic() + seconds >= conditions.deadline.over:
            break
        conditions.progress(f"{', '.join(open_)}: written, waiting until it can be read")
        conditions.pause(seconds)
        seconds = min(seconds * 2, _LONGEST_PAUSE)
    return verified


def _look_again(
    configuration: Configuration, begun: Mapping[str, Considered], conditions: Conditions
) -> Mapping[str, Observation]:
    until = conditions.deadline.over
    if conditions.interruption.number is not None:
        until = min(until, time.monotonic() + PATIENCE_SECONDS)
    names = {judged.account.name for judged in begun.values()}
    accounts = accounts_of(configuration, names, until, conditions.progress)
    asked = {name: (judged.account.name, judged.spec) for name, judged in begun.items()}
    return observe(configuration, accounts, asked).observed


def _lag(configuration: Configuration, judged: Considered) -> float:
    return configuration.accounts[judged.account.name].provider.capabilities.lag_seconds


def _may_lag(judged: Considered, observation: Observation) -> bool:
    """Whether what was read may be the firewall as it was before, or on its way: then nothing is
    open that was open neither before nor is to be, and nothing lacks that was open all along."""
    if isinstance(observation, Unreadable):
        return False
    before, now = _rules(judged.observed), _rules(observation)
    target = judged.target.rules
    return (before | target).covers(now) and now.covers(before & target)


def _rules(observation: Observation) -> RuleSet:
    return observation.rules if isinstance(observation, Present) else NOTHING


def _read_back(outcome: Outcome, judged: Considered, observation: Observation) -> Outcome:
    """What was really done: the difference between what was seen before and what is there now."""
    before = _rules(judged.observed)
    outcome = replace(outcome, before=before)
    if isinstance(observation, Unreadable):
        message = (
            f"{outcome.message or 'written'}; what is there now could not be read:"
            f" {observation.error.message}"
        )
        return replace(outcome, status="unknown", message=message)
    now = _rules(observation)
    outcome = replace(
        outcome, after=now, opened=len(tuple(now - before)), closed=len(tuple(before - now))
    )
    differs = _compared(judged, observation)
    if outcome.status != "done":
        return replace(outcome, message=f"{outcome.message}; found afterwards: {differs}")
    if differs != AS_PLANNED:
        return replace(outcome, status="failed", message=f"written, but {differs}")
    return outcome


def _compared(judged: Considered, present: Present | Absent) -> str:
    """How what is there compares with what was to be there, in words."""
    if isinstance(present, Absent):
        return "the firewall does not exist"
    missing, beyond = judged.target.rules - present.rules, present.rules - judged.target.rules
    problems = [f"{rule} is not open" for rule in missing] + [f"{rule} is open" for rule in beyond]
    asked = {attachment.target for attachment in judged.target.attach}
    problems += [
        f"{attachment.target} is not attached"
        for attachment in present.attachments
        if attachment.target in asked and not attachment.attached
    ]
    postponed = _postponed(judged)
    problems += [
        f"{pending.target}: {pending.reason}"
        for pending in present.pending
        if pending.target not in postponed
    ]
    if judged.target.release:
        problems += ["the owner marker is still there"] if present.marker is not None else []
    elif present.marker != judged.spec.marker:
        problems.append("the owner marker is not there")
    return first_of(problems, 5) or AS_PLANNED


def _postponed(judged: Considered) -> frozenset[str]:
    """Targets of what was pending before and this plan left so on purpose (a host is unknown): that
    it is still pending is no failure."""
    if judged.target.reapply or not isinstance(judged.observed, Present):
        return frozenset()
    return frozenset(pending.target for pending in judged.observed.pending if not pending.lifts)


def _untouched(judged: Considered) -> Outcome:
    name = judged.plan.name
    before = judged.observed.rules if isinstance(judged.observed, Present) else None
    if isinstance(judged.observed, Unreadable):
        return Outcome(name, "not-begun", message=judged.observed.error.message)
    if judged.withheld:
        message = "; ".join(guard.message for guard in judged.guards)
        return Outcome(name, "refused", message=message, before=before)
    return Outcome(name, "unchanged", before=before)
