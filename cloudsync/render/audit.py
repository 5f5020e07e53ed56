"""An audit as text and as JSON."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from typing import Any

from cloudsync.audit.catalogue import BY_ID, fix_of
from cloudsync.audit.findings import SEVERITIES, Finding, Reachable, Severity
from cloudsync.audit.report import Audit
from cloudsync.model.machine_facts import not_looked_at
from cloudsync.provider.phrases import count
from cloudsync.render.escape import plain
from cloudsync.render.words import listed
from cloudsync.rules.frozen import dataclass

FORMAT_VERSION = "1.0"
_STYLE = {
    "critical": "\x1b[1;31m",
    "high": "\x1b[31m",
    "medium": "\x1b[33m",
    "low": "",
    "note": "\x1b[2m",
}


@dataclass(frozen=True, slots=True)
class FindingDocument:
    """One finding in the JSON form."""

    id: str
    title: str
    severity: Severity
    host: str
    object: str
    protocol: str | None
    ports: str | None
    reachable: Reachable
    file: str | None
    line: int | None
    reason: str
    fix: str
    hint: str | None
    fingerprint: str


@dataclass(frozen=True, slots=True)
class BlindDocument:
    """An input that could not be looked at."""

    input: str
    reason: str


@dataclass(frozen=True, slots=True)
class AuditDocument:
    """The JSON form of an audit; its keys are a contract, minor versions add some."""

    format_version: str
    complete: bool
    findings: list[FindingDocument]
    blind: list[BlindDocument]
    ignored: int


def json_schema() -> dict[str, Any]:
    """The JSON Schema of the document, as shipped in `cloudsync/audit/audit.schema.json`."""
    from pydantic import TypeAdapter

    schema = TypeAdapter(AuditDocument).json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def document(audit: Audit) -> dict[str, Any]:
    """The JSON form."""
    return asdict(
        AuditDocument(
            format_version=FORMAT_VERSION,
            complete=audit.complete,
            findings=[finding_document(finding) for finding in audit.findings],
            blind=[BlindDocument(spot.input, spot.reason) for spot in audit.blind],
            ignored=audit.ignored,
        )
    )


def finding_document(finding: Finding) -> FindingDocument:
    """One finding in the JSON form."""
    kind = BY_ID[finding.id]
    return FindingDocument(
        id=finding.id,
        title=kind.title,
        severity=finding.severity,
        host=finding.host,
        object=finding.object,
        protocol=finding.protocol,
        ports=finding.ports,
        reachable=finding.reachable,
        file=finding.file,
        line=finding.line,
        reason=finding.reason,
        fix=fix_of(finding),
        hint=finding.hint,
        fingerprint=finding.fingerprint,
    )


def summary(audit: Audit) -> str:
    """`2 critical, 1 high; 1 input could not be looked at`, or that nothing was found."""
    counts = [
        f"{many} {severity}"
        for severity in SEVERITIES
        if (many := sum(f.severity == severity and f.id != "CS046" for f in audit.findings))
    ]
    blind = len(audit.blind)
    unseen = f"{count(blind, 'input')} could not be looked at" if blind else ""
    if not counts:
        return f"Nothing found in what could be read; {unseen}." if blind else "Nothing found."
    return "; ".join(filter(None, (", ".join(counts), unseen))) + "."


def text(
    audit: Audit, *, hints: bool = False, colour: bool = False, width: int | None = None
) -> str:
    """By machine, the worst first: what it is, on what it was seen, what to do. Findings that
    differ only in where they were seen stand together."""
    width = width or min(shutil.get_terminal_size((80, 24)).columns, 120)
    hosts = list(dict.fromkeys(finding.host for finding in audit.findings))
    lines: list[str] = []
    for host in hosts:
        lines += [plain(host), ""]
        for alike in _alike(finding for finding in audit.findings if finding.host == host):
            lines += [*_lines(alike, width, hints=hints, colour=colour), ""]
    return "\n".join([*lines, summary(audit), ""])


def _alike(findings: Iterable[Finding]) -> Iterable[Sequence[Finding]]:
    """Findings of the same mistake, as bad and with the same fix, in the order of the first."""
    groups: dict[tuple[str, Severity, str], list[Finding]] = {}
    for finding in findings:
        groups.setdefault((finding.id, finding.severity, fix_of(finding)), []).append(finding)
    return groups.values()


def _lines(alike: Sequence[Finding], width: int, *, hints: bool, colour: bool) -> Iterator[str]:
    first = alike[0]
    kind = BY_ID[first.id]
    start, end = (_STYLE[first.severity], "\x1b[0m") if colour else ("", "")
    label = f"{first.severity:<8} {first.id}"
    title = textwrap.wrap(kind.title, width - 19, break_long_words=False)
    yield f"  {start if title else ''}{label}{end}  {title[0]}"
    yield from (f"{'':19}{line}" for line in title[1:])
    yield from (line for seen in _seen(alike) for line in _wrapped(seen, width))
    yield from _wrapped(f"fix: {fix_of(first)}", width)
    for finding in alike if hints else ():
        if finding.hint and finding.file:
            line = f":{finding.line}" if finding.line else ", a new line at the top"
            # Not wrapped: it is to be copied as it is.
            yield f"{'':11}{plain(f'{finding.file}{line}: {finding.hint}')}"


def _seen(alike: Iterable[Finding]) -> Iterator[str]:
    """What was seen on what; the ports that the same sentence is about at its end."""
    ports: dict[str, list[str]] = {}
    for finding in alike:
        place = f" ({finding.file}:{finding.line})" if finding.file and finding.line else ""
        # The reason of a CS046 begins with the input, and its title says the rest.
        reason = finding.reason.removeprefix(not_looked_at(finding.object))
        sentence = f"{finding.object}: {reason}{place}"
        ports.setdefault(sentence, []).append(f"{finding.ports}/{finding.protocol}")
    for sentence, names in ports.items():
        yield f"{sentence}: {listed(names, 8)}" if len(names) > 1 else sentence


def _wrapped(sentence: str, width: int) -> Iterator[str]:
    yield from textwrap.wrap(
        plain(sentence), width, initial_indent=" " * 11, subsequent_indent=" " * 13,
        break_long_words=False, break_on_hyphens=False,
    )  # fmt: skip
