"""What is open on which machines, why, and what is not: one row a rule and firewall. Pure.

| state   | meaning                                                             |
|---------|---------------------------------------------------------------------|
| open    | it is required, and open                                            |
| opens   | it is required, and the next apply opens it                         |
| closes  | nothing requires it, and the next apply closes it                   |
| held    | nothing requires it, and it stays open for now; `until` if known    |
| refused | it is required, and is not opened                                   |
| beyond  | another firewall leaves it open although nothing requires it        |
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import datetime
from typing import Literal

from cloudsync.model.ports import Origin, name_of
from cloudsync.planning.decide import Considered
from cloudsync.planning.diff import ASKED_BY_NOTHING
from cloudsync.planning.policy import Wanted
from cloudsync.provider.contract import Present
from cloudsync.rules import NOTHING, Rule, RuleSet
from cloudsync.rules.frozen import dataclass
from cloudsync.rules.networks import NOWHERE, NetworkSet

State = Literal["open", "opens", "closes", "held", "refused", "beyond"]
STATES: tuple[State, ...] = ("beyond", "closes", "held", "refused", "opens", "open")


@dataclass(frozen=True, slots=True)
class StatusRow:
    firewall: str
    """The firewall's name in the configuration."""
    wall: Literal["cloud", "host"]
    """Where the firewall filters: in front of the machine, or on it."""
    machines: tuple[str, ...]
    """The hosts that need it, else the hosts of the firewall."""
    protocol: str
    """`tcp`, `udp`, …"""
    ports: str
    """As in the plan document: `443`, `8000-8010`, `` for protocols without ports."""
    sources: tuple[str, ...]
    """CIDRs, IPv4 first."""
    state: State
    """Whether it is open, and why not."""
    needed_by: tuple[str, ...] = ()
    """Containers, services, or lines of a file."""
    reason: str = ""
    """A sentence for people."""
    until: datetime | None = None
    """How long it is held open; None if it is not only held."""


def status_rows(considered: Iterable[Considered]) -> tuple[StatusRow, ...]:
    """Every row, what needs a person first, then by port."""
    rows = [row for firewall in considered for row in _of_firewall(firewall)]
    return tuple(sorted(_families_merged(rows), key=_order))


def _families_merged(rows: Iterable[StatusRow]) -> Iterator[StatusRow]:
    """Rows that differ in their sources only (both families of one published port) as one."""
    sources: dict[StatusRow, NetworkSet] = {}
    for row in rows:
        key = replace(row, sources=())
        sources[key] = sources.get(key, NOWHERE) | NetworkSet.of(row.sources)
    return (replace(row, sources=networks.cidrs()) for row, networks in sources.items())


def _order(row: StatusRow) -> tuple[int, str, str, int, str]:
    first = row.ports.partition("-")[0]
    number = int(first) if first.isdigit() else 0
    return STATES.index(row.state), row.firewall, row.protocol, number, row.ports


def _of_firewall(considered: Considered) -> Iterator[StatusRow]:
    plan = considered.plan
    observed = considered.observed.rules if isinstance(considered.observed, Present) else NOTHING
    desired = considered.desired
    for wanted in desired.wanted if desired is not None else ():
        for rule in wanted.rules:
            is_open = not RuleSet.of((rule,)) - observed
            yield _row(considered, rule, "open" if is_open else "opens", wanted)
    refusals = {(refused.protocol, refused.ports): refused for refused in plan.refused}
    for change in plan.changes:
        if change.action == "close" and change.rule is not None:
            row = _row(considered, change.rule, "closes", reason=change.reason)
            asked = refusals.get((change.rule.protocol, change.rule.ports))
            if asked is not None and change.reason == ASKED_BY_NOTHING:
                reason = "what asks for it is refused"
                row = replace(row, needed_by=_names(asked.origins), reason=reason)
            yield row
    for held in plan.held:
        yield _row(considered, held.rule, "held", reason=held.detail, until=held.until)
    for refused in plan.refused:
        yield StatusRow(
            firewall=plan.name,
            wall=_wall(considered),
            machines=_machines(refused.origins, plan.hosts),
            protocol=refused.protocol,
            ports=refused.ports,
            sources=refused.sources,
            state="refused",
            needed_by=_names(refused.origins),
            reason=refused.reason,
        )
    for machine in plan.standing.machines:
        for beyond in machine.beyond:
            row = _row(
                considered, beyond.rule, "beyond", reason=f"{beyond.through}; {beyond.advice}"
            )
            yield StatusRow(
                row.firewall, row.wall, (machine.machine,), row.protocol, row.ports, row.sources,
                "beyond", (), row.reason,
            )  # fmt: skip


def _row(
    considered: Considered,
    rule: Rule,
    state: State,
    wanted: Wanted | None = None,
    *,
    reason: str = "",
    until: datetime | None = None,
) -> StatusRow:
    origins = wanted.origins if wanted is not None else ()
    return StatusRow(
        firewall=considered.plan.name,
        wall=_wall(considered),
        machines=_machines(origins, considered.plan.hosts),
        protocol=rule.protocol,
        ports=rule.ports,
        sources=rule.sources.cidrs(),
        state=state,
        needed_by=_names(origins),
        reason=wanted.reason if wanted is not None else reason,
        until=until,
    )


def _wall(considered: Considered) -> Literal["cloud", "host"]:
    return "host" if considered.plan.type == "host" else "cloud"


def _machines(origins: Iterable[Origin], hosts: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(origin.host for origin in origins if origin.host)) or hosts


def _names(origins: Iterable[Origin]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name_of(origin) for origin in origins))
