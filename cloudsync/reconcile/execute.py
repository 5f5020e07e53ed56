"""Carrying out: the steps of every firewall in order, firewalls side by side where a provider bears
it; then what is there is read back.

A firewall that fails leaves the others alone. Nothing is said to be done that was not seen to be
there afterwards.
"""

from __future__ import annotations

import time
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import replace

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
from cloudsync.reconcile.observe import accounts_of, observe
from cloudsync.rules import NOTHING
from cloudsync.runtime.deadline import Deadline
from cloudsync.runtime.pools import side_by_side
from cloudsync.runtime.signals import PATIENCE_SECONDS, Interruption

_LOOK_SECONDS = 0.2
AS_PLANNED = "all of it is there"


def carry_out(
    configuration: Configuration,
    considered: tuple[Considered, ...],
    deadline: Deadline,
    interruption: Interruption,
    progress: Progress,
) -> tuple[Outcome, ...]:
    """Run the steps of all firewalls that no guard withholds. Raises nothing but bugs of our
    own."""
    todo: dict[str, list[Considered]] = {}
    for one in considered:
        if one.steps and not one.withheld:
            todo.setdefault(one.account.name, []).append(one)
    tried: dict[str, Outcome] = {}
    if todo:
        _write_all(configuration, todo, tried, deadline, interruption, progress)
        until = (
            deadline.over
            if interruption.number is None
            else min(deadline.over, time.monotonic() + PATIENCE_SECONDS)
        )
        written = {
            one.plan.name: (name, one.spec)
            for name, firewalls in todo.items()
            for one in firewalls
            if tried[one.plan.name].status != "not-begun"
        }
        again = accounts_of(
            configuration, {account for account, _ in written.values()}, until, progress
        )
        found = observe(configuration, again, written)
        for one in considered:
            if (name := one.plan.name) in written:
                tried[name] = _read_back(tried[name], one, found[name])
    return tuple(tried.get(one.plan.name) or _untouched(one) for one in considered)


def _write_all(
    configuration: Configuration,
    todo: dict[str, list[Considered]],
    tried: dict[str, Outcome],
    deadline: Deadline,
    interruption: Interruption,
    progress: Progress,
) -> None:
    """Fill `tried`. After a signal it waits for the steps under way, and for no more than their
    time."""
    accounts = accounts_of(configuration, todo, deadline.writing, progress)
    sofar: dict[str, Outcome] = {}
    pool = ThreadPoolExecutor(len(todo), thread_name_prefix="account")
    running: set[Future[None]] = {
        pool.submit(_write, configuration, accounts[name], todo[name], sofar, interruption)
        for name in todo
    }
    unfinished = running
    while unfinished and not interruption.impatient:
        _, unfinished = wait(unfinished, timeout=_LOOK_SECONDS)
    pool.shutdown(wait=False, cancel_futures=True)
    for future in running - unfinished:
        future.result()
    stopped = f"stopped by {interruption.name} before its first step"
    for firewalls in todo.values():
        for one in firewalls:
            name = one.plan.name
            tried[name] = sofar.get(name) or Outcome(
                name, "not-begun", message=stopped, stopped=True
            )


def _write(
    configuration: Configuration,
    account: Account,
    todo: list[Considered],
    sofar: dict[str, Outcome],
    interruption: Interruption,
) -> None:
    try:
        writer = configuration.accounts[account.name].provider.open_writer(account)
    except ProviderError as error:
        sofar.update(
            {one.plan.name: Outcome(one.plan.name, "failed", message=error.message) for one in todo}
        )
        return
    at_once = min(
        configuration.accounts[account.name].provider.capabilities.at_once,
        configuration.run.concurrency,
        len(todo),
    )
    with side_by_side(at_once, "firewall") as pool:
        for _ in pool.map(lambda one: _run(writer, one, sofar, interruption), todo):
            pass


def _run(
    writer: Writer, one: Considered, sofar: dict[str, Outcome], interruption: Interruption
) -> None:
    name, count = one.plan.name, len(one.steps)
    for number, step in enumerate(one.steps):
        if interruption.number is not None:
            if number:
                message = f"stopped by {interruption.name} after {number} of {count} steps"
                sofar[name] = Outcome(name, "failed", message=message, stopped=True)
            return
        # What stands here while the step runs is what holds if it is abandoned.
        sofar[name] = Outcome(
            name,
            "unknown",
            message=f"{step.summary}: abandoned while it was under way",
            stopped=True,
        )
        try:
            writer.run(step)
        except ProviderError as error:
            message = f"{step.summary}: {error.message}"
            status: Status = "unknown" if error.fate_unknown else "failed"
            sofar[name] = Outcome(
                name, status, message=message, conflict=isinstance(error, Conflict)
            )
            return
        except Exception as error:  # noqa: BLE001 - a plugin's bug must not leave the other firewalls half done
            message = f"{step.summary}: the provider plugin failed: {type(error).__name__}"
            sofar[name] = Outcome(name, "unknown", message=message)
            return
    sofar[name] = Outcome(name, "done")


def _read_back(outcome: Outcome, one: Considered, found: Observation) -> Outcome:
    """What was really done: the difference between what was seen before and what is there now."""
    before = one.observed.rules if isinstance(one.observed, Present) else NOTHING
    outcome = replace(outcome, before=before)
    if isinstance(found, Unreadable):
        message = f"{outcome.message or 'written'}; what is there now could not be read: {found.error.message}"
        return replace(outcome, status="unknown", message=message)
    now = found.rules if isinstance(found, Present) else NOTHING
    outcome = replace(
        outcome, after=now, opened=len(tuple(now - before)), closed=len(tuple(before - now))
    )
    if outcome.status != "done":
        return replace(
            outcome, message=f"{outcome.message}; found afterwards: {_found(one, found)}"
        )
    if (differs := _found(one, found)) != AS_PLANNED:
        return replace(outcome, status="failed", message=f"written, but {differs}")
    return outcome


def _found(one: Considered, found: Present | Absent) -> str:
    """How what is there compares with what was to be there, in words."""
    if isinstance(found, Absent):
        return "the firewall does not exist"
    missing, beyond = one.target.rules - found.rules, found.rules - one.target.rules
    problems = [f"{rule} is not open" for rule in missing] + [f"{rule} is open" for rule in beyond]
    asked = {attachment.target for attachment in one.target.attach}
    problems += [
        f"{a.target} is not attached"
        for a in found.attachments
        if a.target in asked and not a.attached
    ]
    problems += [f"{pending.target}: {pending.reason}" for pending in found.pending]
    if one.target.release:
        problems += ["the owner marker is still there"] if found.marker is not None else []
    elif found.marker != one.spec.marker:
        problems.append("the owner marker is not there")
    return (
        ", ".join(problems[:5]) + (f" and {len(problems) - 5} more" if len(problems) > 5 else "")
        or AS_PLANNED
    )


def _untouched(one: Considered) -> Outcome:
    name = one.plan.name
    before = one.observed.rules if isinstance(one.observed, Present) else None
    if isinstance(one.observed, Unreadable):
        return Outcome(name, "not-begun", message=one.observed.error.message)
    if one.withheld:
        return Outcome(
            name, "refused", message="; ".join(guard.message for guard in one.guards), before=before
        )
    return Outcome(name, "unchanged", before=before)
