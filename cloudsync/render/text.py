"""A plan and a report for a terminal: pure functions to lines with a style each; `cli` decides
about colours."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal, NamedTuple

from cloudsync.model.outcome import Report
from cloudsync.model.plan import FirewallPlan, Plan, Refused
from cloudsync.model.ports import Origin
from cloudsync.render import exposure, words
from cloudsync.render.escape import plain

Style = Literal["plain", "title", "open", "close", "attach", "quiet", "warning", "error"]
_ANSI: dict[str, str] = {
    "title": "1",
    "open": "32",
    "close": "31",
    "attach": "33",
    "quiet": "2",
    "warning": "33",
    "error": "1;31",
}


class Line(NamedTuple):
    """One line of output, already harmless."""

    text: str
    style: Style = "plain"


def plan(shown: Plan, *, verbose: bool = False) -> Iterator[Line]:
    """The plan as a tired person understands it: what is not known first, then every firewall, then
    what refuses, then the sum."""
    for name, status in shown.hosts:
        if status.status != "complete":
            yield Line(
                f"! host {plain(name)} was not read completely ({status.status}): {plain(status.reason or '')}",
                "warning",
            )
            yield Line("  Its open ports stay open; nothing closes because of it.", "quiet")
    for text in shown.malformed:
        yield Line(f"! malformed label: {plain(text)}", "warning")
    for firewall in shown.firewalls:
        yield from _firewall(firewall, shown, verbose=verbose)
    if shown.unassigned:
        yield Line("")
        yield Line("Required, but the host feeds no firewall:", "title")
        yield from _refusals(shown.unassigned)
    yield from (
        Line(f"! {plain(said.text)}", said.weight) for said in exposure.orphans(shown.orphans)
    )
    if shown.warnings:
        yield Line("")
        yield from (Line(f"note: {plain(text)}", "quiet") for text in shown.warnings)
    yield Line("")
    yield Line(words.summary(shown), "title")
    if shown.guards:
        yield Line(f"{len(shown.guards)} refused by a guard, see above.", "warning")


def _firewall(firewall: FirewallPlan, shown: Plan, *, verbose: bool) -> Iterator[Line]:
    guards = [guard for guard in shown.guards if guard.firewall == firewall.name]
    yield Line("")
    yield Line(
        f"{plain(firewall.name)}  ({plain(firewall.provider)}: {plain(firewall.identity)})", "title"
    )
    if firewall.read.status != "complete":
        yield Line(
            f"  ! not read, so nothing is changed: {plain(firewall.read.reason or '')}", "error"
        )
        return
    for change in firewall.changes:
        sign, style = _signs[change.action]
        yield Line(f"  {sign} {plain(words.change(change))}   {plain(change.reason)}", style)
    for held in firewall.held:
        until = words.until(held.until, shown.created)
        yield Line(
            f"  = {plain(words.rule(held.rule))} stays open{until} ({plain(held.reason)}): {plain(held.detail)}",
            "warning",
        )
    yield from _refusals(firewall.refused)
    if verbose:
        yield from (Line(f"  kept: {plain(text)}", "quiet") for text in firewall.kept)
        yield from (
            Line(f"  step: {plain(step.summary)} ({step.kind})", "quiet") for step in firewall.steps
        )
    elif firewall.kept:
        yield Line(
            f"  {len(firewall.kept)} kept: by policy, for their sources that are no networks, or as somebody else's (-v lists them)",
            "quiet",
        )
    for guard in guards:
        what = words.withheld(guard)
        yield Line(f"  ! {guard.id}: {what} left undone: {plain(guard.message, 1500)}", "error")
    for said in exposure.troubles(firewall, everything=verbose):
        yield Line(
            f"  {'  ' * said.depth}{_MARKS[said.weight]}{plain(said.text, 1500)}", said.weight
        )
    if firewall.unchanged:
        yield Line(f"  {firewall.unchanged} unchanged", "quiet")


def reached(shown: Plan) -> Iterator[Line]:
    """What the Internet reaches, for `cloudsync exposure`."""
    for said in exposure.report(shown):
        if said.weight == "title":
            yield Line("")
        yield Line(f"{'  ' * said.depth}{_MARKS[said.weight]}{plain(said.text, 1500)}", said.weight)


_MARKS = {"title": "", "plain": "", "quiet": "", "warning": "! ", "error": "! "}
_signs: dict[str, tuple[str, Style]] = {
    "create": ("+", "open"),
    "adopt": ("~", "attach"),
    "attach": ("~", "attach"),
    "reapply": ("~", "attach"),
    "open": ("+", "open"),
    "close": ("-", "close"),
    "rewrite": ("~", "attach"),
}


def _refusals(refused: Iterable[Refused]) -> Iterator[Line]:
    for one in refused:
        who = ", ".join(dict.fromkeys(_who(origin) for origin in one.origins))
        yield Line(
            f"  x {plain(words.port(one.protocol, one.ports))} not opened ({one.code}): {plain(one.reason)}   {plain(who)}".rstrip(),
            "quiet",
        )


def _who(origin: Origin) -> str:
    name = (
        f"{origin.project}/{origin.service}"
        if origin.project and origin.service
        else origin.container
    )
    place = f", {origin.file}:{origin.line}" if origin.file else ""
    return (f"{name} on {origin.host}" if name else origin.host) + place


def report(done: Report) -> Iterator[Line]:
    """What was really done, firewall by firewall."""
    if done.moved is not None:
        yield Line(
            f"Nothing was applied, this is not the approved plan any more: {plain(done.moved, 1500)}",
            "error",
        )
        return
    if done.declined:
        yield Line("Nothing was applied.", "title")
        return
    for outcome in done.outcomes:
        counts = f"{outcome.opened} opened, {outcome.closed} closed"
        text = {
            "done": f"done: {counts}",
            "unchanged": "nothing to do",
            "refused": "left undone, a guard refuses it",
            "failed": f"failed ({counts})",
            "unknown": f"unknown ({counts} as far as known)",
            "not-begun": "not begun",
        }[outcome.status]
        detail = (
            f": {plain(outcome.message, 1500)}"
            if outcome.message and outcome.status != "refused"
            else ""
        )
        style: Style = (
            "open"
            if outcome.status == "done"
            else "quiet"
            if outcome.status == "unchanged"
            else "error"
        )
        yield Line(f"{plain(outcome.firewall)}: {text}{detail}", style)
    trouble = any(
        outcome.status in ("failed", "unknown") or outcome.stopped for outcome in done.outcomes
    )
    if trouble and len(done.outcomes) > 1:
        yield Line(
            f"Not all of it was applied: {words.sum_of(done)}. The next run finishes it.", "error"
        )
    yield from (Line(f"note: {plain(text)}", "warning") for text in done.notes)


def one_line(done: Report) -> str | None:
    """For `--quiet`: what changed, in one line; None where nothing did."""
    changed = [outcome for outcome in done.outcomes if outcome.status == "done"]
    if not changed:
        return None
    opened, closed = (
        sum(outcome.opened for outcome in changed),
        sum(outcome.closed for outcome in changed),
    )
    return f"cloudsync apply: {opened} opened, {closed} closed on {', '.join(plain(outcome.firewall) for outcome in changed)}"


def joined(lines: Iterable[Line], *, colour: bool) -> str:
    """Lines as text, with ANSI styles where `colour` says so."""
    if not colour:
        return "\n".join(line.text for line in lines).strip("\n")
    return "\n".join(
        f"\x1b[{_ANSI[line.style]}m{line.text}\x1b[0m"
        if line.style in _ANSI and line.text
        else line.text
        for line in lines
    ).strip("\n")
