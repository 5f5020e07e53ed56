"""The story of one port: what of it is open on every firewall, who wants it, what refuses or holds
it, and what would change that.

Pure, over the trace that planning leaves (`cloudsync.planning.decide.Considered`): nothing is
decided here a second time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from types import MappingProxyType
from typing import Any, Literal

from cloudsync.config.configuration import Configuration, PortRange
from cloudsync.model.plan import (
    Guard,
    Halted,
    Held,
    NetworkReading,
    Plan,
    ReadStatus,
    Refused,
)
from cloudsync.model.ports import (
    Discovery,
    Failed,
    Origin,
    RequiredPort,
    Unpublished,
    name_of,
)
from cloudsync.planning.decide import Considered
from cloudsync.planning.openings import listed, ports_of
from cloudsync.planning.policy import SSH_REASON, Wanted, listed_ports
from cloudsync.provider.contract import Observation, Present
from cloudsync.rules import NOTHING, Rule, RuleSet
from cloudsync.rules.frozen import dataclass
from cloudsync.rules.networks import ANY, NetworkSet


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked about: one protocol, ports `first`..`last` (see `cloudsync.rules` for protocols
    without ports)."""

    protocol: str
    """Canonical: `tcp`, `icmpv6`, `esp`."""
    first: int
    last: int

    @property
    def rules(self) -> RuleSet:
        """The whole of it, from everywhere."""
        return RuleSet.of((Rule(self.protocol, self.first, self.last, ANY),))

    def __str__(self) -> str:
        (rule,) = self.rules
        return f"{rule.ports}/{self.protocol}" if rule.ports else self.protocol


@dataclass(frozen=True, slots=True)
class Reason:
    """One reason for it to be open. `rules`: what of it."""

    text: str
    """A sentence for people."""
    rules: tuple[Rule, ...]
    origins: tuple[Origin, ...]
    """The containers and lines of files it comes from."""


@dataclass(frozen=True, slots=True)
class Event:
    """An apply that opened or closed a part of it. `when`: ISO 8601, as the history has it;
    `entry`: the id to ask `history` for."""

    verb: Literal["opened", "closed"]
    """What that apply did."""
    when: str
    who: str
    """The user or trigger of the run."""
    entry: str


@dataclass(frozen=True, slots=True)
class Story:
    """One firewall. `open`: what is let in now, None where that is not known; `vendor`: by which of
    its rules; `after`: what an apply would leave. `through`: other firewalls that let it in on the
    same machines. `policy`: lines of the configuration that have a say. `since`: the last apply
    that opened a part of it, and the last that closed one. `advice`: what would change it."""

    firewall: str
    """Its name in the configuration."""
    provider: str
    """The name of its `[providers.X]` table."""
    identity: str
    """What identifies it at the vendor, for people."""
    id: str | None
    """The vendor's id; None if it does not exist, or was not read."""
    read: ReadStatus
    """How far its reading came."""
    verdict: str
    """The answer in one sentence."""
    open: tuple[Rule, ...] | None
    after: tuple[Rule, ...]
    vendor: tuple[Rule, ...] = ()
    reasons: tuple[Reason, ...] = ()
    """Why it is to be open."""
    refused: tuple[Refused, ...] = ()
    """What was asked for and is not opened."""
    held: tuple[Held, ...] = ()
    """What stays open for a while although nothing needs it."""
    kept: tuple[str, ...] = ()
    """What stays open since others wrote it, a sentence each."""
    guards: tuple[Guard, ...] = ()
    """What holds an apply back."""
    through: tuple[str, ...] = ()
    halted: tuple[tuple[str, Halted], ...] = ()
    """By machine, what of it only one of two walls lets in."""
    policy: tuple[str, ...] = ()
    since: tuple[Event, ...] = ()
    advice: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Explanation:
    """`unread`: hosts that were not read completely: what they may need is not in the stories.
    `unassigned`: needed, and no firewall. `local`: published on loopback addresses only, which no
    firewall is ever opened for."""

    asked: Asked
    """The question."""
    stories: tuple[Story, ...]
    """One for each firewall."""
    unread: tuple[tuple[str, ReadStatus], ...] = ()
    unassigned: tuple[Refused, ...] = ()
    local: tuple[RequiredPort, ...] = ()
    unpublished: tuple[Unpublished, ...] = ()
    """Containers on the machine's own network: whether they listen on the port is not known."""
    networks: tuple[NetworkReading, ...] = ()
    """Networks that move and have a say about it."""
    at: datetime | None = None
    """The moment it is told for."""


