"""The history for a terminal: pure functions of its entries. A file that somebody edited is shown
as far as it makes sense."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from cloudsync.model.plan import is_denial
from cloudsync.provider.phrases import count
from cloudsync.render import words
from cloudsync.render.blocks import BLANK, Block, Line, Row, Style, Table
from cloudsync.render.escape import plain
from cloudsync.rules import Rule, RuleSet
from cloudsync.rules.networks import NetworkSet

_STYLES: dict[str, Style] = {"done": "open", "nothing-to-do": "quiet", "released": "attach"}
_MANY = 30


def listing(entries: Iterable[Mapping[str, Any]], *, hidden: int) -> Iterator[Block]:
    """A row for each entry, oldest first. `hidden`: how many found nothing to do and are not
    shown."""
    rows = [
        Row(
            (_when(entry, "started"), _text(entry, "id"), _text(entry, "outcome"), _summary(entry)),
            _style(entry),
        )
        for entry in entries
    ]
    if rows:
        yield Table((Row(("TIME (UTC)", "ID", "OUTCOME", "WHAT"), "quiet"), *rows), indent=0)
    else:
        yield Line(
            "No apply has changed anything yet." if hidden else "No apply has left an entry yet.",
            "quiet",
        )
    if hidden:
        runs = count(hidden, "run that", "runs that")
        verb = "is" if hidden == 1 else "are"
        yield Line(f"{runs} found nothing to do {verb} not shown (--all).", "quiet")


def entry(entry: Mapping[str, Any]) -> Iterator[Block]:
    """Everything of one entry, and how to get back what it closed."""
    yield Line(f"{_text(entry, 'id')}: {_text(entry, 'outcome')}", "title")
    yield Line(f"{_when(entry, 'started')} to {_when(entry, 'ended')} UTC", indent=2)
    yield Line(f"{_who(entry)}: {_text(entry, 'why')}", indent=2)
    if entry.get("digest"):
        yield Line(_text(entry, "digest"), "quiet", indent=2)
    if entry.get("message"):
        yield Line(plain(str(entry["message"]), 1500), "warning", indent=2)
    for guard in _tables(entry.get("guards")):
        refusal = f"the guard {_text(guard, 'id')} refused something of {_text(guard, 'firewall')}"
        yield Line(refusal, "warning", "! ", 2)
    for firewall in _tables(entry.get("firewalls")):
        yield from _firewall(firewall)


def _firewall(firewall: Mapping[str, Any]) -> Iterator[Block]:
    yield BLANK
    id_ = f" {_text(firewall, 'id')}" if firewall.get("id") else ""
    name = f"{_text(firewall, 'name')}  ({_text(firewall, 'provider')}{id_})"
    yield Line(f"{name}: {_text(firewall, 'status')}", "title")
    if firewall.get("message"):
        yield Line(plain(str(firewall["message"]), 1500), "warning", indent=2)
    planned = list(_tables(firewall.get("planned")))
    if firewall.get("status") == "done":
        yield from (Line(act, "attach", "~ ", 2) for act in _acts(planned))
    if firewall.get("opened") is None:
        rows = (
            Row((f"planned: {_text(change, 'action')}", _rule(change), _text(change, "reason")))
            for change in planned
        )
        yield Table(tuple(rows))
    yield Table(
        tuple(Row(("+ opened", _opened(rule)), "open") for rule in _as_planned(firewall, planned))
    )
    for rule in _tables(firewall.get("closed")):
        yield Table((Row(("- closed", f"{_rule(rule)}: {_text(rule, 'reason')}"), "close"),))
        ways = rule.get("way_back")
        for number, way in enumerate(ways if isinstance(ways, list) else ()):
            yield Line(f"{'' if number else 'to get it back: '}{plain(str(way), 1000)}", indent=6)
    if firewall.get("truncated"):
        yield Line("there was more than an entry of the history holds", "quiet", indent=2)


def _as_planned(
    firewall: Mapping[str, Any], planned: Iterable[Mapping[str, Any]]
) -> Sequence[Mapping[str, Any]]:
    """What was opened: rule by rule as planned if together they are just that, else as the
    difference of the sets, in which neighbours are merged."""
    opened = list(_tables(firewall.get("opened")))
    rules = [change for change in planned if change.get("action") == "open"]
    try:
        return rules if _rule_set(rules) == _rule_set(opened) else opened
    except (KeyError, TypeError, ValueError):
        return opened


def _rule_set(rules: Iterable[Mapping[str, Any]]) -> RuleSet:
    """Raises `KeyError`, `TypeError` and `ValueError` for an entry that somebody edited."""
    return RuleSet.of(
        Rule.of(rule["protocol"], rule["ports"], NetworkSet.of(rule["sources"])) for rule in rules
    )


def _opened(rule: Mapping[str, Any]) -> str:
    """`443/tcp from everyone (traefik)`."""
    names = rule.get("for")
    names = words.listed((str(name) for name in names), 3) if isinstance(names, list) else ""
    return f"{_rule(rule)} ({plain(names, 200)})" if names else _rule(rule)


def _acts(planned: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """What was done besides opening and closing: `created`, `attached to server 42`."""
    verbs = {
        "create": "created",
        "adopt": "adopted",
        "attach": "attached to",
        "reapply": "put into effect on",
        "rewrite": "rewrote",
    }
    for change in planned:
        verb = verbs.get(str(change.get("action")))
        lifts = change.get("action") == "reapply" and change.get("opens_now") is True
        if lifts and is_denial(str(change.get("target"))):
            verb = "lifted"
        if verb is not None:
            yield f"{verb} {_text(change, 'target')}".rstrip()


def _summary(entry: Mapping[str, Any]) -> str:
    """`web: created, attached, +7 -0; by root on vm`."""
    firewalls = list(_tables(entry.get("firewalls")))
    acts: dict[str, None] = {}
    for firewall in firewalls:
        if firewall.get("status") == "done":
            for act in _acts(_tables(firewall.get("planned"))):
                acts[act.split(" ")[0]] = None
    opened, closed = (_total(entry, firewalls, name) for name in ("opened", "closed"))
    changes = [*acts, *([f"+{opened} -{closed}"] if (opened, closed) != ("0", "0") else [])]
    names = words.listed((_text(firewall, "name") for firewall in firewalls), 3)
    what = f"{names}: {', '.join(changes) or 'nothing changed'}; " if names else _unread(entry)
    return f"{what}{_who(entry)}"


def _unread(entry: Mapping[str, Any]) -> str:
    """`web-1 not read; `: the hosts that were not read completely, as far as the entry says."""
    hosts = entry.get("hosts")
    statuses = hosts.items() if isinstance(hosts, Mapping) else ()
    names = [plain(str(name), 100) for name, status in statuses if status != "complete"]
    return f"{words.listed(names, 3)} not read; " if names else ""


def _total(entry: Mapping[str, Any], firewalls: list[Mapping[str, Any]], name: str) -> str:
    """How many rules opened or closed; the sum of the run if its lists were cut."""
    totals = entry.get("totals")
    if isinstance(totals, Mapping) and any(firewall.get("truncated") for firewall in firewalls):
        return plain(str(totals.get(name, 0)), 20)
    rules = (
        _as_planned(firewall, _tables(firewall.get("planned")))
        if name == "opened"
        else list(_tables(firewall.get(name)))
        for firewall in firewalls
    )
    return str(sum(len(of_firewall) for of_firewall in rules))


def _when(entry: Mapping[str, Any], key: str) -> str:
    """`2026-03-01 03:10:07`, of a moment as the history writes it."""
    return plain(str(entry.get(key) or "?")[:19].replace("T", " "), 19)


def _who(entry: Mapping[str, Any]) -> str:
    who = entry.get("who")
    if not isinstance(who, Mapping):
        return "by ?"
    user = f"{_text(who, 'sudo_user')} (sudo)" if who.get("sudo_user") else _text(who, "user")
    return f"by {user} on {_text(who, 'host')}" + (f", {_text(who, 'ci')}" if who.get("ci") else "")


def _rule(rule: Mapping[str, Any]) -> str:
    if rule.get("protocol") is None:
        return _text(rule, "target")
    listed = rule.get("sources")
    sources = [str(cidr) for cidr in (listed if isinstance(listed, list) else ())]
    try:
        reach = words.sources(NetworkSet.of(sources))
    except ValueError:
        reach = ", ".join(sources[:4])
    more = (
        f" and {plain(str(rule['further_sources']))} further networks"
        if rule.get("further_sources")
        else ""
    )
    port = words.port(_text(rule, "protocol"), plain(str(rule.get("ports") or "")))
    return f"{port} from {plain(reach, _MANY * 20)}{more}"


def _style(entry: Mapping[str, Any]) -> Style:
    return _STYLES.get(str(entry.get("outcome")), "warning")


def _text(table: Mapping[str, Any], key: str) -> str:
    return plain(str(table.get(key) or ("" if key == "target" else "?")), 200)


def _tables(value: object) -> Iterator[Mapping[str, Any]]:
    rows = value if isinstance(value, list) else ()
    yield from (row for row in rows if isinstance(row, Mapping))
