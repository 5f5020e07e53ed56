"""The story of a port for a terminal, and as plain JSON values."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from cloudsync.model.plan import Held, Refused
from cloudsync.model.ports import Origin, RequiredPort, name_of
from cloudsync.planning.explain import Explanation, Reason, Story
from cloudsync.planning.unpublished import about_unpublished, is_unnamed
from cloudsync.render import networks, words
from cloudsync.render.blocks import BLANK, Block, Line, Row, Table
from cloudsync.render.escape import plain
from cloudsync.render.words import PLAIN, Vocabulary, listed
from cloudsync.rules import Rule, RuleSet
from cloudsync.rules.networks import NetworkSet


def text(explanation: Explanation, *, vocabulary: Vocabulary = PLAIN) -> Iterator[Block]:
    """What is not known first, then every firewall with its verdict, then hosts without one."""
    yield Line(words.port(explanation.asked.protocol, _ports(explanation)), "title")
    for name, status in explanation.unread:
        yield Line(
            f"{plain(name)} could not be read completely, and may need the port too: "
            f"{plain(status.reason or '', 1500)}",
            "warning",
            "! ",
        )
    for sentence in networks.unread(explanation.networks, _at(explanation)):
        yield Line(sentence, "warning", "! ")
    for sentence in networks.read(explanation.networks, _at(explanation)):
        yield Line(sentence, "quiet")
    for remark in about_unpublished(explanation.unpublished):
        by = "perhaps also used by " if is_unnamed(remark) else ""
        yield Line(f"{by}{plain(remark, 1500)}", "warning", "! ")
    for story in explanation.stories:
        yield BLANK
        yield Line(
            f"{plain(story.firewall)}  ({plain(story.provider)}: {plain(story.identity)}): "
            f"{plain(story.verdict)}",
            "title",
        )
        if story.read.status != "complete":
            yield Line(plain(story.read.reason or "", 1500), "error", "! ", 2)
        yield Table(tuple(_facts(story, explanation, vocabulary)))
    for port in explanation.local:
        yield BLANK
        yield Line(
            f"{plain(name_of(port.origin))} on {plain(port.origin.host)} publishes it on "
            f"{port.address} only: never opened",
            "quiet",
        )
    for refusal in explanation.unassigned:
        yield BLANK
        yield Line(f"needed by {_who(refusal)}, whose host feeds no firewall", "warning")


def _at(explanation: Explanation) -> datetime:
    return explanation.at or datetime.now(UTC)


def _facts(story: Story, explanation: Explanation, vocabulary: Vocabulary) -> Iterator[Row]:
    """A row for each fact: what kind of fact it is, and the fact."""
    asked = _ports(explanation)
    for rule in story.open or ():
        yield Row(("open now", f"to {_reach(rule, asked, vocabulary)}"), "open")
    for rule in story.vendor:
        yield Row(("", f"by the vendor's rule {plain(vocabulary.rule(rule))}"), "quiet")
    if story.after != story.open:
        for rule in story.after:
            yield Row(("after an apply", f"open to {_reach(rule, asked, vocabulary)}"), "open")
        if not story.after and story.open:
            yield Row(("after an apply", "closed"), "close")
    for reason in _merged(story.reasons):
        yield Row(("needed by", _needed(reason, vocabulary)))
    for refusal in story.refused:
        yield Row(
            ("not opened", f"for {_who(refusal)}: {plain(refusal.reason)}"),
            "warning",
        )
    for held in story.held:
        yield Row(("stays open", _held(held, explanation, vocabulary)), "warning")
    yield from (Row(("open beyond", f"on {words.message(way)}"), "beyond") for way in story.through)
    for machine, halted in story.halted:
        reach = _reach(halted.rule, asked, vocabulary)
        who = f"{halted.let_in_by} lets it in, {halted.stopped_by} stops it"
        yield Row(("stopped", f"on {plain(machine)}, to {reach}: {who}"), "warning")
    for event in story.since:
        when, who = plain(event.when[:16].replace("T", " "), 20), plain(event.who, 60)
        yield Row(
            (event.verb, f"{when} UTC, by {who} (cloudsync history {plain(event.entry, 40)})"),
            "quiet",
        )
    yield from (Row(("stays as it is", words.message(kept)), "quiet") for kept in story.kept)
    yield from (Row(("policy", plain(line))) for line in story.policy)
    yield from (
        Row(("guard", f"{guard.id}: {words.message(guard.message)}"), "error")
        for guard in story.guards
    )
    for advice in dict.fromkeys(story.advice):
        what, how = _labelled(advice)
        yield Row((plain(what), plain(how, 1500)), "quiet")


def _labelled(advice: str) -> tuple[str, str]:
    """`to close it` and how, or `closes` and when: an advice as the cells of a row."""
    what, colon, how = advice.partition(": ")
    if colon and (what.startswith("to ") or what == "it is held"):
        return what.removeprefix("it is "), how
    for verb in ("closes", "opens"):
        if advice.startswith(f"it {verb} "):
            return verb, advice.removeprefix(f"it {verb} ")
    return "", advice


def _held(held: Held, explanation: Explanation, vocabulary: Vocabulary) -> str:
    """What stays open, and why; why a host could not be read stands above all firewalls."""
    what = plain(vocabulary.rule(held.rule))
    unread = [name for name, _ in explanation.unread if f"{name} was not read" in held.detail]
    if held.reason == "unknown-host" and unread:
        return f"{what}, because {plain(', '.join(unread))} could not be read"
    until = f" until {held.until:%Y-%m-%d %H:%M} UTC" if held.until else ""
    return f"{what}{until} ({plain(held.reason)}): {words.message(held.detail)}"


def _reach(rule: Rule, asked: str, vocabulary: Vocabulary) -> str:
    """Who gets in, and to which ports if they are not all that was asked about."""
    narrower = "" if rule.ports == asked else f" on {words.port(rule.protocol, rule.ports)}"
    return plain(vocabulary.sources(rule.sources)) + narrower


def _merged(reasons: Iterable[Reason]) -> Iterator[Reason]:
    """Reasons that differ in the address family only (IPv4 and IPv6 of a published port) as one."""
    by_reason: dict[tuple[object, ...], list[Rule]] = {}
    for reason in reasons:
        by_reason.setdefault((reason.text, reason.origins), []).extend(reason.rules)
    for reason in reasons:
        rules = by_reason.pop((reason.text, reason.origins), None)
        if rules is not None:
            yield Reason(reason.text, tuple(RuleSet.of(rules)), reason.origins)


def _needed(reason: Reason, vocabulary: Vocabulary) -> str:
    what = ", ".join(plain(vocabulary.rule(rule)) for rule in reason.rules)
    containers = (
        origin.container
        for origin in reason.origins
        if origin.container and origin.container != name_of(origin)
    )
    names = listed(dict.fromkeys(f"container {plain(name)}" for name in containers), 4)
    return f"{plain(reason.text)}: {what}{f' ({names})' if names else ''}"


def _who(refused: Refused) -> str:
    names = (f"{name_of(o)} on {o.host}" if o.host else name_of(o) for o in refused.origins)
    return plain(", ".join(dict.fromkeys(names)) or "the configuration")


def _span(port: RequiredPort) -> str:
    return str(port.first) if port.first == port.last else f"{port.first}-{port.last}"


def _ports(explanation: Explanation) -> str:
    (rule,) = explanation.asked.rules
    return rule.ports


def document(explanations: Iterable[Explanation]) -> dict[str, Any]:
    """All of it as plain values; rules as in the plan document."""
    return {
        "format_version": "1.0",
        "explained": [_document(explanation) for explanation in explanations],
    }


def _document(explanation: Explanation) -> dict[str, Any]:
    return {
        "protocol": explanation.asked.protocol,
        "ports": _ports(explanation),
        "hosts_unread": {
            name: {"status": status.status, "reason": status.reason}
            for name, status in explanation.unread
        },
        "networks": {
            network.name: {
                "source": network.source,
                "status": network.status.status,
                "reason": network.status.reason,
                "read": None if network.read is None else network.read.isoformat("T", "seconds"),
                "sources": list(network.networks.cidrs()),
            }
            for network in explanation.networks
        },
        "firewalls": [_story_document(story) for story in explanation.stories],
        "unassigned": [_refused(entry) for entry in explanation.unassigned],
        "unpublished": [
            {
                "origin": asdict(entry.origin),
                "network": entry.network,
                "exposed": list(entry.exposed),
            }
            for entry in explanation.unpublished
        ],
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
        "refused": [_refused(entry) for entry in story.refused],
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
        "halted": [
            _rule(halted.rule)
            | {
                "machine": machine,
                "let_in_by": halted.let_in_by,
                "stopped_by": halted.stopped_by,
            }
            for machine, halted in story.halted
        ],
        "policy": list(story.policy),
        "since": [
            {"verb": entry.verb, "when": entry.when, "who": entry.who, "entry": entry.entry}
            for entry in story.since
        ],
        "advice": list(story.advice),
    }


def _rule(rule: Rule) -> dict[str, Any]:
    return {"protocol": rule.protocol, "ports": rule.ports, "sources": list(rule.sources.cidrs())}


def _origin(origin: Origin) -> dict[str, Any]:
    return {name: value or None for name, value in asdict(origin).items()}


def _refused(refused: Refused) -> dict[str, Any]:
    return {
        "protocol": refused.protocol,
        "ports": refused.ports,
        "sources": list(NetworkSet.of(refused.sources).cidrs()),
        "code": refused.code,
        "reason": refused.reason,
        "origins": [_origin(origin) for origin in refused.origins],
    }
