"""The whole story: read hosts and firewalls, decide, show (`plan`); lock, decide again, write, read back (`apply`).

`plan` is handed readers only; a writer exists nowhere but in `apply` (law 5).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Literal

from cloudsync import __version__
from cloudsync.approval import moved
from cloudsync.config.configuration import Configuration
from cloudsync.firewalls import Considered, consider
from cloudsync.fleet import Seen, look, spec_of, with_exposure
from cloudsync.orphans import orphans, unlooked
from cloudsync.plan import Granted, Guard, Plan, ReadStatus
from cloudsync.plan_document import digest
from cloudsync.policy import unassigned
from cloudsync.provider.contract import Absent, Account, FirewallSpec, Observation, Present, Progress, Unreadable, Writer, silent
from cloudsync.provider.errors import Conflict, ProviderError
from cloudsync.rules import RuleSet
from cloudsync.shared_ports import shared_ports
from cloudsync.sources.discovery import Complete, Discovery, Failed, Partial
from cloudsync.sources.hosts import read_hosts
from cloudsync.state.applied import last_ssh, record_ssh
from cloudsync.state.directory import prepare
from cloudsync.state.lock import locked

Status = Literal["done", "unchanged", "refused", "failed", "unknown", "not-begun"]


@dataclass(frozen=True, slots=True)
class Options:
    """`firewalls`: only these, by their names in the configuration; empty = all. `granted`: what the user allowed."""

    firewalls: tuple[str, ...] = ()
    granted: Granted = field(default_factory=Granted)


@dataclass(frozen=True, slots=True)
class Planned:
    """A plan, and what an apply would need to carry it out."""

    plan: Plan
    considered: tuple[Considered, ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an apply did to one firewall. `not-begun`: an earlier failure or a refusal to go on kept it from being touched.
    `conflict`: somebody else changed it meanwhile; to look and plan again may mend it."""

    firewall: str
    status: Status
    opened: int = 0
    closed: int = 0
    message: str | None = None
    conflict: bool = False


@dataclass(frozen=True, slots=True)
class Report:
    """`moved`: why the approved plan does not fit any more (then nothing was written). `declined`: the user said no."""

    plan: Plan
    outcomes: tuple[Outcome, ...] = ()
    moved: str | None = None
    declined: bool = False


def plan(configuration: Configuration, options: Options, progress: Progress = silent) -> Planned:
    """What an apply would change now, and why. Writes nothing, anywhere.

    Raises `StateError` where the state cannot be read.
    """
    chosen = [f for f in configuration.firewalls.values() if not options.firewalls or f.name in options.firewalls]
    fed = {host for firewall in configuration.firewalls.values() for host in firewall.hosts}
    wanted_hosts = {host for firewall in chosen for host in firewall.hosts}
    if not options.firewalls:
        wanted_hosts |= {host.name for host in configuration.hosts.values() if not host.retired and host.name not in fed}
    before = last_ssh(configuration.state, configuration.owner)
    specs = {f.name: spec_of(configuration, f) for f in chosen}
    seen: dict[str, Seen] = {}
    accounts = _accounts(configuration, {f.account for f in chosen}, progress)
    with ThreadPoolExecutor(1, thread_name_prefix="hosts") as beside:
        reading = beside.submit(read_hosts, configuration, sorted(wanted_hosts), progress)
        observed = _observe(configuration, accounts, {f.name: (f.account, specs[f.name]) for f in chosen}, seen)
        discoveries = reading.result()

    def judge(name: str, foreign: Guard | None = None) -> Considered:
        firewall = configuration.firewalls[name]
        account = accounts[firewall.account]
        granted, last = options.granted, before.get(name)
        one = consider(configuration, firewall, account, specs[name], observed[name], discoveries, last, granted, foreign)
        shared = shared_ports(configuration, firewall, one.target.rules, discoveries)
        return replace(one, plan=replace(one.plan, shared=shared))

    considered = with_exposure(configuration, [judge(firewall.name) for firewall in chosen], seen, judge)
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
            warnings=(*_warnings(considered, discoveries), *unlooked(seen)),
            orphans=orphans(configuration, considered, seen),
        ),
        considered,
    )


def apply(
    configuration: Configuration,
    options: Options,
    *,
    approved: Plan | None = None,
    expect: str | None = None,
    confirm: Callable[[Plan], bool] | None = None,
    lock_timeout: float = 0.0,
    progress: Progress = silent,
) -> Report:
    """Plan again, see that it is what was approved, write it, read it back.

    `approved`: a plan that bounds what may be done. `expect`: a digest that must be met exactly. `confirm`: asked with the fresh
    plan before the first write. Raises `LockHeld` and `StateError`, both before anything is written to a cloud.
    """
    prepare(configuration.state)
    with locked(configuration.state, configuration.owner, lock_timeout):
        planned = plan(configuration, options, progress)
        if (why := _not_approved(configuration, planned.plan, approved, expect)) is not None:
            return Report(planned.plan, moved=why)
        if confirm is not None and planned.plan.has_changes and not confirm(planned.plan):
            return Report(planned.plan, declined=True)
        outcomes = _carry_out(configuration, planned.considered, progress)
        outcomes = _once_more(configuration, options, planned.plan, outcomes, progress)
        _remember(configuration, planned.considered, outcomes)
        return Report(planned.plan, outcomes)


