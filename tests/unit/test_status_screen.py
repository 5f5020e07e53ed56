"""The table of `cloudsync status`."""

from __future__ import annotations

from datetime import UTC, datetime

from cloudsync.model.plan import Granted, Plan
from cloudsync.planning.status import StatusRow
from cloudsync.render.screen import joined
from cloudsync.render.status import text
from cloudsync.rules import Rule
from cloudsync.rules.networks import ANY4, ANY6, NetworkSet

PLAN = Plan("0.1.0", datetime(2026, 3, 1, tzinfo=UTC), "shop", Granted(), (), ())


def row(sources: NetworkSet, reason: str = "web", opened: str = "2026-03-01") -> StatusRow:
    rule = Rule.of("tcp", "443", sources)
    return StatusRow("web", rule, "open", reasons=(reason,), opened=opened)


def shown(*rows: StatusRow) -> list[str]:
    return joined(text(PLAN, rows), colour=False, width=100).splitlines()[3:]


def test_the_rules_of_both_families_are_one_row() -> None:
    (line,) = shown(row(ANY4), row(ANY6))
    assert line.split() == ["443/tcp", "everyone", "web", "2026-03-01", "web"]


def test_rules_that_differ_in_more_than_the_sources_are_rows_of_their_own() -> None:
    assert len(shown(row(ANY4), row(ANY6, reason="mail"))) == 2
    assert len(shown(row(ANY4), row(ANY6, opened="2026-03-02"))) == 2
