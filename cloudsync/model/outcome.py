"""What an apply did, firewall by firewall."""

from __future__ import annotations

from typing import Literal

from cloudsync.model.plan import Plan
from cloudsync.rules import RuleSet
from cloudsync.rules.frozen import dataclass

Status = Literal["done", "unchanged", "refused", "failed", "unknown", "not-begun"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an apply did to one firewall. `not-begun`: an earlier failure or a refusal to go on kept
    it from being touched. `conflict`: somebody else changed it meanwhile; to look and plan again
    may fix it. `stopped`: a signal kept steps from being begun. `before` and `after`: what it let
    in as it was read first and last; None where that is not known, or nobody looked again."""

    firewall: str
    """Its name in the configuration."""
    status: Status
    """How it ended; see above."""
    opened: int = 0
    """How many rules were opened."""
    closed: int = 0
    """How many rules were closed."""
    message: str | None = None
    """What went wrong, a line for people; None if nothing did."""
    conflict: bool = False
    stopped: bool = False
    before: RuleSet | None = None
    after: RuleSet | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """`moved`: why the approved plan does not fit any more (then nothing was written). `declined`:
    the user said no. `interrupted`: the number of the signal that stopped it. `notes`: what else a
    person should know. `busy`: firewalls that another run was at work on, and that were left
    alone."""

    plan: Plan
    """What was to be done."""
    outcomes: tuple[Outcome, ...] = ()
    """One for each firewall that the plan is about."""
    moved: str | None = None
    declined: bool = False
    interrupted: int | None = None
    notes: tuple[str, ...] = ()
    busy: tuple[str, ...] = ()
