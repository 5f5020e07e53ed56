"""A plan for a terminal: what could not be read first, then every firewall, then what it comes to.
Pure: `screen` lays it out, `cli` prints it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from cloudsync.model.plan import Change, FirewallPlan, Guard, Held, Plan, Refused
from cloudsync.model.ports import name_of
from cloudsync.planning.sensitive_ports import ADMIN, is_world
from cloudsync.planning.unpublished import is_unnamed
from cloudsync.provider.phrases import count, first_of
from cloudsync.render import exposure, networks, several_hosts, words
from cloudsync.render.blocks import BLANK, Block, Line, Row, Style, Table
from cloudsync.render.escape import plain
from cloudsync.render.exposure import reached
from cloudsync.render.result import brief
from cloudsync.render.result import lines as report
from cloudsync.render.screen import joined
from cloudsync.render.verdict import (
    feasible,
    grouped,
    incomplete,
    needs_yes,
    not_opened,
    summary,
    unread_hosts,
)
from cloudsync.render.words import PLAIN, Vocabulary
from cloudsync.rules import Rule

__all__ = ["Line", "brief", "feasible", "joined", "plan", "reached", "report", "unread"]
_SIGNS: dict[str, tuple[str, Style]] = {
    "create": ("+", "open"),
    "adopt": ("~", "attach"),
    "attach": ("~", "attach"),
    "reapply": ("~", "attach"),
    "rewrite": ("~", "attach"),
    "open": ("+", "open"),
    "close": ("-", "close"),
}
_ADMIN_REMARK = "is often an admin page"
_CUT_OFF = 5
"""Published ports that are named as those that an attachment closes."""


def plan(
    shown: Plan,
    *,
    verbose: bool = False,
    vocabulary: Vocabulary = PLAIN,
    changes_only: bool = False,
    asking: bool = False,
) -> Iterator[Block]:
    """The plan as a tired person understands it. `changes_only`: nothing but changes and
    trouble. `asking`: a question follows that says what a yes grants."""
    yield from unread(shown)
    for text in shown.malformed:
        yield Line(f"malformed label: {plain(text)}", "warning", "! ")
    for firewall in shown.firewalls:
        if not changes_only or _has_something(firewall, shown):
            yield from _firewall(firewall, shown, vocabulary, verbose=verbose, asking=asking)
    if shown.unassigned and not changes_only:
        yield BLANK
        yield Line("Required, but the host feeds no firewall:", "title")
        yield Table(tuple(_refusals(shown.unassigned, 2)))
    orphans = tuple(exposure.orphans(shown.orphans))
    if orphans:
        yield BLANK
        yield from (Line(plain(orphan.text), "warning", "! ") for orphan in orphans)
    if not changes_only:
        yield from _notes(shown, verbose=verbose)
    yield from _sum(shown, asking=asking)


def unread(shown: Plan) -> Iterator[Line]:
    """Hosts and networks that could not be read, and why."""
    for name, status in shown.hosts:
        if status.status != "complete":
            how = "read completely" if status.status == "partial" else "read"
            yield Line(
                f"{plain(name)} could not be {how} ({plain(status.reason or '', 1500)}). What is "
                "open for it stays open; nothing closes.",
                "warning",
                "! ",
            )
    yield from (
        Line(sentence, "warning", "! ")
        for sentence in networks.unread(shown.networks, shown.created)
    )


def _has_something(firewall: FirewallPlan, shown: Plan) -> bool:
    return (
        bool(firewall.changes)
        or firewall.read.status != "complete"
        or any(guard.firewall == firewall.name for guard in shown.guards)
        or any(trouble.weight == "beyond" for trouble in exposure.troubles(firewall))
    )


def _firewall(
    firewall: FirewallPlan, shown: Plan, vocabulary: Vocabulary, *, verbose: bool, asking: bool
) -> Iterator[Block]:
    guards = [guard for guard in shown.guards if guard.firewall == firewall.name]
    yield BLANK
    name = f"{plain(firewall.name)}  ({plain(firewall.provider)}: {plain(firewall.identity)})"
    yield Line(name, "title", aside=_state(firewall))
    if firewall.read.status != "complete":
        reason = plain(firewall.read.reason or "", 1500)
        yield Line(f"not read, so nothing is changed: {reason}", "error", "! ", 2)
        return
    yield from _acts(firewall, shown)
    yield from _answer_needed(firewall, guards, asking=asking)
    rows = list(_changes(firewall, vocabulary))
    rows += _held(firewall, shown, vocabulary)
    rows += _refusals(firewall.refused, len(firewall.hosts))
    yield Table(tuple(rows))
    for guard in guards:
        if guard.id != "attach":
            yield Line(_guard(guard), "error", "! ", 2)
    yield from _standing(firewall, verbose=verbose)
    if verbose:
        yield from (Line(words.message(text), "quiet", "kept: ", 2) for text in firewall.kept)
        yield from (
            Line(f"{words.message(step.summary)} ({step.kind})", "quiet", "step: ", 2)
            for step in firewall.steps
        )
    elif firewall.kept:
        rules = count(
            len(firewall.kept), "rule of others stays as it is", "rules of others stay as they are"
        )
        yield Line(f"{rules} (-v lists them)", "quiet", indent=2)
    if firewall.unchanged and firewall.changes:
        yield Line(f"{count(firewall.unchanged, 'rule')} unchanged", "quiet", indent=2)


def _state(firewall: FirewallPlan) -> str:
    if firewall.exists is False:
        return "does not exist yet"
    if any(held.reason == "unknown-host" for held in firewall.held):
        return ""
    if firewall.read.status == "complete" and not firewall.changes:
        return f"nothing to do, {count(firewall.unchanged, 'rule')} unchanged"
    return ""


def _acts(firewall: FirewallPlan, shown: Plan) -> Iterator[Line]:
    """What happens to the firewall as a whole, and what an attachment means for its machines."""
    attaching = [change for change in firewall.changes if change.action == "attach"]
    names = {machine.target: machine.machine for machine in firewall.standing.machines}
    targets = [_machine(change, names) for change in attaching if not change.in_place]
    for change in firewall.changes:
        if change.action == "create":
            attach = f", and attach it to {words.listed(targets, 5)}" if targets else ""
            yield Line(f"create it{attach}", "open", "+ ", 2)
        elif change.action == "adopt":
            yield Line(f"adopt it: {plain(change.reason)}", "attach", "~ ", 2)
        elif change.action == "reapply":
            what = plain(words.change(change))
            yield Line(f"{what}: {plain(change.reason)}", "attach", "~ ", 2)
    for change in attaching:
        if change.in_place:
            yield Line(plain(words.change(change)), "attach", "~ ", 2)
    if targets and firewall.exists is not False:
        yield Line(f"attach it to {words.listed(targets, 5)}", "attach", "~ ", 2)
    opened_now = [change for change in attaching if change.opens_now]
    if opened_now:
        distinct = dict.fromkeys(plain(change.reason) for change in opened_now)
        reasons = first_of(distinct, 3, "; ", "reason")
        yield Line(f"{reasons}. What is not listed here closes{_such_as(firewall)}.", indent=4)
    if targets or firewall.exists is False:
        for text in _named_once(firewall, shown):
            yield Line(f"{plain(text, 1500)}. What is not named closes.", "warning", "! ", 4)


def _answer_needed(firewall: FirewallPlan, guards: list[Guard], *, asking: bool) -> Iterator[Line]:
    """How to allow an attachment that waits for a person."""
    if not any(guard.id == "attach" for guard in guards):
        return
    if others := [guard.id for guard in guards if guard.withholds == "firewall"][1:]:
        yield Line(f"Not possible yet: {', '.join(others)}, see below", "error", indent=4)
        return
    if asking:
        return
    yield Line(
        "Needs your yes: answer yes to `cloudsync apply`, or pass --allow-attach "
        f"{plain(firewall.name)}",
        "attach",
        indent=4,
    )


def _machine(change: Change, names: dict[str, str]) -> str:
    target = plain(change.target or "?")
    name = names.get(change.target or "")
    return f"{plain(name)} ({target})" if name and name != target else target


def _such_as(firewall: FirewallPlan) -> str:
    """The published ports that are not opened: they are open today, and people use them."""
    closing = [
        f"{words.port(refused.protocol, refused.ports)} ({plain(name_of(refused.origins[0]))})"
        for refused in firewall.refused
        if refused.ports and refused.origins
    ]
    return f", such as {', '.join(tuple(dict.fromkeys(closing))[:_CUT_OFF])}" if closing else ""


def _named_once(firewall: FirewallPlan, shown: Plan) -> Iterator[str]:
    """The same as sentences, in which a container of several hosts is named once."""
    about = [(host, *text.partition(": ")) for host, text in _unnamed(firewall, shown)]
    several = len(firewall.hosts) > 1
    yield from several_hosts.on_hosts(
        (name, host if several else "", colon + rest) for host, name, colon, rest in about
    )


def _unnamed(firewall: FirewallPlan, shown: Plan) -> Iterator[tuple[str, str]]:
    """Remarks on containers of its hosts that listen on ports no engine lists, with the host."""
    for host in firewall.hosts:
        for text in shown.warnings:
            if text.startswith(f"{host}: ") and is_unnamed(text):
                yield host, text.removeprefix(f"{host}: ")


def _changes(firewall: FirewallPlan, vocabulary: Vocabulary) -> Iterator[Row]:
    """A row for each rule; whole protocols that the same reason opens from the same networks are
    one row."""
    for alike in grouped(change for change in firewall.changes if change.action in _ROWS):
        row = _change(alike[0], firewall, vocabulary)
        if len(alike) > 1:
            ports = words.port_list(change.rule for change in alike if change.rule is not None)
            row = Row((f"{row.cells[0][0]} {ports}", *row.cells[1:]), row.style)
        yield row


_ROWS = ("open", "close", "rewrite")


def _change(change: Change, firewall: FirewallPlan, vocabulary: Vocabulary) -> Row:
    sign, style = _SIGNS[change.action]
    if change.rule is None:
        return Row((f"{sign} rewrite", plain(change.target or ""), plain(change.reason)), style)
    what = words.port(change.rule.protocol, change.rule.ports)
    reason = words.who(change, len(firewall.hosts)) if change.action == "open" else change.reason
    if change.action == "open" and _admin(change.rule):
        reason += f"  ! {_ADMIN_REMARK.removeprefix('is ')}"
    return Row((f"{sign} {what}", vocabulary.of_change(change), plain(reason, 1500)), style)


def _admin(rule: Rule) -> bool:
    return (
        rule.protocol == "tcp"
        and is_world(rule.sources)
        and any(rule.first <= port <= rule.last for port in ADMIN)
        and rule.last - rule.first < 1000
    )


def _held(firewall: FirewallPlan, shown: Plan, vocabulary: Vocabulary) -> list[Row]:
    """Rules that stay open although nothing requires them: those with the same reason as one."""
    groups: dict[tuple[object, ...], list[Held]] = {}
    for held in firewall.held:
        groups.setdefault((held.reason, held.detail, held.until), []).append(held)
    return [_holding(several, firewall, shown, vocabulary) for several in groups.values()]


def _holding(
    several: list[Held], firewall: FirewallPlan, shown: Plan, vocabulary: Vocabulary
) -> Row:
    first = several[0]
    why = _why_held(first, firewall, shown)
    if len(several) == 1:
        what = f"= {words.port(first.rule.protocol, first.rule.ports)}"
        return Row((what, vocabulary.sources(first.rule.sources), f"stays open{why}"), "warning")
    ports = words.port_list(held.rule for held in several)
    rules = count(len(several), "rule")
    return Row((f"= {rules}", "stay open", f"{why.strip(' :,')}: {ports}"), "warning")


def _why_held(held: Held, firewall: FirewallPlan, shown: Plan) -> str:
    if held.reason == "unknown-host":
        return f" because {plain(', '.join(unread_hosts(firewall, shown)))} could not be read"
    if any(guard.id == held.reason for guard in shown.guards):
        return f": the guard {plain(held.reason)} refuses to close it, see below"
    return f"{words.until(held.until, shown.created)}: {words.message(held.detail)}"


def _refusals(refused: Iterable[Refused], hosts: int) -> list[Row]:
    return [
        Row(
            (
                f"x {plain(_asked_port(refusal))}",
                "not opened",
                f"{plain(_who(refusal, hosts))}: {plain(refusal.reason)}",
            ),
            "quiet",
        )
        for refusal in several_hosts.refusals(refused)
    ]


def _asked_port(refused: Refused) -> str:
    """The port; `?/tcp` if only the engine will know the number."""
    unknown = not refused.ports and refused.protocol in ("tcp", "udp", "sctp")
    return words.port(refused.protocol, "?" if unknown else refused.ports)


def _who(refused: Refused, hosts: int = 1) -> str:
    return words.listed(words.origin_names(refused.origins, hosts), 4) or "configuration"


def _guard(guard: Guard) -> str:
    return (
        f"{guard.id}: {words.withheld(guard)}."
        f" {words.message(guard.message[:1].upper() + guard.message[1:])}"
    )


def _standing(firewall: FirewallPlan, *, verbose: bool) -> Iterator[Line]:
    for trouble in exposure.troubles(firewall, everything=verbose or bool(firewall.changes)):
        if trouble.weight == "quiet" and not verbose:
            continue
        mark = "! " if trouble.weight in ("warning", "beyond") else ""
        yield Line(words.message(trouble.text), trouble.weight, mark, 2 + 2 * trouble.depth)


def _notes(shown: Plan, *, verbose: bool) -> Iterator[Line]:
    rows = {change.rule for f in shown.firewalls for change in f.changes if change.action == "open"}
    on_rows = any(rule is not None and _admin(rule) for rule in rows)
    notes = [text for text in shown.warnings if verbose or not (on_rows and _ADMIN_REMARK in text)]
    named = {
        f"{host}: {text}"
        for firewall in shown.firewalls
        if any(change.action in ("create", "attach") for change in firewall.changes)
        for host, text in _unnamed(firewall, shown)
    }
    notes = [text for text in notes if text not in named]
    notes = list(several_hosts.remarks(notes, [name for name, _ in shown.hosts]))
    if not notes and not shown.networks:
        return
    yield BLANK
    yield from (
        Line(sentence, "quiet") for sentence in networks.read(shown.networks, shown.created)
    )
    if not notes:
        return
    if verbose or shown.has_changes:
        yield from (Line(words.message(text), "quiet", "note: ") for text in notes)
    else:
        yield Line(f"{count(len(notes), 'note')} (-v shows them)", "quiet")


def _sum(shown: Plan, *, asking: bool) -> Iterator[Line]:
    yield BLANK
    refused = not_opened(shown)
    closed = f" {count(refused, 'port is', 'ports are')} not opened." if refused else ""
    yield Line(summary(shown) + (closed if shown.has_changes else ""), "title")
    waiting = needs_yes(shown)
    if waiting and not asking:
        what = count(len(waiting), "thing needs", "things need")
        yield Line(f"{what} your yes (attach {words.listed(map(plain, waiting), 5)}).", "attach")
    others = [guard for guard in shown.guards if guard.firewall not in waiting]
    if others:
        names = dict.fromkeys(f"{guard.id} ({plain(guard.firewall)})" for guard in others)
        refuse = count(len(others), "guard refuses", "guards refuse")
        yield Line(f"{refuse} something: {words.listed(names, 5)}; see above.", "error")
    if (sentence := incomplete(shown)) is not None:
        yield Line(sentence, "warning")
