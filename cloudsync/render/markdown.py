"""A plan as Markdown, for pull requests and summaries: the verdict and what needs a person first.
Every text of a stranger is escaped."""

from __future__ import annotations

from collections.abc import Iterator

from cloudsync.model.plan import Change, FirewallPlan, Held, Plan, Refused
from cloudsync.provider.phrases import count
from cloudsync.render import exposure, networks, several_hosts, words
from cloudsync.render.escape import markdown
from cloudsync.render.verdict import incomplete, not_opened, summary
from cloudsync.render.words import PLAIN, Vocabulary

_SIGNS = {
    "create": "➕",
    "open": "➕",
    "close": "➖",
    "adopt": "🔗",
    "attach": "🔗",
    "reapply": "🔁",
    "rewrite": "✏️",
}
_MARKS = {"beyond": "❌", "error": "❌", "warning": "⚠️"}


def plan(shown: Plan, vocabulary: Vocabulary = PLAIN) -> str:
    """The whole plan: the sum, what a person must decide or repair, then every firewall."""
    lines = [f"### {_sum(shown)}"]
    if people := list(_needs_a_person(shown)):
        lines += ["", *people]
    for firewall in shown.firewalls:
        lines += ["", *_firewall(firewall, shown, vocabulary)]
    if shown.unassigned:
        lines += ["", "#### Required, but the host feeds no firewall", ""]
        lines += [
            f"- {markdown(words.port(refused.protocol, refused.ports))}: {_message(refused.reason)}"
            for refused in shown.unassigned
        ]
    origins = tuple(networks.read(shown.networks, shown.created))
    warnings = several_hosts.remarks(shown.warnings, [name for name, _ in shown.hosts])
    if notes := [f"- {_message(text)}" for text in (*origins, *warnings)]:
        lines += ["", *_folded(count(len(notes), "note"), notes)]
    return "\n".join(lines).rstrip() + "\n"


def _sum(shown: Plan) -> str:
    refused = not_opened(shown)
    if not (refused and shown.has_changes):
        return summary(shown)
    return f"{summary(shown)} {count(refused, 'port is', 'ports are')} not opened."


def _needs_a_person(shown: Plan) -> Iterator[str]:
    """Refusals, what could not be read, and what does not parse."""
    for guard in shown.guards:
        yield (
            f"> ❌ **{markdown(guard.firewall)}**: **{guard.id}**, {words.withheld(guard)}. "
            f"{_message(guard.message[:1].upper() + guard.message[1:])}"
        )
    for name, status in shown.hosts:
        if status.status != "complete":
            yield (
                f"> ⚠️ **{markdown(name)}** could not be read completely"
                f" ({markdown(status.reason or status.status, 1500)}). What is open for it stays"
                " open."
            )
    for firewall in shown.firewalls:
        if firewall.read.status != "complete":
            yield (
                f"> ❌ **{markdown(firewall.name)}** could not be read, so nothing of it is"
                f" changed: {markdown(firewall.read.reason or '', 1500)}"
            )
    yield from (f"> ⚠️ {markdown(text)}" for text in networks.unread(shown.networks, shown.created))
    yield from (f"> ⚠️ malformed label: {markdown(text)}" for text in shown.malformed)
    yield from (f"> ⚠️ {_message(orphan.text)}" for orphan in exposure.orphans(shown.orphans))
    if (unread := incomplete(shown)) is not None:
        yield f"> ⚠️ {markdown(unread)}"


def _message(text: str) -> str:
    """A message in the notation of the screens (`443/tcp from everyone`), harmless in Markdown."""
    return markdown(words.message(text), 1500)


def _folded(title: str, lines: list[str]) -> list[str]:
    return [f"<details><summary>{title}</summary>", "", *lines, "", "</details>"]


def reached(shown: Plan) -> str:
    """What the Internet reaches, for `cloudsync exposure`."""
    lines: list[str] = []
    for remark in exposure.report(shown):
        if remark.weight == "title":
            lines += ["", f"### {markdown(remark.text)}", ""]
        else:
            mark = f"{_MARKS[remark.weight]} " if remark.weight in _MARKS else ""
            lines.append(f"{'  ' * max(remark.depth - 1, 0)}- {mark}{_message(remark.text)}")
    return "\n".join(lines).strip() + "\n"


def _firewall(firewall: FirewallPlan, shown: Plan, vocabulary: Vocabulary) -> list[str]:
    place = f"({markdown(firewall.provider)}: {markdown(firewall.identity)})"
    lines = [f"#### {markdown(firewall.name)} {place}", ""]
    if firewall.read.status != "complete":
        return [*lines, "Not read, see above."]
    if firewall.changes:
        lines += ["| | what | from | why |", "|---|---|---|---|"]
        lines += [_row(change, firewall, vocabulary) for change in firewall.changes]
    else:
        lines.append(f"No changes, {count(firewall.unchanged, 'rule')} unchanged.")
    lines += [
        f"> {_MARKS.get(trouble.weight, '')} {_message(trouble.text)}"
        for trouble in exposure.troubles(firewall, vocabulary=vocabulary)
        if trouble.weight != "quiet"
    ]
    more = [f"- {_held(held, shown, vocabulary)}" for held in firewall.held]
    more += [
        f"- {markdown(words.port(refused.protocol, refused.ports))} not opened ({refused.code}): "
        f"{_refusal(refused, len(firewall.hosts))}"
        for refused in several_hosts.refusals(firewall.refused)
    ]
    more += [f"- stays as it is: {_message(text)}" for text in firewall.kept]
    if more:
        lines += ["", *_folded(f"{len(more)} held, refused or left as they are", more)]
    return lines


def _refusal(refused: Refused, hosts: int) -> str:
    """`db: sensitive, …`: who needs it, and why it is not opened."""
    names = words.listed(words.origin_names(refused.origins, hosts), 4)
    return _message(f"{names}: {refused.reason}" if names else refused.reason)


def _row(change: Change, firewall: FirewallPlan, vocabulary: Vocabulary) -> str:
    why = words.who(change, len(firewall.hosts)) if change.action == "open" else change.reason
    if change.rule is None:
        what, sources = words.change(change), ""
    else:
        what = words.port(change.rule.protocol, change.rule.ports)
        sources = vocabulary.of_change(change)
    sign = f"{_SIGNS[change.action]}{' closes' if change.action == 'close' else ''}"
    return f"| {sign} | {markdown(what)} | {markdown(sources)} | {_message(why)} |"


def _held(held: Held, shown: Plan, vocabulary: Vocabulary) -> str:
    until = words.until(held.until, shown.created)
    return (
        f"{markdown(vocabulary.rule(held.rule))} stays open{until} ({markdown(held.reason)}): "
        f"{_message(held.detail)}"
    )
