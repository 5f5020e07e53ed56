"""What a quiet run has already reported: the same trouble is reported once, then once a day, and so
is its end. Without it, cron would send the same mail at every run."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from cloudsync.model.outcome import Report
from cloudsync.model.state_url import StatePlace
from cloudsync.rules.frozen import dataclass
from cloudsync.runtime.clock import instant
from cloudsync.state import StateError
from cloudsync.state.documents import document

log = logging.getLogger("cloudsync")
_KIND = "told.json"
AGAIN = timedelta(days=1)
"""How long the same trouble stays unreported."""


@dataclass(frozen=True, slots=True)
class Told:
    """The trouble that was last reported."""

    trouble: tuple[str, ...]
    """As `trouble_of` names it."""
    since: datetime
    """When it was first seen."""
    reported: datetime
    """When it was last reported."""


def trouble_of(code: int, report: Report) -> tuple[str, ...]:
    """What is wrong, in words that stay the same as long as it is the same trouble; empty for a run
    without trouble. Counts, times and messages of vendors are not part of it."""
    if code == 0:
        return ()
    plan = report.plan
    return (
        f"exit {code}",
        *sorted(f"guard {guard.id} at {guard.firewall}" for guard in plan.guards),
        *sorted(
            f"host {name} not read" for name, status in plan.hosts if status.status != "complete"
        ),
        *sorted(
            f"firewall {f.name} not read" for f in plan.firewalls if f.read.status != "complete"
        ),
        *sorted(
            f"network {network.name} not read"
            for network in plan.networks
            if network.status.status != "complete"
        ),
        *sorted(f"label: {text}" for text in plan.malformed),
        *sorted(
            f"firewall {outcome.firewall} {outcome.status}"
            for outcome in report.outcomes
            if outcome.status in ("failed", "unknown")
        ),
        *(("approval",) if report.moved is not None or report.declined else ()),
    )


def is_news(trouble: tuple[str, ...], reported: Told | None, now: datetime) -> bool:
    """Whether to report it: it is new, or a day has passed. A clock that was set back counts as a
    day."""
    if reported is None or reported.trouble != trouble:
        return bool(trouble)
    return not timedelta() <= now - reported.reported < AGAIN


def noted(state: StatePlace, owner: str, trouble: tuple[str, ...]) -> tuple[bool, Told | None]:
    """Whether to report the trouble, or the end of what was reported before; and what that was.
    Remembers that it is reported. What cannot be remembered is reported again."""
    now = datetime.now(UTC)
    reported = _recall(state, owner)
    news = is_news(trouble, reported, now) if trouble else reported is not None
    if news:
        same = reported is not None and reported.trouble == trouble
        since = reported.since if reported is not None and same else now
        try:
            data = _document(Told(trouble, since, now) if trouble else None)
            document(state, owner, _KIND).update(lambda _: data)
        except (OSError, StateError) as error:
            log.warning("what was reported cannot be remembered: %s", error)
    return news, reported


def _document(reported: Told | None) -> bytes:
    value: dict[str, Any] = {"version": 1}
    if reported is not None:
        value |= {
            "trouble": list(reported.trouble),
            "since": reported.since.isoformat(timespec="seconds"),
            "reported": reported.reported.isoformat(timespec="seconds"),
        }
    return json.dumps(value, indent=1).encode()


def _recall(state: StatePlace, owner: str) -> Told | None:
    """None if nothing was reported, or nobody can say."""
    try:
        raw = document(state, owner, _KIND).read()
        value = json.loads(raw) if raw is not None else None
    except (ValueError, RecursionError, StateError):
        return None
    if not isinstance(value, Mapping) or not isinstance(value.get("trouble"), list):
        return None
    try:
        since, reported = (instant(str(value[key])) for key in ("since", "reported"))
    except (KeyError, ValueError):
        return None
    return Told(tuple(str(word) for word in value["trouble"]), since, reported)