def explain(
    configuration: Configuration,
    plan: Plan,
    considered: Iterable[Considered],
    asked: Asked,
    *,
    discoveries: Mapping[str, Discovery] = MappingProxyType({}),
    history: Sequence[Mapping[str, Any]] = (),
) -> Explanation:
    """The story of one port on every firewall that was considered. `history`: the entries of
    earlier applies, oldest first."""
    stories = tuple(
        replace(
            _story(configuration, firewall, asked),
            since=since(history, firewall.plan.name, asked),
        )
        for firewall in considered
    )
    return Explanation(
        asked,
        stories,
        tuple((name, status) for name, status in plan.hosts if status.status != "complete"),
        tuple(refusal for refusal in plan.unassigned if _touches(refusal, asked)),
        tuple(
            port
            for discovery in discoveries.values()
            if not isinstance(discovery, Failed)
            for port in discovery.local
            if port.protocol == asked.protocol
            and port.first <= asked.last
            and asked.first <= port.last
        ),
        tuple(
            container
            for discovery in discoveries.values()
            if not isinstance(discovery, Failed)
            for container in discovery.unpublished
            if container.listens_here
        ),
        tuple(_having_a_say(plan, stories)),
        plan.created,
    )


def _having_a_say(plan: Plan, stories: Iterable[Story]) -> Iterator[NetworkReading]:
    """The networks that move and that the port is open to, or that could not be read."""
    wanted = NetworkSet.union(
        rule.sources for story in stories for reason in story.reasons for rule in reason.rules
    )
    for network in plan.networks:
        if network.status.status != "complete" or (
            network.networks and wanted.covers(network.networks) and wanted != ANY
        ):
            yield network


def since(history: Sequence[Mapping[str, Any]], firewall: str, asked: Asked) -> tuple[Event, ...]:
    """The last apply that opened a part of it on a firewall, and the last that closed one, the
    later one first."""
    events: dict[str, Event] = {}
    for entry in reversed(history):
        for done in listed(entry.get("firewalls")):
            if done.get("name") != firewall:
                continue
            verbs: tuple[Literal["opened", "closed"], ...] = ("opened", "closed")
            for verb in verbs:
                if verb not in events and any(
                    _is_about(rule, asked) for rule in listed(done.get(verb))
                ):
                    who = entry.get("who")
                    user = str(who.get("user", "?")) if isinstance(who, Mapping) else "?"
                    events[verb] = Event(
                        verb, str(entry.get("started")), user, str(entry.get("id"))
                    )
        if len(events) == 2:
            break
    return tuple(events.values())


def _is_about(rule: Mapping[str, Any], asked: Asked) -> bool:
    ports = ports_of(rule)
    return ports is not None and bool(RuleSet.of((ports,)) & asked.rules)