def _once_more(
    configuration: Configuration, options: Options, approved: Plan, outcomes: tuple[Outcome, ...], progress: Progress
) -> tuple[Outcome, ...]:
    """Where a write met somebody else's, look and plan again, once; within what was approved (law 6)."""
    names = tuple(outcome.firewall for outcome in outcomes if outcome.conflict)
    if not names:
        return outcomes
    again = plan(configuration, replace(options, firewalls=names), progress)
    if (why := moved(approved, again.plan)) is not None:
        return tuple(replace(one, message=f"{one.message}; planned again: {why}") if one.conflict else one for one in outcomes)
    second = {outcome.firewall: outcome for outcome in _carry_out(configuration, again.considered, progress)}
    return tuple(_merged(one, second[one.firewall]) if one.conflict else one for one in outcomes)


def _merged(first: Outcome, second: Outcome) -> Outcome:
    opened, closed = first.opened + second.opened, first.closed + second.closed
    if second.status in ("done", "unchanged"):
        return Outcome(first.firewall, "done", opened, closed)
    return replace(second, status="failed" if second.status == "refused" else second.status, opened=opened, closed=closed)


def _not_approved(configuration: Configuration, fresh: Plan, approved: Plan | None, expect: str | None) -> str | None:
    if expect is not None and (now := digest(fresh)) != expect:
        return f"the changes are not the expected ones any more: their digest is {now} now"
    if approved is None:
        return None
    oldest = configuration.policy.plan_max_age
    if fresh.created - approved.created > oldest:
        return f"the plan is older than policy.plan_max_age ({oldest})"
    return moved(approved, fresh)


def _accounts(configuration: Configuration, names: Iterable[str], progress: Progress) -> dict[str, Account]:
    deadline = time.monotonic() + configuration.run.deadline
    return {
        name: Account(name, configuration.accounts[name].settings, configuration.base, deadline, progress)
        for name in sorted(names)
    }


def _observe(
    configuration: Configuration,
    accounts: Mapping[str, Account],
    specs: Mapping[str, tuple[str, FirewallSpec]],
    seen: dict[str, Seen] | None = None,
) -> dict[str, Observation]:
    """Every firewall, read account by account side by side; one account that fails does not stop the others. `seen` is filled with what
    the same readers tell of machines and marks, where that is wanted."""

    def read(name: str) -> dict[str, Observation]:
        asked = [spec for account, spec in specs.values() if account == name]
        try:
            reader = configuration.accounts[name].provider.open_reader(accounts[name])
            found = reader.read(asked)
        except ProviderError as error:
            return {spec.name: Unreadable(error) for spec in asked}
        except Exception as error:  # noqa: BLE001 - a plugin's bug must not stop the other accounts
            bug = ProviderError(f"the provider plugin of {name!r} failed: {type(error).__name__}")
            return {spec.name: Unreadable(bug) for spec in asked}
        if seen is not None:
            seen[name] = look(configuration, name, reader, found)
        silence = ProviderError(f"the provider plugin of {name!r} said nothing of this firewall")
        return {spec.name: found.get(spec.name, Unreadable(silence)) for spec in asked}

    if not accounts:
        return {}
    with ThreadPoolExecutor(len(accounts), thread_name_prefix="account") as pool:
        return {name: one for part in pool.map(read, accounts) for name, one in part.items()}


def _carry_out(configuration: Configuration, considered: tuple[Considered, ...], progress: Progress) -> tuple[Outcome, ...]:
    """Run the steps, account by account side by side, then read back what was written."""
    todo: dict[str, list[Considered]] = {}
    for one in considered:
        if one.steps and not one.withheld:
            todo.setdefault(one.account.name, []).append(one)
    accounts = _accounts(configuration, todo, progress)
    tried: dict[str, Outcome] = {}
    if todo:
        with ThreadPoolExecutor(len(todo), thread_name_prefix="account") as pool:
            for part in pool.map(lambda name: _write(configuration, accounts[name], todo[name]), todo):
                tried.update(part)
        written = {one.plan.name: (one.account.name, one.spec) for name in todo for one in todo[name]}
        found = _observe(configuration, _accounts(configuration, todo, progress), written)
        for name in todo:
            for one in todo[name]:
                tried[one.plan.name] = _read_back(tried[one.plan.name], one, found[one.plan.name])
    return tuple(tried.get(one.plan.name) or _untouched(one) for one in considered)


