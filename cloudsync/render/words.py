"""The words all renderings share: what a rule opens, who needs it, what a plan comes to."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime

from cloudsync.model.outcome import Report
from cloudsync.model.plan import Change, Guard, Plan
from cloudsync.planning.sensitive_ports import is_world
from cloudsync.rules import Rule
from cloudsync.rules.address_classes import PRIVATE
from cloudsync.rules.networks import ANY, NetworkSet

_SHOWN_SOURCES = 4


def port(protocol: str, ports: str) -> str:
    """`tcp/443`, `icmp`, `udp/all ports`."""
    if not ports:
        return protocol
    return f"{protocol}/all ports" if ports == "1-65535" else f"{protocol}/{ports}"


def sources(networks: NetworkSet) -> str:
    """`the Internet`, `the Internet (IPv4 only)`, `203.0.113.0/24 and 3 more networks`."""
    whole4, whole6 = (
        networks.family(4).cidrs() == ("0.0.0.0/0",),
        networks.family(6).cidrs() == ("::/0",),
    )
    if whole4 and whole6:
        return "the Internet"
    if (whole4 and not networks.family(6)) or (whole6 and not networks.family(4)):
        return f"the Internet (IPv{4 if whole4 else 6} only)"
    if networks and PRIVATE.covers(ANY - networks):
        return "the Internet, except private networks"
    cidrs = networks.cidrs()
    shown = ", ".join(cidrs[:_SHOWN_SOURCES])
    text = (
        shown
        if len(cidrs) <= _SHOWN_SOURCES
        else f"{shown} and {len(cidrs) - _SHOWN_SOURCES} more networks"
    )
    return f"{text} (as good as the Internet)" if is_world(networks) else text


def rule(one: Rule) -> str:
    """`tcp/443 from the Internet`."""
    return f"{port(one.protocol, one.ports)} from {sources(one.sources)}"


def change(one: Change) -> str:
    """What one change does."""
    if one.rule is not None:
        verb = "opens to" if one.action == "open" else "closes to"
        return f"{port(one.rule.protocol, one.rule.ports)} {verb} {sources(one.rule.sources)}"
    if one.action == "reapply" and one.opens_now:
        return f"lift {one.target}"
    names = {
        "create": "create the firewall",
        "adopt": "adopt the firewall",
        "attach": "attach to",
        "reapply": "put in force on",
        "rewrite": "rewrite",
    }
    return f"{names[one.action]} {one.target or ''}".strip()


def withheld(guard: Guard) -> str:
    """What a guard withholds, as the subject of `left undone`."""
    what = {"closings": "its closings are", "openings": "some of its openings are"}
    return what.get(guard.withholds, "this firewall is")


def until(moment: datetime | None, now: datetime) -> str:
    """` until 2026-03-01 03:10 UTC (9 min left)`; nothing where there is no such moment."""
    if moment is None:
        return ""
    left = max(0, round((moment - now).total_seconds()))
    for unit, seconds in (("days", 86400), ("h", 3600), ("min", 60)):
        if left >= 2 * seconds:
            return f" until {moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC ({left // seconds} {unit} left)"
    return f" until {moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC ({left} s left)"


def summary(plan: Plan) -> str:
    """The last line: `Plan: 2 to open, 1 to close on 1 firewall.`"""
    changing = [firewall for firewall in plan.firewalls if firewall.changes]
    if not changing:
        unread = any(status.status != "complete" for _, status in plan.hosts) or any(
            f.read.status != "complete" for f in plan.firewalls
        )
        return (
            "Nothing to do for what is known; not everything could be read, see above."
            if unread
            else "Nothing to do."
        )
    counts = Counter(change.action for firewall in changing for change in firewall.changes)
    parts = [
        f"{counts[action]} to {action}"
        for action in ("create", "adopt", "attach", "reapply", "open", "close", "rewrite")
        if counts[action]
    ]
    return f"Plan: {', '.join(parts)} on {len(changing)} {'firewall' if len(changing) == 1 else 'firewalls'}."


def sum_of(report: Report) -> str:
    """`2 done, 1 not begun, 1 unknown`: firewalls by how they ended."""
    counts: Counter[str] = Counter(outcome.status for outcome in report.outcomes)
    order = ("done", "failed", "unknown", "not-begun", "refused", "unchanged")
    return ", ".join(
        f"{counts[status]} {status.replace('-', ' ')}" for status in order if counts[status]
    )
