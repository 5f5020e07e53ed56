"""A run entered into the memory: counters counted on, figures of the firewalls it looked at
replaced. Changes the memory, nothing else."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from cloudsync.model.outcome import Outcome
from cloudsync.model.plan import FirewallPlan, Plan
from cloudsync.notify.counters import Figures, Memory, Streak
from cloudsync.notify.run import Run


def tally(memory: Memory, run: Run, firewalls: Iterable[str]) -> None:
    """`firewalls`: the names of the configuration; what is remembered of others is forgotten."""
    memory.last_run, memory.last_seconds = run.started + run.seconds, run.seconds
    if run.well or not run.succeeded:
        memory.last_code = run.code
    memory.runs[run.code] = memory.runs.get(run.code, 0) + 1
    for kind, count in run.errors().items():
        memory.errors[kind] = memory.errors.get(kind, 0) + count
    if run.report is not None:
        plan = run.report.plan
        hosts = {name: status.status == "complete" for name, status in plan.hosts}
        memory.hosts = {**memory.hosts, **hosts} if run.firewalls else hosts
        _enter(memory, plan, {outcome.firewall: outcome for outcome in run.report.outcomes})
    known = set(firewalls)
    memory.firewalls = {
        name: figures for name, figures in sorted(memory.firewalls.items()) if name in known
    }
    if run.well:
        memory.last_success = memory.last_run
        memory.streak = (
            memory.streak.model_copy(update={"over": True})
            if memory.streak and memory.streak.reported
            else None
        )
    elif not run.succeeded and not run.skipped and (memory.streak is None or memory.streak.over):
        memory.streak = Streak(since=memory.last_run)


def _enter(memory: Memory, plan: Plan, outcomes: dict[str, Outcome]) -> None:
    for firewall in plan.firewalls:
        before = memory.firewalls.get(firewall.name)
        memory.firewalls[firewall.name] = _figures(
            plan, firewall, outcomes.get(firewall.name), before
        )


def _figures(
    plan: Plan, firewall: FirewallPlan, outcome: Outcome | None, before: Figures | None
) -> Figures:
    differing = sum(change.action in ("open", "close") for change in firewall.changes)
    changes = Counter(
        before.changes if before is not None and before.provider == firewall.provider else {}
    )
    done = outcome is not None and outcome.status == "done"
    if outcome is not None:
        changes["open"] += outcome.opened
        changes["close"] += outcome.closed
    if done:
        changes.update(
            change.action for change in firewall.changes if change.action not in ("open", "close")
        )
    return Figures(
        provider=firewall.provider,
        read=firewall.read.status == "complete",
        drift=differing,
        pending=0
        if done
        else max(differing - (outcome.opened + outcome.closed if outcome is not None else 0), 0),
        held=Counter(held.reason for held in firewall.held),
        refused=Counter(refused.code for refused in firewall.refused),
        guards=Counter(guard.id for guard in plan.guards if guard.firewall == firewall.name),
        foreign=_foreign(firewall),
        changes=dict(changes),
    )


def _foreign(firewall: FirewallPlan) -> int | None:
    """Rules by which other firewalls let the Internet in; None where nobody looked, or the machines
    could not be read."""
    standing = firewall.standing
    if standing.read is None or standing.read.status != "complete":
        return None
    return sum(len(machine.beyond) for machine in standing.machines)