def _write(configuration: Configuration, account: Account, todo: list[Considered]) -> dict[str, Outcome]:
    provider = configuration.accounts[account.name].provider
    try:
        writer = provider.open_writer(account)
    except ProviderError as error:
        return {one.plan.name: Outcome(one.plan.name, "failed", message=error.message) for one in todo}
    return {one.plan.name: _run(writer, one) for one in todo}


def _run(writer: Writer, one: Considered) -> Outcome:
    for step in one.steps:
        try:
            writer.run(step)
        except ProviderError as error:
            message = f"{step.summary}: {error.message}"
            status: Status = "unknown" if error.fate_unknown else "failed"
            return Outcome(one.plan.name, status, message=message, conflict=isinstance(error, Conflict))
        except Exception as error:  # noqa: BLE001 - a plugin's bug must not leave the other firewalls half done
            return Outcome(
                one.plan.name, "unknown", message=f"{step.summary}: the provider plugin failed: {type(error).__name__}"
            )
    return Outcome(one.plan.name, "done")


def _read_back(outcome: Outcome, one: Considered, found: Observation) -> Outcome:
    """What was really done: the difference between what was seen before and what is there now."""
    if isinstance(found, Unreadable):
        message = f"{outcome.message or 'written'}; what is there now could not be read: {found.error.message}"
        return replace(outcome, status="unknown", message=message)
    before = one.observed.rules if isinstance(one.observed, Present) else RuleSet()
    now = found.rules if isinstance(found, Present) else RuleSet()
    outcome = replace(outcome, opened=len(tuple(now - before)), closed=len(tuple(before - now)))
    if outcome.status != "done":
        return replace(outcome, message=f"{outcome.message}; found afterwards: {_found(one, found)}")
    if (differs := _found(one, found)) != "all of it is there":
        return replace(outcome, status="failed", message=f"written, but {differs}")
    return outcome


def _found(one: Considered, found: Present | Absent) -> str:
    """How what is there compares with what was to be there, in words."""
    if isinstance(found, Absent):
        return "the firewall does not exist"
    missing, beyond = one.target.rules - found.rules, found.rules - one.target.rules
    problems = [f"{rule} is not open" for rule in missing] + [f"{rule} is open" for rule in beyond]
    asked = {attachment.target for attachment in one.target.attach}
    problems += [f"{a.target} is not attached" for a in found.attachments if a.target in asked and not a.attached]
    problems += [f"{pending.target}: {pending.reason}" for pending in found.pending]
    if found.marker != one.spec.marker:
        problems.append("the owner marker is not there")
    return ", ".join(problems[:5]) + (f" and {len(problems) - 5} more" if len(problems) > 5 else "") or "all of it is there"


def _untouched(one: Considered) -> Outcome:
    if isinstance(one.observed, Unreadable):
        return Outcome(one.plan.name, "not-begun", message=one.observed.error.message)
    if one.withheld:
        return Outcome(one.plan.name, "refused", message="; ".join(guard.message for guard in one.guards))
    return Outcome(one.plan.name, "unchanged")


def _remember(configuration: Configuration, considered: tuple[Considered, ...], outcomes: tuple[Outcome, ...]) -> None:
    """Keep the SSH that was applied, for law 2's guard; written only where it differs."""
    ssh = configuration.ssh
    held = {
        outcome.firewall
        for outcome, one in zip(outcomes, considered, strict=True)
        if outcome.status == "done" or (outcome.status == "unchanged" and one.plan.exists)
    }
    known = last_ssh(configuration.state, configuration.owner)
    fresh = {name: (ssh.ports, ssh.sources) for name in sorted(held) if known.get(name) != ssh.rules}
    if fresh:
        record_ssh(configuration.state, configuration.owner, fresh)


def _status(discovery: Discovery) -> ReadStatus:
    if isinstance(discovery, Failed):
        return ReadStatus("failed", discovery.reason, temporary=discovery.temporary)
    if isinstance(discovery, Partial):
        return ReadStatus("partial", "; ".join(discovery.reasons), temporary=discovery.temporary)
    return ReadStatus("complete")


def _malformed(discoveries: Mapping[str, Discovery]) -> tuple[str, ...]:
    return tuple(
        f"{one.origin.container or one.origin.host} on {host}: {one.problem}"
        for host, discovery in discoveries.items()
        if isinstance(discovery, Complete | Partial)
        for one in discovery.malformed
    )


def _warnings(considered: tuple[Considered, ...], discoveries: Mapping[str, Discovery]) -> tuple[str, ...]:
    said = [f"{one.plan.name}: {text}" for one in considered for text in one.warnings]
    for host, discovery in discoveries.items():
        if isinstance(discovery, Complete | Partial):
            said += [f"{host}: {text}" for text in discovery.remarks]
    return tuple(dict.fromkeys(said))
