"""Steps that every vendor with a marker has. Pure."""

from __future__ import annotations

from cloudsync.provider.contract import Step, StepKind, Target
from cloudsync.rules import RuleSet


def write_marker(identity: str, rules: RuleSet, native: object, warning: str | None = None) -> Step:
    """Writes the owner marker of an existing firewall. `rules`: what it lets in meanwhile."""
    summary = f'write the owner marker of "{identity}"'
    return Step(summary, StepKind.MARK, rules, native=native, warning=warning)


def take_marker_off(identity: str, target: Target, native: object) -> Step:
    """Takes the owner marker off, and leaves everything else as it is (`Target.release`)."""
    summary = f'take the owner marker off "{identity}"'
    return Step(summary, StepKind.MARK, target.rules, native=native)
