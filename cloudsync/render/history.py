"""The history for a terminal: pure functions of its entries. A file that somebody edited is shown
as far as it makes sense."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from cloudsync.render import words
from cloudsync.render.escape import plain
from cloudsync.render.text import Line, Style
from cloudsync.rules.networks import NetworkSet

_STYLES: dict[str, Style] = {"done": "open", "nothing-to-do": "quiet", "released": "attach"}
_MANY = 30


def listing(entries: Iterable[Mapping[str, Any]], *, hidden: int) -> Iterator[Line]:
    """One line an entry, oldest first. `hidden`: how many found nothing to do and are not shown."""
    shown = False
    for one in entries:
        shown = True
        counts = _counts(one)
        yield Line(
            f"{_text(one, 'id')}  {_text(one, 'started')}  {_text(one, 'outcome'):<12} {counts}  {_who(one)}",
            _style(one),
        )
    if not shown:
        yield Line(
            "No apply has changed anything yet." if hidden else "No apply has left an entry yet.",
            "quiet",
        )
    if hidden:
        yield Line(f"{hidden} runs that found nothing to do are not shown (--all).", "quiet")


def entry(one: Mapping[str, Any]) -> Iterator[Line]:
    """Everything of one entry, and how to get back what it closed."""
    yield Line(f"{_text(one, 'id')}: {_text(one, 'outcome')}", "title")
    yield Line(
        f"  from {_text(one, 'started')} to {_text(one, 'ended')}, {_who(one)}, {_text(one, 'why')}"
    )
    if one.get("digest"):
        yield Line(f"  changes {_text(one, 'digest')}", "quiet")
    if one.get("message"):
        yield Line(f"  {plain(str(one['message']), 1500)}", "warning")
    for guard in _tables(one.get("guards")):
        yield Line(f"  ! {_text(guard, 'id')} refused at {_text(guard, 'firewall')}", "warning")
    for firewall in _tables(one.get("firewalls")):
        yield from _firewall(firewall)


def _firewall(one: Mapping[str, Any]) -> Iterator[Line]:
    yield Line("")
    yield Line(
        f"{_text(one, 'name')}  ({_text(one, 'provider')} {_text(one, 'id')}): {_text(one, 'status')}",
        "title",
    )
    if one.get("message"):
        yield Line(f"  {plain(str(one['message']), 1500)}", "warning")
    if one.get("opened") is None:
        for change in _tables(one.get("planned")):
            yield Line(
                f"  planned: {_text(change, 'action')} {_rule(change)}   {_text(change, 'reason')}",
                "quiet",
            )
    for rule in _tables(one.get("opened")):
        yield Line(f"  + {_rule(rule)} opened", "open")
    for rule in _tables(one.get("closed")):
        yield Line(f"  - {_rule(rule)} closed   {_text(rule, 'reason')}", "close")
        ways = rule.get("way_back")
        for number, way in enumerate(ways if isinstance(ways, list) else ()):
            yield Line(f"      {'to get it back: ' if not number else ''}{plain(str(way), 1000)}")
    if one.get("truncated"):
        yield Line("  there was more than an entry of the history holds", "quiet")


def _counts(one: Mapping[str, Any]) -> str:
    firewalls = list(_tables(one.get("firewalls")))
    totals = one.get("totals")
    if not isinstance(totals, Mapping):  # an entry of an earlier cloudsync
        totals = {
            name: sum(len(list(_tables(f.get(name)))) for f in firewalls)
            for name in ("opened", "closed")
        }
    opened, closed = (plain(str(totals.get(name, 0)), 20) for name in ("opened", "closed"))
    names = ", ".join(_text(f, "name") for f in firewalls[:3]) + (
        " …" if len(firewalls) > 3 else ""
    )
    return f"+{opened} -{closed} {names}".rstrip()


def _who(one: Mapping[str, Any]) -> str:
    who = one.get("who")
    if not isinstance(who, Mapping):
        return "by ?"
    user = f"{_text(who, 'sudo_user')} (sudo)" if who.get("sudo_user") else _text(who, "user")
    return f"by {user} on {_text(who, 'host')}" + (f", {_text(who, 'ci')}" if who.get("ci") else "")


def _rule(one: Mapping[str, Any]) -> str:
    if one.get("protocol") is None:
        return _text(one, "target")
    found = one.get("sources")
    sources = [str(cidr) for cidr in (found if isinstance(found, list) else ())]
    try:
        text = words.sources(NetworkSet.of(sources))
    except ValueError:
        text = ", ".join(sources[:4])
    more = (
        f" and {plain(str(one['further_sources']))} further networks"
        if one.get("further_sources")
        else ""
    )
    return f"{words.port(_text(one, 'protocol'), plain(str(one.get('ports') or '')))} from {plain(text, _MANY * 20)}{more}"


def _style(one: Mapping[str, Any]) -> Style:
    return _STYLES.get(str(one.get("outcome")), "warning")


def _text(one: Mapping[str, Any], key: str) -> str:
    return (
        plain(str(one.get(key) or "?"), 200)
        if key != "target"
        else plain(str(one.get(key) or ""), 200)
    )


def _tables(value: object) -> Iterator[Mapping[str, Any]]:
    yield from (
        one for one in (value if isinstance(value, list) else ()) if isinstance(one, Mapping)
    )
