"""The report as one HTML file. Style and script stand in it, allowed by their hashes only."""

from __future__ import annotations

from cloudsync.audit.catalogue import fix_of
from cloudsync.planning.status_table import STATES, StatusRow
from cloudsync.render import words
from cloudsync.render.html.pages import render
from cloudsync.render.report import Report, machine_rows, run_of, sources

_LABELS = {
    "beyond": "open beyond",
    "closes": "closes",
    "held": "held open",
    "refused": "refused",
    "opens": "opens",
    "open": "open",
}


def page(report: Report) -> str:
    """The whole page; every name in it is text, whatever it contains."""
    return render(
        "report.html",
        style="report.css",
        script="report.js",
        report=report,
        states=STATES,
        labels=_LABELS,
        unread=[host for host in report.hosts if host[1] != "complete"],
        unprotected=[machine for machine in report.machines if not machine[2]],
        runs=[run_of(entry) for entry in report.runs],
        port=_port,
        sources=sources,
        machines=machine_rows(report),
        fix=fix_of,
    )


def _port(row: StatusRow) -> str:
    return words.port(row.protocol, row.ports)
