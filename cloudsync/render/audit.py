"""An audit as text and as JSON."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Iterator
from typing import Any

from cloudsync.audit.catalogue import BY_ID
from cloudsync.audit.findings import SEVERITIES, Finding
from cloudsync.audit.report import Audit
from cloudsync.render.escape import plain

FORMAT_VERSION = "1.0"
_STYLE = {
    "critical": "\x1b[1;31m",
    "high": "\x1b[31m",
    "medium": "\x1b[33m",
    "low": "",
    "note": "\x1b[2m",
}


def document(audit: Audit) -> dict[str, Any]:
    """The JSON form; its keys are a contract."""
    return {
        "format_version": FORMAT_VERSION,
        "complete": audit.complete,
        "findings": [_finding(finding) for finding in audit.findings],
        "blind": [{"input": spot.input, "reason": spot.reason} for spot in audit.blind],
        "ignored": audit.ignored,
    }


def _finding(finding: Finding) -> dict[str, Any]:
    kind = BY_ID[finding.id]
    return {
        "id": finding.id,
        "title": kind.title,
        "severity": finding.severity,
        "host": finding.host,
        "object": finding.object,
        "protocol": finding.protocol,
        "ports": finding.ports,
        "reachable": finding.reachable,
        "file": finding.file,
        "line": finding.line,
        "reason": finding.reason,
        "fix": kind.fix,
        "hint": finding.hint,
        "fingerprint": finding.fingerprint,
    }


def summary(audit: Audit) -> str:
    """`2 critical, 1 high; 1 input could not be looked at`, or that nothing was found."""
    counts = [
        f"{count} {severity}"
        for severity in SEVERITIES
        if (count := sum(f.severity == severity and f.id != "CS046" for f in audit.findings))
    ]
    blind = len(audit.blind)
    unseen = f"{blind} input{'' if blind == 1 else 's'} could not be looked at" if blind else ""
    if not counts:
        return f"Nothing found in what could be read; {unseen}." if blind else "Nothing found."
    return "; ".join(filter(None, (", ".join(counts), unseen))) + "."


def text(
    audit: Audit, *, hints: bool = False, colour: bool = False, width: int | None = None
) -> str:
    """By machine, the worst first: what it is, what was seen, what to do."""
    width = width or min(shutil.get_terminal_size((80, 24)).columns, 120)
    hosts = list(dict.fromkeys(finding.host for finding in audit.findings))
    lines: list[str] = []
    for host in hosts:
        lines += [plain(host), ""]
        for finding in audit.findings:
            if finding.host == host:
                lines += [*_lines(finding, width, hints=hints, colour=colour), ""]
    return "\n".join([*lines, summary(audit), ""])


def _lines(finding: Finding, width: int, *, hints: bool, colour: bool) -> Iterator[str]:
    kind = BY_ID[finding.id]
    start, end = (_STYLE[finding.severity], "\x1b[0m") if colour else ("", "")
    label = f"{finding.severity:<8} {finding.id}"
    title = textwrap.wrap(kind.title, width - 19, break_long_words=False)
    yield f"  {start if title else ''}{label}{end}  {title[0]}"
    yield from (f"{'':19}{line}" for line in title[1:])
    place = f" ({finding.file}:{finding.line})" if finding.file and finding.line else ""
    yield from _wrapped(f"{finding.object}: {finding.reason}{place}", width)
    yield from _wrapped(f"fix: {kind.fix}", width)
    if hints and finding.hint and finding.file:
        yield from _wrapped(f"{finding.file}:{finding.line}: {finding.hint}", width)


def _wrapped(sentence: str, width: int) -> Iterator[str]:
    yield from textwrap.wrap(
        plain(sentence), width, initial_indent=" " * 11, subsequent_indent=" " * 13,
        break_long_words=False, break_on_hyphens=False,
    )  # fmt: skip