def _story(configuration: Configuration, considered: Considered, asked: Asked) -> Story:
    rules, plan = asked.rules, considered.plan
    known = isinstance(considered.observed, Present)
    by_lists = _by_lists(considered.observed) & rules
    before = by_lists
    if isinstance(considered.observed, Present):
        before = before | (considered.observed.rules & rules)
    wanted = tuple(
        w for w in (considered.desired.wanted if considered.desired else ()) if w.rules & rules
    )
    refused = tuple(r for r in plan.refused if _touches(r, asked))
    held = tuple(h for h in plan.held if RuleSet.of((h.rule,)) & rules)
    unread = plan.read.status != "complete"
    after = (
        before
        if considered.withheld or unread or not considered.steps
        else (considered.target.rules & rules) | by_lists
    )
    listed = (
        (considered.observed.listed or tuple(considered.observed.rules))
        if isinstance(considered.observed, Present)
        else ()
    )
    return Story(
        firewall=plan.name,
        provider=plan.provider,
        identity=plan.identity,
        id=plan.id,
        read=plan.read,
        verdict=_verdict(plan.read, plan.exists, before, after, held, withheld=considered.withheld),
        open=tuple(before) if known or plan.exists is False else None,
        after=tuple(after),
        vendor=tuple(rule for rule in listed if RuleSet.of((rule,)) & rules),
        reasons=tuple(Reason(w.reason, tuple(w.rules & rules), w.origins) for w in wanted),
        refused=refused,
        held=held,
        kept=tuple(text for text in plan.kept if _named_in(text, asked)),
        guards=considered.guards,
        through=tuple(
            f"{machine.machine}: {beyond.through}"
            for machine in plan.standing.machines
            for beyond in machine.beyond
            if RuleSet.of((beyond.rule,)) & rules
        ),
        halted=tuple(
            (machine.machine, halted)
            for machine in plan.standing.machines
            for halted in machine.halted
            if RuleSet.of((halted.rule,)) & rules
        ),
        policy=tuple(_policy(configuration, asked, refused, held)),
        advice=tuple(dict.fromkeys(_advice(plan.name, asked, wanted, refused, held, before))),
    )


def _by_lists(observed: Observation) -> RuleSet:
    """What rules of others let in by the vendor's lists of addresses."""
    return observed.by_lists if isinstance(observed, Present) else NOTHING


def _verdict(
    read: ReadStatus,
    exists: bool | None,
    before: RuleSet,
    after: RuleSet,
    held: Sequence[Held],
    *,
    withheld: bool,
) -> str:
    if read.status != "complete":
        return "not known: the firewall could not be read, and is left as it is"
    if exists is False and not after:
        return "the firewall does not exist yet, so it stops nothing" + (
            "; a guard holds it back" if withheld else ""
        )
    opens, closes = after - before, before - after
    if opens and closes:
        return "an apply would open a part of it and close another"
    if opens:
        return (
            "an apply would open it"
            if not before
            else "a part of it is open, an apply would open more of it"
        )
    if closes:
        return (
            "open; an apply would close it"
            if not after
            else "open; an apply would close a part of it"
        )
    if not before:
        return "closed, and stays closed"
    return "open, and stays open although nothing requires it" if held else "open, and stays open"


def _policy(
    configuration: Configuration, asked: Asked, refused: Sequence[Refused], held: Sequence[Held]
) -> Iterable[str]:
    """The lines of the configuration that have a say, with their places."""
    policy, places = configuration.policy, configuration.places
    for name, ranges in (("deny", policy.deny), ("allow_sensitive", policy.allow_sensitive)):
        yield from (
            f"{ports.place}: policy.{name} names {_text(ports)}"
            for ports in ranges
            if listed_ports((ports,)) & asked.rules
        )
    codes = {refusal.code for refusal in refused}
    if "not-labelled" in codes and (place := places.get(("policy", "expose"))):
        yield f'{place}: policy.expose = "{policy.expose}"'
    if any(hold.reason == "additive" for hold in held) and (
        place := places.get(("policy", "mode"))
    ):
        yield f'{place}: policy.mode = "{policy.mode}"'


