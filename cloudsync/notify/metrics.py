"""The memory as Prometheus text (exposition format 0.0.4), for a textfile and for `/metrics`; the
list of metrics is data, so that the documents are generated from it."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from cloudsync import __version__
from cloudsync.notify.counters import Memory
from cloudsync.notify.run import ERROR_KINDS
from cloudsync.runtime.files import write_named

log = logging.getLogger("cloudsync.notify")
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
FILE_MODE = 0o644
ACTIONS = ("create", "adopt", "attach", "reapply", "open", "close")


class Metric(NamedTuple):
    """`labels` without `owner`, which every metric but the version has."""

    name: str
    """With its unit: `cloudsync_run_seconds`."""
    kind: str
    """`gauge` or `counter`."""
    labels: tuple[str, ...]
    help: str
    """A sentence."""


METRICS = (
    Metric("cloudsync_build_info", "gauge", ("version",), "Always 1; the version is a label."),
    Metric(
        "cloudsync_last_run_timestamp_seconds",
        "gauge",
        (),
        "When the last run ended, in Unix seconds.",
    ),
    Metric(
        "cloudsync_last_success_timestamp_seconds",
        "gauge",
        (),
        "When the last run with exit code 0 ended; 0 if none did yet.",
    ),
    Metric("cloudsync_last_run_exit_code", "gauge", (), "The exit code of the last run."),
    Metric("cloudsync_run_duration_seconds", "gauge", (), "How long the last run took."),
    Metric("cloudsync_runs_total", "counter", ("exit_code",), "Runs by exit code."),
    Metric(
        "cloudsync_changes_total",
        "counter",
        ("firewall", "provider", "action"),
        "What was really done, by action.",
    ),
    Metric(
        "cloudsync_drift_rules",
        "gauge",
        ("firewall", "provider"),
        "Rules that differed from what is wanted when the last run began.",
    ),
    Metric(
        "cloudsync_pending_rules",
        "gauge",
        ("firewall", "provider"),
        "Of those, the rules that still differed when it ended.",
    ),
    Metric(
        "cloudsync_held_rules",
        "gauge",
        ("firewall", "provider", "reason"),
        "Rules that stay open although nothing requires them, and why.",
    ),
    Metric(
        "cloudsync_refused_ports",
        "gauge",
        ("firewall", "provider", "code"),
        "Required ports that are not opened, and why.",
    ),
    Metric(
        "cloudsync_guards",
        "gauge",
        ("firewall", "provider", "guard"),
        "Guards that refuse something and wait for a person.",
    ),
    Metric(
        "cloudsync_firewall_read",
        "gauge",
        ("firewall", "provider"),
        "1 where the last run could read the firewall, else 0.",
    ),
    Metric(
        "cloudsync_foreign_rules",
        "gauge",
        ("firewall", "provider"),
        "Rules by which other firewalls let the Internet in; absent if they were not read.",
    ),
    Metric(
        "cloudsync_host_complete",
        "gauge",
        ("host",),
        "1 where the last run could read the host completely, else 0.",
    ),
    Metric("cloudsync_errors_total", "counter", ("kind",), "What went wrong, by kind."),
    Metric(
        "cloudsync_failing_since_timestamp_seconds",
        "gauge",
        (),
        "Since when every run failed, in Unix seconds; 0 while they succeed.",
    ),
    Metric(
        "cloudsync_audit_timestamp_seconds",
        "gauge",
        (),
        "When the last audit of watch ended; absent without one.",
    ),
    Metric(
        "cloudsync_audit_findings", "gauge", ("severity",), "What that audit found, by severity."
    ),
    Metric("cloudsync_audit_blind_spots", "gauge", (), "Inputs that it could not look at."),
)
Sample = tuple[Mapping[str, str], float]


def text(memory: Memory) -> str:
    """All metrics, in the order of `METRICS`; one without a sample is left out."""
    samples = _samples(memory)
    lines: list[str] = []
    for metric in METRICS:
        values = list(samples[metric.name])
        if not values:
            continue
        lines += [
            f"# HELP {metric.name} {_help(metric.help)}",
            f"# TYPE {metric.name} {metric.kind}",
        ]
        owner = {} if metric.name == "cloudsync_build_info" else {"owner": memory.owner}
        lines += [
            f"{metric.name}{_labels({**owner, **labels})} {_number(value)}"
            for labels, value in values
        ]
    return "\n".join(lines) + "\n"


def write(path: Path, memory: Memory) -> None:
    """The textfile, replaced as a whole and readable by others (the exporter runs as another
    user); a device or a FIFO is written, `-` is standard output. A failure is logged."""
    try:
        write_named(path, text(memory).encode("utf-8", "backslashreplace"), mode=FILE_MODE)
    except OSError as error:
        log.warning("the metrics file %s cannot be written: %s", path, error.strerror)


def _samples(memory: Memory) -> dict[str, Iterable[Sample]]:
    return {
        "cloudsync_build_info": [({"version": __version__}, 1)],
        "cloudsync_last_run_timestamp_seconds": [({}, memory.last_run)],
        "cloudsync_last_success_timestamp_seconds": [({}, memory.last_success)],
        "cloudsync_last_run_exit_code": [({}, memory.last_code)],
        "cloudsync_run_duration_seconds": [({}, memory.last_seconds)],
        "cloudsync_runs_total": [
            ({"exit_code": str(code)}, count) for code, count in sorted(memory.runs.items())
        ],
        "cloudsync_changes_total": _each(memory, "action", "changes", ACTIONS),
        "cloudsync_drift_rules": _single(memory, "drift"),
        "cloudsync_pending_rules": _single(memory, "pending"),
        "cloudsync_held_rules": _each(memory, "reason", "held"),
        "cloudsync_refused_ports": _each(memory, "code", "refused"),
        "cloudsync_guards": _each(memory, "guard", "guards"),
        "cloudsync_firewall_read": _single(memory, "read"),
        "cloudsync_foreign_rules": _single(memory, "foreign"),
        "cloudsync_host_complete": [
            ({"host": name}, complete) for name, complete in sorted(memory.hosts.items())
        ],
        "cloudsync_errors_total": [
            ({"kind": kind}, memory.errors.get(kind, 0)) for kind in ERROR_KINDS
        ],
        "cloudsync_failing_since_timestamp_seconds": [
            ({}, memory.streak.since if memory.streak and not memory.streak.over else 0)
        ],
        **_audit(memory),
    }


def _audit(memory: Memory) -> dict[str, Iterable[Sample]]:
    audit = memory.audit
    if audit is None:
        names = ("timestamp_seconds", "findings", "blind_spots")
        return {f"cloudsync_audit_{name}": () for name in names}
    return {
        "cloudsync_audit_timestamp_seconds": [({}, audit.ended)],
        "cloudsync_audit_findings": [
            ({"severity": severity}, count) for severity, count in audit.findings.items()
        ],
        "cloudsync_audit_blind_spots": [({}, audit.blind)],
    }


def _single(memory: Memory, field: str) -> Iterator[Sample]:
    for name, figures in memory.firewalls.items():
        value: float | None = getattr(figures, field)
        if value is not None:
            yield {"firewall": name, "provider": figures.provider}, value


def _each(memory: Memory, label: str, field: str, always: tuple[str, ...] = ()) -> Iterator[Sample]:
    for name, figures in memory.firewalls.items():
        counts: Mapping[str, int] = getattr(figures, field)
        for value in (*always, *sorted(counts.keys() - set(always))):
            yield (
                {"firewall": name, "provider": figures.provider, label: value},
                counts.get(value, 0),
            )


def _labels(labels: Mapping[str, str]) -> str:
    inside = ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items())
    return f"{{{inside}}}" if inside else ""


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _help(value: str) -> str:
    return value.replace("\\", "\\\\").replace("\n", "\\n")


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(round(value, 3))
