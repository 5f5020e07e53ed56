"""The whole audit: every family over the facts, ignores applied, blind spots said."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date
from fnmatch import fnmatchcase

from cloudsync.audit import (
    containers,
    docker_user,
    engine_rules,
    machine,
    metadata,
    networks,
    proxies,
    published,
    walls,
)
from cloudsync.audit.findings import SEVERITIES, Finding, Severity
from cloudsync.config.configuration import AuditIgnore
from cloudsync.model.machine_facts import Blind, Facts, not_looked_at
from cloudsync.rules import Rule, RuleSet
from cloudsync.rules.frozen import dataclass
from cloudsync.rules.networks import ANY

_FAMILIES = (
    published.find,
    proxies.find,
    containers.find,
    networks.find,
    docker_user.find,
    walls.find,
    engine_rules.find,
    machine.find,
    metadata.find,
)
PASSING = frozenset(("CS019", "CS041"))
"""Findings that a container which is being recreated, or is slow to start, causes for a moment."""
SECOND_LOOK_SECONDS = 2.0
"""After which it is looked at again."""


@dataclass(frozen=True, slots=True)
class Ignore:
    """One `[[audit.ignore]]`."""

    id: str
    """Of the finding: `CS004`."""
    object: str
    """Of the finding, with globs; `*` for any."""
    reason: str
    """Why it is accepted."""
    until: date | None = None
    """The last day it is; None for good."""


def ignores_of(entries: Iterable[AuditIgnore]) -> tuple[Ignore, ...]:
    """The `[[audit.ignore]]` of a configuration."""
    return tuple(Ignore(entry.id, entry.object, entry.reason, entry.until) for entry in entries)


@dataclass(frozen=True, slots=True)
class Audit:
    """What was found."""

    findings: tuple[Finding, ...]
    """The worst first."""
    blind: tuple[Blind, ...]
    """What could not be looked at."""
    ignored: int = 0
    """How many findings are accepted."""

    @property
    def complete(self) -> bool:
        """Whether every input was read; an audit that saw half never calls a machine clean."""
        return not self.blind

    def at_least(self, severity: Severity) -> tuple[Finding, ...]:
        """The findings that are at least as bad."""
        bound = SEVERITIES.index(severity)
        return tuple(f for f in self.findings if SEVERITIES.index(f.severity) <= bound)


def may_pass(machines: Iterable[Facts]) -> bool:
    """Whether there is a finding that may pass by itself: the machines are worth a second look."""
    return any(finding.id in PASSING for facts in machines for finding in of_machine(facts))


def audit(
    machines: Sequence[Facts],
    ignores: Iterable[Ignore],
    today: date,
    earlier: Sequence[Facts] = (),
) -> Audit:
    """Everything that is wrong with the machines. `earlier`: a first look at the same machines;
    with one, a finding of `PASSING` counts only if both looks have it."""
    everything = [finding for facts in machines for finding in of_machine(facts)]
    if earlier:
        seen = {finding.fingerprint for facts in earlier for finding in of_machine(facts)}
        everything = [f for f in everything if f.id not in PASSING or f.fingerprint in seen]
    ignores = tuple(ignores)
    expired = [ignore for ignore in ignores if ignore.until is not None and ignore.until < today]
    current = [ignore for ignore in ignores if ignore not in expired]
    left = [f for f in everything if not any(_matches(ignore, f) for ignore in current)]
    left += [_expired(ignore) for ignore in expired]
    blind = tuple(spot for facts in machines for spot in facts.blind)
    ordered = sorted(left, key=lambda finding: finding.order)
    return Audit(tuple(ordered), blind, ignored=len(everything) + len(expired) - len(left))


def of_machine(facts: Facts) -> list[Finding]:
    """One finding a cause: the same cause by two ways is listed once."""
    by_fingerprint: dict[str, Finding] = {}
    for family in _FAMILIES:
        for finding in family(facts):
            by_fingerprint.setdefault(finding.fingerprint, finding)
    for spot in facts.blind:
        finding = Finding(
            "CS046", "note", facts.host, spot.input,
            f"{not_looked_at(spot.input)}{spot.reason}"
            + (f"; unseen: {spot.hides}" if spot.hides else ""),
        )  # fmt: skip
        by_fingerprint.setdefault(finding.fingerprint, finding)
    return _one_a_cause(tuple(by_fingerprint.values()))


def _one_a_cause(findings: Sequence[Finding]) -> list[Finding]:
    """Without what the cloud lets in needlessly (CS037) where another finding is about the very
    port on the machine behind it."""
    behind = RuleSet.of(
        Rule.of(finding.protocol, finding.ports, ANY)
        for finding in findings
        if finding.id != "CS037" and finding.protocol and finding.ports
        and finding.reachable == "internet"
    )  # fmt: skip
    if any(finding.id == "CS039" for finding in findings):
        behind |= RuleSet.of(Rule.of(kind, str(port), ANY) for kind, port in machine.SWARM)
    return [f for f in findings if f.id != "CS037" or not _is_covered(f, behind)]


def _is_covered(finding: Finding, behind: RuleSet) -> bool:
    if not finding.protocol or not finding.ports:
        return False
    return behind.covers(RuleSet.of((Rule.of(finding.protocol, finding.ports, ANY),)))


def _matches(ignore: Ignore, finding: Finding) -> bool:
    return ignore.id == finding.id and fnmatchcase(finding.object, ignore.object)


def _expired(ignore: Ignore) -> Finding:
    return Finding(
        "CS046", "low", "configuration", f"ignore {ignore.id} {ignore.object}",
        f"ignored until {ignore.until} because: {ignore.reason}; the date has passed",
    )  # fmt: skip
