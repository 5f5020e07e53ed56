"""Grace: what a container needed and no container needs any more stays open for a while (decision
0005). Pure.

A recreated container leaves a gap, and one in a crash loop shows no port most of the time. So the
timer of a rule starts at the first complete read by an apply that misses it, and the rule closes
when the time is over *and* another complete read misses it. Timers belong to rules (protocol,
ports, sources), never to containers: a container that comes back under another id is the same need.

What a rule set remembers is exact: of a port range of which one port is missed, one port has a
timer.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from cloudsync.model.memory import Memory, Missing
from cloudsync.planning.policy import Desired
from cloudsync.provider.contract import Description, Present
from cloudsync.rules import NOTHING, RuleSet
from cloudsync.rules.frozen import dataclass
from cloudsync.runtime.clock import Moment, elapsed

BY_DESCRIPTION = "?"
"""Stands for the host of rules that only a description at the vendor attributes to a container."""
_NOT_A_CONTAINER = re.compile(r"ssh|allow|icmp|private networks|.*:[0-9]+")


@dataclass(frozen=True, slots=True)
class Past:
    """What a decision may know of earlier runs.

    `ssh`: the SSH of the last applied plan, None where none is known. `memory`: None where no apply
    has looked yet. `unreadable`: there is a memory that cannot be read. `now`: the moment of this
    run. `still`: what an approved plan showed as held by grace; it was shown as staying open, so it
    stays, though its time is over by now (law 6).
    """

    now: Moment
    ssh: RuleSet | None = None
    memory: Memory | None = None
    unreadable: bool = False
    still: RuleSet = NOTHING


@dataclass(frozen=True, slots=True)
class Waiting:
    """A part that stays open until `until`, if no container needs it again before. `first`: no
    earlier apply missed it."""

    rules: RuleSet
    until: datetime
    first: bool


def attributed(
    past: Past, observed: Present, extra: RuleSet, hosts: Iterable[str]
) -> Mapping[str, RuleSet]:
    """By host, what is known to have been a container's. Without a memory the descriptions at the
    vendor are asked, and where one is there that cannot be read everything might be: a damaged file
    must not close what it was to keep open."""
    if past.memory is not None:
        return {host: past.memory.hosts.get(host, NOTHING) for host in (*hosts, BY_DESCRIPTION)}
    if past.unreadable:
        return {BY_DESCRIPTION: extra}
    return {BY_DESCRIPTION: by_description(observed.described, hosts)}


def by_description(described: Iterable[Description], hosts: Iterable[str] = ()) -> RuleSet:
    """The rules whose description is one that cloudsync writes for a container: not its words for
    SSH, for ICMP, for what a file or the table of a host asks for."""
    names = set(hosts)
    of_containers = NOTHING
    for description in described:
        words = description.text.removesuffix(" (cloudsync)").split(", ")
        if description.text and not all(_NOT_A_CONTAINER.fullmatch(w) or w in names for w in words):
            of_containers = of_containers | description.rules
    return of_containers


def waits(
    past: Past, known: Mapping[str, RuleSet], extra: RuleSet, grace: timedelta
) -> tuple[Waiting, ...]:
    """Of `extra`, which a complete read misses, what stays for now; the rest has no grace, or its
    grace is over."""
    if not grace:
        return ()
    left = extra & _all(known.values())
    waiting = []
    for timer in past.memory.missing if past.memory is not None else ():
        piece = left & timer.rules
        left = left - piece
        remaining = grace.total_seconds() - _waited(timer, past)
        if remaining <= 0:
            piece, remaining = piece & past.still, 0
        if piece:
            waiting.append(
                Waiting(piece, past.now.wall + timedelta(seconds=remaining), first=False)
            )
    if left:
        waiting.append(Waiting(left, past.now.wall + grace, first=True))
    return tuple(waiting)


def remembered(
    past: Past,
    known: Mapping[str, RuleSet],
    identity: str,
    desired: Desired,
    observed: RuleSet,
    *,
    complete: bool,
) -> Memory:
    """What to remember after an apply looked. `complete`: every host of the firewall was read
    completely; only then a rule can be missed."""
    open_for_nobody = observed - desired.rules
    hosts = {}
    for host in {*known, *desired.engines}:
        before = known.get(host, NOTHING)
        hosts[host] = desired.engines.get(host, NOTHING) | (
            before & open_for_nobody if complete else before
        )
    missed = _all(hosts.values()) - _all(desired.engines.values())
    timers = []
    for timer in past.memory.missing if past.memory is not None else ():
        if piece := timer.rules & missed:
            timers.append(Missing(piece, timer.since, _waited(timer, past)))
            missed = missed - piece
    if complete and desired.unknown is not None and (fresh := missed - desired.unknown):
        timers.append(Missing(fresh, past.now.wall, 0.0))
    return Memory(
        identity,
        past.now,
        {host: rules for host, rules in sorted(hosts.items()) if rules},
        tuple(timers),
        expose=desired.expose,
    )


def with_switched_policy(desired: Desired, past: Past) -> Desired:
    """A port without a label is closed on purpose if the user has switched `policy.expose` since
    the last apply. Otherwise it had a label once, and a label that disappears has grace like a port
    that does."""
    before = past.memory.expose if past.memory is not None else ""
    if before in ("", desired.expose):
        return desired
    return replace(desired, deliberate=desired.deliberate | desired.unlabelled)


def _waited(timer: Missing, past: Past) -> float:
    return timer.waited + (
        elapsed(past.memory.looked, past.now) if past.memory is not None else 0.0
    )


def _all(parts: Iterable[RuleSet]) -> RuleSet:
    total = NOTHING
    for rules in parts:
        total = total | rules
    return total
