"""The story of a port for a terminal, and as plain JSON values."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import Any

from cloudsync.model.plan import Refused
from cloudsync.model.ports import Origin, RequiredPort, name_of
from cloudsync.planning.explain import Explanation, Reason, Story
from cloudsync.render import words
from cloudsync.render.escape import plain
from cloudsync.render.text import Line
from cloudsync.rules import Rule
from cloudsync.rules.networks import NetworkSet


def text(explanation: Explanation) -> Iterator[Line]:
    """What is not known first, then every firewall, then hosts without one."""
    yield Line(f"{words.port(explanation.asked.protocol, _ports(explanation))}", "title")
    for name, status in explanation.unread:
        yield Line(
            f"! host {plain(name)} was not read completely: it may need the port too: {plain(status.reason or '')}",
            "warning",
        )
    for story in explanation.stories:
        yield Line("")
        yield from _story(story, _ports(explanation))
    for port in explanation.local:
        yield Line("")
        yield Line(
            f"{plain(name_of(port.origin))} on {plain(port.origin.host)} publishes it on {port.address} only: never opened",
            "quiet",
        )
    for one in explanation.unassigned:
        yield Line("")
        yield Line(f"needed by {_who(one)}, whose host feeds no firewall", "warning")


def _story(story: Story, asked: str) -> Iterator[Line]:
    yield Line(
        f"{plain(story.firewall)}  ({plain(story.provider)}: {plain(story.identity)}): {plain(story.verdict)}",
        "title",
    )
    if story.read.status != "complete":
        yield Line(f"  ! {plain(story.read.reason or '')}", "error")
    for rule in story.open or ():
        yield Line(f"  open now to {words.sources(rule.sources)}{_narrower(rule, asked)}", "open")
    for rule in story.vendor:
        yield Line(f"    by the vendor's rule {plain(words.rule(rule))}", "quiet")
    if story.after != story.open:
        yield from (
            Line(
                f"  after an apply open to {words.sources(rule.sources)}{_narrower(rule, asked)}",
                "open",
            )
            for rule in story.after
        )
        if not story.after and story.open:
            yield Line("  after an apply closed", "close")
    for reason in story.reasons:
        yield from _reason(reason)
    for one in story.refused:
        yield Line(f"  x not opened for {_who(one)} ({one.code}): {plain(one.reason)}", "warning")
    for held in story.held:
        until = f" until {held.until:%Y-%m-%d %H:%M}" if held.until else ""
        yield Line(
            f"  = {plain(words.rule(held.rule))} stays open{until} ({plain(held.reason)}): {plain(held.detail)}",
            "warning",
        )
    yield from (Line(f"  ! open on {plain(through)}", "warning") for through in story.through)
    for event in story.since:
        when, who = plain(event.when[:16].replace("T", " "), 20), plain(event.who, 60)
        yield Line(
            f"  {event.verb} by an apply of {who} at {when} UTC (cloudsync history {plain(event.entry, 40)})",
            "quiet",
        )
    yield from (Line(f"  kept: {plain(kept)}", "quiet") for kept in story.kept)
    yield from (Line(f"  policy: {plain(line)}") for line in story.policy)
    yield from (
        Line(f"  ! {guard.id}: {plain(guard.message, 1500)}", "error") for guard in story.guards
    )
    yield from (Line(f"  > {plain(advice)}", "quiet") for advice in story.advice)


def _reason(reason: Reason) -> Iterator[Line]:
    what = ", ".join(words.rule(rule) for rule in reason.rules)
    yield Line(f"  + wanted ({plain(what)}): {plain(reason.text)}")
    for origin in reason.origins:
        parts = [
            f"host {origin.host}" if origin.host else "",
            name_of(origin),
            f"container {origin.container}" if origin.container else "",
        ]
        label = f"label {origin.label}" if origin.label else ""
        place = f"{origin.file}:{origin.line}" if origin.file and origin.line else origin.file or ""
        said = ", ".join(dict.fromkeys(part for part in (*parts, label, place) if part))
        yield Line(f"      {plain(said)}", "quiet")


def _narrower(rule: Rule, asked: str) -> str:
    """The ports, where they are not all that was asked about."""
    return "" if rule.ports == asked else f" on {words.port(rule.protocol, rule.ports)}"


def _who(one: Refused) -> str:
    return plain(
        ", ".join(
            dict.fromkeys(
                f"{name_of(o)} on {o.host}" if o.host else name_of(o) for o in one.origins
            )
        )
        or "somebody"
    )


def _span(port: RequiredPort) -> str:
    return str(port.first) if port.first == port.last else f"{port.first}-{port.last}"


def _ports(explanation: Explanation) -> str:
    (rule,) = explanation.asked.part
    return rule.ports


def document(explanations: Iterable[Explanation]) -> dict[str, Any]:
    """All of it as plain values; rules as in the plan document."""
    return {"format_version": "1.0", "explained": [_document(one) for one in explanations]}


def _document(explanation: Explanation) -> dict[str, Any]:
    return {
        "protocol": explanation.asked.protocol,
        "ports": _ports(explanation),
        "hosts_unread": {
            name: {"status": status.status, "reason": status.reason}
            for name, status in explanation.unread
        },
        "firewalls": [_story_document(story) for story in explanation.stories],
        "unassigned": [_refused(one) for one in explanation.unassigned],
        "local": [
            {
                "protocol": port.protocol,
                "ports": _span(port),
                "address": str(port.address),
                "origin": _origin(port.origin),
            }
            for port in explanation.local
        ],
    }


def _story_document(story: Story) -> dict[str, Any]:
    return {
        "name": story.firewall,
        "provider": story.provider,
        "identity": story.identity,
        "id": story.id,
        "verdict": story.verdict,
        "open": None if story.open is None else [_rule(rule) for rule in story.open],
        "after": [_rule(rule) for rule in story.after],
        "vendor_rules": [_rule(rule) for rule in story.vendor],
        "wanted": [
            {
                "reason": reason.text,
                "rules": [_rule(rule) for rule in reason.rules],
                "origins": [_origin(origin) for origin in reason.origins],
            }
            for reason in story.reasons
        ],
        "refused": [_refused(one) for one in story.refused],
        "held": [
            _rule(held.rule)
            | {
                "reason": held.reason,
                "detail": held.detail,
                "until": held.until.isoformat(timespec="seconds") if held.until else None,
            }
            for held in story.held
        ],
        "kept": list(story.kept),
        "guards": [
            {"id": guard.id, "withholds": guard.withholds, "message": guard.message}
            for guard in story.guards
        ],
        "through": list(story.through),
        "policy": list(story.policy),
        "since": [
            {"verb": one.verb, "when": one.when, "who": one.who, "entry": one.entry}
            for one in story.since
        ],
        "advice": list(story.advice),
    }


def _rule(rule: Rule) -> dict[str, Any]:
    return {"protocol": rule.protocol, "ports": rule.ports, "sources": list(rule.sources.cidrs())}


def _origin(origin: Origin) -> dict[str, Any]:
    return {name: value or None for name, value in asdict(origin).items()}


def _refused(one: Refused) -> dict[str, Any]:
    return {
        "protocol": one.protocol,
        "ports": one.ports,
        "sources": list(NetworkSet.of(one.sources).cidrs()),
        "code": one.code,
        "reason": one.reason,
        "origins": [_origin(origin) for origin in one.origins],
    }
