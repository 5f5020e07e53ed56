"""What an apply did, in words: ports and machines by name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from cloudsync.model.outcome import Outcome, Report
from cloudsync.model.plan import FirewallPlan
from cloudsync.provider.phrases import count
from cloudsync.render.blocks import Line, Style
from cloudsync.render.escape import plain
from cloudsync.render.words import listed, message, origin_name, port_list
from cloudsync.rules import NOTHING, Rule, RuleSet

_SHOWN = 8


def result(outcome: Outcome, firewall: FirewallPlan | None = None) -> str:
    """`created, attached to server 42; opened 22, 80, 443/tcp; closed 8080/tcp`: what was done to
    one firewall. `firewall`: its plan, for what is no port."""
    done = []
    if firewall is not None and outcome.status == "done":
        done = _besides_ports(firewall)
    phrases = [", ".join(done)] if done else []
    opened, closed = _difference(outcome, firewall)
    if opened:
        phrases.append(f"opened {port_list(opened, _SHOWN)}{_openers(firewall, opened)}")
    elif outcome.opened:
        phrases.append(f"opened {count(outcome.opened, 'port')}")
    if closed:
        phrases.append(f"closed {port_list(closed, _SHOWN)}")
    elif outcome.closed:
        phrases.append(f"closed {count(outcome.closed, 'port')}")
    return "; ".join(phrases)


def _besides_ports(firewall: FirewallPlan) -> list[str]:
    names = {"create": "created", "adopt": "adopted"}
    done = [names[change.action] for change in firewall.changes if change.action in names]
    machines = {machine.target: machine.machine for machine in firewall.standing.machines}
    for verb, action in (("attached to", "attach"), ("put into effect on", "reapply")):
        targets = [
            machines.get(change.target or "", change.target or "?")
            for change in firewall.changes
            if change.action == action and not change.in_place and not change.lifts_denial
        ]
        if targets:
            done.append(f"{verb} {listed(targets, 5)}")
    if lifted := [change.target or "?" for change in firewall.changes if change.lifts_denial]:
        done.append(f"lifted {listed(lifted, 5)}")
    done += [f"put {change.target} in place" for change in firewall.changes if change.in_place]
    actions: list[str] = [change.action for change in firewall.changes]
    if rewritten := actions.count("rewrite"):
        done.append(f"rewrote {count(rewritten, 'rule')}")
    return done


def _difference(
    outcome: Outcome, firewall: FirewallPlan | None
) -> tuple[tuple[Rule, ...], tuple[Rule, ...]]:
    """What opened and what closed: by the rules of the plan if they say just that, else as the
    difference of the sets."""
    if outcome.after is None:
        return (), ()
    before = outcome.before if outcome.before is not None else NOTHING
    opened, closed = outcome.after - before, before - outcome.after
    return _as_planned(opened, "open", firewall), _as_planned(closed, "close", firewall)


def _as_planned(what: RuleSet, action: str, firewall: FirewallPlan | None) -> tuple[Rule, ...]:
    changes = firewall.changes if firewall is not None else ()
    rules = tuple(c.rule for c in changes if c.action == action and c.rule is not None)
    if RuleSet.of(rules) != what:
        return tuple(what)
    return tuple(sorted(rules, key=lambda rule: (rule.protocol, rule.first)))


def _openers(firewall: FirewallPlan | None, opened: tuple[Rule, ...]) -> str:
    """` (ev1)`: who needs it, if it is little."""
    if firewall is None or len(opened) > 2:
        return ""
    names = [
        origin_name(origin)
        for change in firewall.changes
        if change.action == "open"
        for origin in change.origins
        if origin.container or origin.service
    ]
    return f" ({listed(dict.fromkeys(names), 3)})" if names else ""


def sum_of(report: Report) -> str:
    """`2 done, 1 not begun, 1 unknown`: firewalls by how they ended."""
    counts: Counter[str] = Counter(outcome.status for outcome in report.outcomes)
    order = ("done", "failed", "unknown", "not-begun", "refused", "unchanged")
    return ", ".join(
        f"{counts[status]} {status.replace('-', ' ')}" for status in order if counts[status]
    )


def lines(report: Report) -> Iterator[Line]:
    """What was really done, firewall by firewall; what stayed as it was is not listed next to what
    changed."""
    if report.moved is not None:
        yield Line(
            f"Nothing was applied, this is not the approved plan any more: {message(report.moved)}",
            "error",
        )
        return
    if report.declined:
        yield Line("Nothing was applied.", "title")
        return
    plans = {firewall.name: firewall for firewall in report.plan.firewalls}
    for outcome in report.outcomes:
        yield _outcome(outcome, plans.get(outcome.firewall))
    if _trouble(report) and len(report.outcomes) > 1:
        yield Line(
            f"Not all of it was applied: {sum_of(report)}. The next run finishes it.", "error"
        )
    yield from (Line(message(note), "warning", "! ") for note in report.notes)


def _outcome(outcome: Outcome, firewall: FirewallPlan | None) -> Line:
    done = plain(result(outcome, firewall), 1500)
    phrase = {
        "done": done or "done",
        "unchanged": "nothing to do",
        "refused": "left as it is, a guard refused it (see above)",
        "failed": f"failed{f' ({done})' if done else ', nothing was changed'}",
        "unknown": f"unknown{f' ({done} as far as known)' if done else ''}",
        "not-begun": "not begun",
    }[outcome.status]
    if outcome.message and outcome.status != "refused":
        phrase += f": {message(outcome.message)}"
    style: Style = "error"
    if outcome.status in ("done", "unchanged"):
        style = "open" if outcome.status == "done" else "quiet"
    return Line(f"{plain(outcome.firewall)}: {phrase}", style)


def _trouble(report: Report) -> bool:
    return any(
        outcome.status in ("failed", "unknown") or outcome.stopped for outcome in report.outcomes
    )


def changes(report: Report) -> tuple[str, ...]:
    """`web: opened 443/tcp`, for each firewall that is not what it was before; not yet harmless."""
    plans = {firewall.name: firewall for firewall in report.plan.firewalls}
    return tuple(
        f"{outcome.firewall}: {result(outcome, plans.get(outcome.firewall)) or 'done'}"
        for outcome in report.outcomes
        if outcome.status == "done" or outcome.opened or outcome.closed
    )


def brief(report: Report) -> tuple[str, ...]:
    """For `--quiet`: what changed, a line for each firewall; empty if nothing did."""
    return tuple(plain(phrase, 1500) for phrase in changes(report))