_AFTER_REFUSAL: Mapping[str, str] = {
    "denied": "to open it: remove it from policy.deny",
    "sensitive": (
        "to open it: limit who reaches it with the label cloudsync.sources, or name it in"
        " policy.allow_sensitive to open it to everyone"
    ),
    "not-labelled": "to open it: the label cloudsync.expose=true, or cloudsync.ports, on {who}",
    "labelled-out": "to open it: remove the label on {who} that keeps it closed",
    "random-port": "to open it: give it a fixed host port (-p 8080:80) on {who}",
    "not-published": "to open it: publish the port on {who}, or fix the label",
    "no-address": (
        "to open it: publish it on an address of that family on {who}, or fix cloudsync.sources"
    ),
    "loopback": "to open it: publish it on another address than loopback on {who}",
    "private-address": "to open it: publish it on every address, or on a public one, on {who}",
    "malformed": "to open it: fix the label of {who}",
    "unread-network": "it opens once the network can be read",
    "unexpressible": "this provider cannot express it; another firewall product can",
}
_WHILE_HELD: Mapping[str, str] = {
    "grace": (
        "it closes by itself when the grace is over and a second complete read misses it; at once"
        " with --now"
    ),
    "unknown-host": (
        "it closes once every host of the firewall can be read; a host that is gone for good is"
        " marked retired = true"
    ),
    "malformed-label": "it closes once the labels of the container are fixed",
    "unread-network": "it closes once the network can be read again, if nothing needs it then",
    "ssh-network-moved": "it closes with --ssh-moved",
    "additive": 'it closes with policy.mode = "sync"',
    "max-close": "it closes with --allow-close",
}


def _advice(
    firewall: str,
    asked: Asked,
    wanted: Sequence[Wanted],
    refused: Sequence[Refused],
    held: Sequence[Held],
    before: RuleSet,
) -> Iterable[str]:
    for wish in wanted:
        yield from _to_close(asked, wish)
    for refusal in refused:
        who = (
            ", ".join(dict.fromkeys(name_of(origin) for origin in refusal.origins))
            or "the container"
        )
        if text := _AFTER_REFUSAL.get(refusal.code):
            yield text.format(who=who)
    yield from (_WHILE_HELD.get(hold.reason, f"it is held: {hold.detail}") for hold in held)
    if not (wanted or refused or held or before):
        yield (
            "to open it: publish it from a container on a host of this firewall, or write"
            f" [[firewalls.{firewall}.allow]] with "
            f'ports = ["{asked}"]'
        )


def _to_close(asked: Asked, wanted: Wanted) -> Iterable[str]:
    if wanted.reason == SSH_REASON:
        yield "SSH stays open while [ssh] declares it"
        return
    for origin in wanted.origins:
        if origin.container or origin.service:
            yield (
                f"to close it: label {name_of(origin)} with cloudsync.expose=false, or with a"
                " cloudsync.ports that leaves it out; stop publishing it; or set"
                f' policy.deny = ["{asked}"]'
            )
        elif origin.file:
            yield f"to close it: remove it from {name_of(origin)}"
        elif origin.host:
            yield f"to close it: remove it from hosts.{origin.host}.ports"


def _touches(refused: Refused, asked: Asked) -> bool:
    """A refusal without a number (a random host port) is about no port that can be asked for."""
    try:
        return (
            bool(RuleSet.of((Rule.of(refused.protocol, refused.ports, ANY),)) & asked.rules)
            and refused.ports != ""
        )
    except ValueError:
        return False


def _named_in(text: str, asked: Asked) -> bool:
    """Whether a kept rule, which is only known by its words (`tcp/5432 from the group db`), is
    about what is asked."""
    what, _, _ = text.partition(" ")
    protocol, _, ports = what.partition("/")
    try:
        return bool(RuleSet.of((Rule.of(protocol, ports, ANY),)) & asked.rules)
    except ValueError:
        return False


def _text(port_range: PortRange) -> str:
    return (
        f"{port_range.first}/{port_range.protocol}"
        if port_range.first == port_range.last
        else f"{port_range.first}-{port_range.last}/{port_range.protocol}"
    )
