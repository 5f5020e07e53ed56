"""What the report says, as values and as JSON: the same for the page, the file and the service."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import field
from datetime import datetime
from types import MappingProxyType
from typing import Any

from cloudsync.audit.findings import Finding
from cloudsync.audit.report import Audit
from cloudsync.model.plan import Guard, Plan
from cloudsync.planning.path import Hop
from cloudsync.planning.status_table import STATES, StatusRow
from cloudsync.render import words
from cloudsync.render.audit import document as audit_document
from cloudsync.rules.frozen import dataclass
from cloudsync.rules.networks import NetworkSet

FORMAT_VERSION = "1.0"


@dataclass(frozen=True, slots=True)
class Report:
    """Everything the page shows."""

    created: datetime
    """When it was made."""
    owner: str
    """Of the configuration."""
    tool_version: str
    """Of cloudsync."""
    rows: tuple[StatusRow, ...]
    """What is open."""
    hosts: tuple[tuple[str, str, str], ...]
    """Name, `complete` | `partial` | `failed`, and why."""
    machines: tuple[tuple[str, str, bool], ...]
    """Name, firewall, and whether any firewall acts on it."""
    guards: tuple[Guard, ...] = ()
    """What holds an apply back."""
    warnings: tuple[str, ...] = ()
    """Sentences for people."""
    runs: tuple[Mapping[str, Any], ...] = ()
    """Entries of the history, the last first."""
    audit: Audit | None = None
    """What an audit of the same machines found; None if there was none."""
    ways: Mapping[StatusRow, tuple[Hop, ...]] = field(default_factory=dict)
    """From the Internet to who needs it, of rows whose port has a number."""

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Of the audit, the worst first."""
        return self.audit.findings if self.audit else ()

    @property
    def counts(self) -> dict[str, int]:
        """How many rows there are in each state."""
        return {state: sum(row.state == state for row in self.rows) for state in STATES}


def report_of(
    plan: Plan,
    rows: Sequence[StatusRow],
    runs: Sequence[Mapping[str, Any]],
    audit: Audit | None = None,
    ways: Mapping[StatusRow, tuple[Hop, ...]] = MappingProxyType({}),
) -> Report:
    """Put together from a plan, its rows, the history and an audit."""
    return Report(
        created=plan.created,
        owner=plan.owner,
        tool_version=plan.tool_version,
        rows=tuple(rows),
        hosts=tuple((name, status.status, status.reason or "") for name, status in plan.hosts),
        machines=tuple(
            (machine.machine, firewall.name, machine.protected)
            for firewall in plan.firewalls
            for machine in firewall.standing.machines
        ),
        guards=plan.guards,
        warnings=plan.warnings,
        runs=tuple(runs),
        audit=audit,
        ways=ways,
    )


@dataclass(frozen=True, slots=True)
class MachineRow:
    """One machine in numbers."""

    name: str
    """At the vendor."""
    firewalls: tuple[str, ...]
    """Names of those that act on it."""
    protected: bool
    """Whether any firewall acts on it."""
    counts: Mapping[str, int]
    """Rows by state, those that there are."""
    findings: int
    """Of the audit, notes aside."""


def machine_rows(report: Report) -> tuple[MachineRow, ...]:
    """Every machine, those with most to see to first."""
    counts: dict[str, Counter[str]] = {}
    firewalls: dict[str, dict[str, None]] = {}
    for row in report.rows:
        for machine in row.machines:
            counts.setdefault(machine, Counter())[row.state] += 1
            firewalls.setdefault(machine, {})[row.firewall] = None
    for name, firewall, _ in report.machines:
        counts.setdefault(name, Counter())
        firewalls.setdefault(name, {})[firewall] = None
    unprotected = {name for name, _, protected in report.machines if not protected}
    findings = Counter(f.host for f in report.findings if f.severity != "note")
    machines = (
        MachineRow(
            name, tuple(firewalls[name]), name not in unprotected, counts[name], findings[name]
        )
        for name in counts
    )
    return tuple(sorted(machines, key=_urgency))


def _urgency(machine: MachineRow) -> tuple[bool, int, int, str]:
    open_beyond = machine.counts.get("beyond", 0) + machine.counts.get("closes", 0)
    return machine.protected, -open_beyond, -machine.findings, machine.name


def sources(row: StatusRow) -> str:
    """Who may reach it, in words."""
    return words.sources(NetworkSet.of(row.sources)) if row.sources else ""


def document(report: Report) -> dict[str, Any]:
    """The JSON form."""
    return {
        "format_version": FORMAT_VERSION,
        "tool_version": report.tool_version,
        "created": report.created.isoformat(timespec="seconds"),
        "owner": report.owner,
        "counts": report.counts,
        "hosts": [
            {"name": name, "status": status, "reason": reason or None}
            for name, status, reason in report.hosts
        ],
        "machines": [
            {"name": name, "firewall": firewall, "protected": protected}
            for name, firewall, protected in report.machines
        ],
        "rows": [_row(report, row) for row in report.rows],
        "guards": [
            {"id": guard.id, "firewall": guard.firewall, "message": guard.message}
            for guard in report.guards
        ],
        "warnings": list(report.warnings),
        "runs": [run_of(entry) for entry in report.runs],
        "audit": audit_document(report.audit) if report.audit else None,
    }


def _row(report: Report, row: StatusRow) -> dict[str, Any]:
    return {
        "state": row.state,
        "machines": list(row.machines),
        "firewall": row.firewall,
        "wall": row.wall,
        "protocol": row.protocol,
        "ports": row.ports,
        "sources": list(row.sources),
        "needed_by": list(row.needed_by),
        "reason": row.reason,
        "until": row.until.isoformat(timespec="seconds") if row.until else None,
        "path": [
            {"name": hop.name, "verdict": hop.verdict, "rule": hop.rule or None}
            for hop in report.ways.get(row, ())
        ],
    }


def run_of(entry: Mapping[str, Any]) -> dict[str, str]:
    """What the page and the document say of an entry of the history."""
    return {
        "id": str(entry.get("id") or ""),
        "started": str(entry.get("started") or ""),
        "trigger": str(entry.get("why") or ""),
        "outcome": str(entry.get("outcome") or ""),
    }
