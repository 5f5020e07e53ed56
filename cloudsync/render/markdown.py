"""A plan as Markdown, for pull requests and summaries. Every text of a stranger is escaped."""

from __future__ import annotations

from cloudsync.model.plan import FirewallPlan, Plan
from cloudsync.render import exposure, words
from cloudsync.render.escape import markdown

_SIGNS = {
    "create": "➕",
    "open": "➕",
    "close": "➖",
    "adopt": "🔗",
    "attach": "🔗",
    "reapply": "🔁",
}


def plan(shown: Plan) -> str:
    """The whole plan: the sum first, then what is not known, then every firewall."""
    lines = [f"### {words.summary(shown)}", ""]
    for name, status in shown.hosts:
        if status.status != "complete":
            lines.append(
                f"> ⚠️ host **{markdown(name)}** was not read completely: {markdown(status.reason or status.status)}"
            )
    lines += [f"> ⚠️ malformed label: {markdown(text)}" for text in shown.malformed]
    for firewall in shown.firewalls:
        lines += ["", *_firewall(firewall, shown)]
    if shown.unassigned:
        lines += ["", "#### Required, but the host feeds no firewall", ""]
        lines += [
            f"- {markdown(words.port(one.protocol, one.ports))}: {markdown(one.reason)}"
            for one in shown.unassigned
        ]
    lines += [f"> ⚠️ {markdown(said.text)}" for said in exposure.orphans(shown.orphans)]
    if shown.guards:
        lines += ["", f"**{len(shown.guards)} refused by a guard.**"]
    if shown.warnings:
        lines += ["", *(f"- note: {markdown(text)}" for text in shown.warnings)]
    return "\n".join(lines).rstrip() + "\n"


def reached(shown: Plan) -> str:
    """What the Internet reaches, for `cloudsync exposure`."""
    lines: list[str] = []
    for said in exposure.report(shown):
        if said.weight == "title":
            lines += ["", f"### {markdown(said.text)}", ""]
        else:
            mark = {"error": "❌ ", "warning": "⚠️ "}.get(said.weight, "")
            lines.append(f"{'  ' * max(said.depth - 1, 0)}- {mark}{markdown(said.text, 1500)}")
    return "\n".join(lines).strip() + "\n"


def _firewall(firewall: FirewallPlan, shown: Plan) -> list[str]:
    lines = [
        f"#### {markdown(firewall.name)} ({markdown(firewall.provider)}: {markdown(firewall.identity)})",
        "",
    ]
    if firewall.read.status != "complete":
        return [
            *lines,
            f"> ❌ not read, so nothing is changed: {markdown(firewall.read.reason or '')}",
        ]
    if firewall.changes:
        lines += ["| | change | why |", "|---|---|---|"]
        lines += [
            f"| {_SIGNS[c.action]} | {markdown(words.change(c))} | {markdown(c.reason)} |"
            for c in firewall.changes
        ]
    else:
        lines.append(f"No changes, {firewall.unchanged} unchanged.")
    lines += [
        f"> ❌ **{guard.id}**: {markdown(guard.message, 1500)}"
        for guard in shown.guards
        if guard.firewall == firewall.name
    ]
    lines += [
        f"> {'❌' if said.weight == 'error' else '⚠️'} {markdown(said.text, 1500)}"
        for said in exposure.troubles(firewall)
        if said.weight != "quiet"
    ]
    more = [
        f"- {markdown(words.rule(held.rule))} stays open{words.until(held.until, shown.created)} ({markdown(held.reason)}): "
        f"{markdown(held.detail)}"
        for held in firewall.held
    ]
    more += [
        f"- {markdown(words.port(r.protocol, r.ports))} not opened ({r.code}): {markdown(r.reason)}"
        for r in firewall.refused
    ]
    more += [f"- kept: {markdown(text)}" for text in firewall.kept]
    if more:
        lines += [
            "",
            f"<details><summary>{len(more)} held, refused or kept</summary>",
            "",
            *more,
            "",
            "</details>",
        ]
    return lines
