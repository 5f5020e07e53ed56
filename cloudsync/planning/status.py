"""What is open now, row by row: every rule of every firewall, who needs it, since when, and until
when it is held. Pure, over what planning leaves."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Literal

from cloudsync.model.plan import Held
from cloudsync.model.ports import Origin
from cloudsync.planning.decide import Considered
from cloudsync.planning.openings import Openings
from cloudsync.planning.policy import Wanted
from cloudsync.provider.contract import Present
from cloudsync.rules import Rule, RuleSet
from cloudsync.rules.frozen import dataclass
from cloudsync.rules.index import RuleIndex

State = Literal["open", "held", "closes", "opens"]


@dataclass(frozen=True, slots=True)
class StatusRow:
    """One rule of one firewall."""

    firewall: str
    """Its name in the configuration."""
    rule: Rule
    state: State
    """`open` and needed; `held` open although nothing requires it; what an apply `closes` or
    `opens`."""
    reasons: tuple[str, ...] = ()
    """Why it is needed, as the configuration and the hosts say."""
    origins: tuple[Origin, ...] = ()
    """Who needs it."""
    opened: str | None = None
    """When an apply opened it, ISO 8601; None if no entry of the history says."""
    until: datetime | None = None
    """When what is held closes, if a time is known."""
    detail: str = ""
    """Why it is held."""
    hold: str = ""
    """The kind of the hold, such as `grace`."""


def rows(
    considered: Iterable[Considered], history: Sequence[Mapping[str, Any]]
) -> tuple[StatusRow, ...]:
    """Firewall by firewall, in the order of protocol and port: what is open, and what an apply
    would open. `history`: oldest entry first."""
    openings = Openings(history)
    return tuple(
        row for judged in considered for row in sorted(_rows(judged, openings), key=_by_port)
    )


def _by_port(row: StatusRow) -> tuple[str, int, int, tuple[str, ...]]:
    return row.rule.protocol, row.rule.first, row.rule.last, row.rule.sources.cidrs()


def _rows(judged: Considered, openings: Openings) -> Iterable[StatusRow]:
    wanted = RuleIndex(
        (wish.rules, wish) for wish in (judged.desired.wanted if judged.desired else ())
    )
    closing = RuleSet.of(
        change.rule
        for change in judged.plan.changes
        if change.action == "close" and change.rule is not None
    )
    if isinstance(judged.observed, Present):
        for rule in judged.observed.listed or tuple(judged.observed.rules):
            reasons, origins = _needed(wanted.overlapping(rule))
            held = _held(rule, judged.plan.held)
            state: State = "open" if reasons else "held" if held else "open"
            if closing.covers(RuleSet.of((rule,))):
                state = "closes"
            row = StatusRow(
                judged.plan.name,
                rule,
                state,
                reasons,
                origins,
                openings.last(judged.plan.name, rule),
            )
            if held is not None and not reasons:
                row = replace(row, until=held.until, detail=held.detail, hold=held.reason)
            yield row
    for change in judged.plan.changes:
        if change.action == "open" and change.rule is not None:
            reasons, origins = _needed(wanted.overlapping(change.rule))
            yield StatusRow(judged.plan.name, change.rule, "opens", reasons, origins)


def _needed(wanted: Iterable[Wanted]) -> tuple[tuple[str, ...], tuple[Origin, ...]]:
    reasons: dict[str, None] = {}
    origins: dict[Origin, None] = {}
    for need in wanted:
        reasons[need.reason] = None
        origins.update(dict.fromkeys(need.origins))
    return tuple(reasons), tuple(origins)


def _held(rule: Rule, held: Iterable[Held]) -> Held | None:
    asked = RuleSet.of((rule,))
    return next((hold for hold in held if asked & RuleSet.of((hold.rule,))), None)
