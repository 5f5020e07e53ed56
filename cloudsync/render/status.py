"""The table of `cloudsync status`, and the same as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from cloudsync.model.plan import Plan
from cloudsync.model.ports import name_of
from cloudsync.planning.policy import SSH_REASON
from cloudsync.planning.status import StatusRow
from cloudsync.render import exposure, words
from cloudsync.render.blocks import BLANK, Block, Line, Row, Style, Table
from cloudsync.render.escape import plain
from cloudsync.render.several_hosts import on_hosts
from cloudsync.render.text import unread
from cloudsync.render.verdict import incomplete, summary, unread_hosts
from cloudsync.render.words import PLAIN, Vocabulary
from cloudsync.rules.networks import ANY, NetworkSet

FORMAT_VERSION = "1.1"
_STYLES: dict[str, Style] = {"open": "plain", "held": "warning", "closes": "close", "opens": "open"}


def text(
    plan: Plan, rows: Sequence[StatusRow], *, vocabulary: Vocabulary = PLAIN
) -> Iterator[Block]:
    """The verdict first, then one table over all firewalls."""
    yield Line(f"Status: {_verdict(plan)}", "title")
    yield from unread(plan)
    for firewall in plan.firewalls:
        if firewall.read.status != "complete":
            reason = plain(firewall.read.reason or "", 1500)
            yield Line(f"{plain(firewall.name)} could not be read: {reason}", "error", "! ")
    if (sentence := incomplete(plan)) is not None:
        yield Line(sentence, "warning", "! ")
    absent = [firewall.name for firewall in plan.firewalls if firewall.exists is False]
    if absent:
        yield Line(f"not created yet: {plain(', '.join(absent))}", "warning", "! ")
    yield from _gaps(plan)
    if not rows:
        return
    hosts = max((len(firewall.hosts) for firewall in plan.firewalls), default=1)
    unknown = {firewall.name: unread_hosts(firewall, plan) for firewall in plan.firewalls}
    yield BLANK
    shown = [
        Row(
            (
                words.port(row.rule.protocol, row.rule.ports),
                plain(vocabulary.sources(row.rule.sources)),
                plain(row.firewall),
                (row.opened or "")[:10] or "-",
                plain(_who(row, hosts, unknown.get(row.firewall, ())), 1500),
            ),
            _STYLES[row.state],
        )
        for row in _both_families(rows)
    ]
    yield Table((Row(("PORT", "FROM", "FIREWALL", "SINCE", "FOR"), "quiet"), *shown), indent=0)


def _gaps(plan: Plan) -> Iterator[Block]:
    """Machines on which the ports of the table are not all that is open."""
    for firewall in plan.firewalls:
        if firewall.read.status != "complete":
            continue  # why stands above, and is the reason for the rest
        for gap in exposure.gaps(firewall):
            yield Line(f"{plain(firewall.name)}: {words.message(gap.text)}", gap.weight, "! ")


def _both_families(rows: Iterable[StatusRow]) -> Iterable[StatusRow]:
    """Rows that differ in nothing but their sources, such as the IPv4 and IPv6 rule of a port, as
    one."""
    merged: dict[StatusRow, NetworkSet] = {}
    for row in rows:
        rule = row.rule
        key = replace(row, rule=replace(rule, sources=ANY))
        merged[key] = merged[key] | rule.sources if key in merged else rule.sources
    return [
        replace(row, rule=replace(row.rule, sources=sources)) for row, sources in merged.items()
    ]


def _verdict(plan: Plan) -> str:
    if plan.guards:
        guards = words.listed(dict.fromkeys(guard.id for guard in plan.guards), 3)
        return f"needs a person ({guards}); cloudsync plan shows why"
    if plan.has_changes:
        phrase = summary(plan).removeprefix("Plan: ").rstrip(".")
        return f"an apply would {phrase}"
    return "not everything could be read" if incomplete(plan) else "in step"


def _who(row: StatusRow, hosts: int, unknown: Sequence[str]) -> str:
    """`unknown`: hosts of its firewall that could not be read; why stands above the table."""
    several = hosts > 1
    names = list(
        on_hosts((name_of(origin), origin.host if several else "", "") for origin in row.origins)
    )
    if SSH_REASON in row.reasons:
        names.insert(0, "SSH ([ssh])")
    who = words.listed(dict.fromkeys(names), 4) if names else "; ".join(row.reasons)
    if row.state == "opens":
        return f"{who}: not open yet"
    if row.state == "closes":
        return "nothing requires it: an apply closes it"
    if row.state == "held" and row.hold == "unknown-host" and unknown:
        return f"stays open: {', '.join(unknown)} not read"
    if row.state == "held":
        until = f" until {row.until:%Y-%m-%d %H:%M} UTC" if row.until else ""
        return f"nothing requires it: held{until}, {row.detail}"
    return who or "kept by policy"


def document(plan: Plan, rows: Iterable[StatusRow]) -> dict[str, Any]:
    """The same as JSON values; minor versions add keys."""
    return {
        "format_version": FORMAT_VERSION,
        "owner": plan.owner,
        "in_step": not (plan.has_changes or plan.guards or incomplete(plan)),
        "gaps": [
            {"firewall": firewall.name, "message": gap.text}
            for firewall in plan.firewalls
            for gap in exposure.gaps(firewall)
        ],
        "rules": [
            {
                "firewall": row.firewall,
                "protocol": row.rule.protocol,
                "ports": row.rule.ports,
                "sources": list(row.rule.sources.cidrs()),
                "state": row.state,
                "for": list(row.reasons),
                "since": row.opened,
                "held_until": row.until.isoformat(timespec="seconds") if row.until else None,
                "held_because": row.detail or None,
            }
            for row in rows
        ],
    }
