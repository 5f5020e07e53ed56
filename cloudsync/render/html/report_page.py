"""The report as one HTML file. Style and script stand in it, allowed by their hashes only."""

from __future__ import annotations

import base64
import hashlib
from functools import partial
from pathlib import Path

import jinja2

from cloudsync.audit.catalogue import BY_ID
from cloudsync.audit.findings import Finding
from cloudsync.planning.status_table import STATES, StatusRow
from cloudsync.render import words
from cloudsync.render.escape import plain
from cloudsync.render.report import Report, hops, run_of, sources

_HERE = Path(__file__).parent
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
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_HERE),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["plain"] = lambda value: plain(str(value))
    style, script = ((_HERE / f"report.{kind}").read_text() for kind in ("css", "js"))
    return environment.get_template("report.html").render(
        report=report,
        states=STATES,
        labels=_LABELS,
        unread=[host for host in report.hosts if host[1] != "complete"],
        unprotected=[machine for machine in report.machines if not machine[2]],
        runs=[run_of(entry) for entry in report.runs],
        port=_port,
        sources=sources,
        hops=partial(hops, report),
        fix=_fix,
        style=style,
        style_hash=_hash(style),
        script=script,
        script_hash=_hash(script),
    )


def _port(row: StatusRow) -> str:
    return words.port(row.protocol, row.ports)


def _fix(finding: Finding) -> str:
    return BY_ID[finding.id].fix


def _hash(content: str) -> str:
    """For Content-Security-Policy: base64 of the SHA-256."""
    return base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
