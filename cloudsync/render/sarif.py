"""An audit as SARIF 2.1.0, as GitHub's code scanning reads it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any
from urllib.parse import quote

from cloudsync import __version__
from cloudsync.audit.catalogue import KINDS, Kind, fix_of
from cloudsync.audit.findings import Finding, Severity
from cloudsync.audit.report import Audit
from cloudsync.model.machine_facts import not_looked_at
from cloudsync.render.escape import plain

_LEVEL = {"critical": "error", "high": "error", "medium": "warning", "low": "note", "note": "note"}
_SCORE: dict[Severity, str] = {
    "critical": "9.5",
    "high": "8.0",
    "medium": "5.5",
    "low": "3.0",
    "note": "0.5",
}


Place = tuple[str, int | None]
"""A file, as a path or a URI, and a line."""


def document(
    audit: Audit,
    hosts: Mapping[str, Place] = MappingProxyType({}),
    fallback: str = "cloudsync.toml",
) -> dict[str, Any]:
    """`hosts`: where each host stands in the configuration, the place of a finding that no file of
    the repository causes; `fallback`: the file for a host that is in none."""
    index = {kind.id: number for number, kind in enumerate(KINDS)}
    return {
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "cloudsync audit",
                        "semanticVersion": __version__,
                        "rules": [_rule(kind) for kind in KINDS],
                    }
                },
                "columnKind": "unicodeCodePoints",
                "invocations": [
                    {
                        "executionSuccessful": audit.complete,
                        "toolExecutionNotifications": [
                            {
                                "level": "warning",
                                "message": {
                                    "text": plain(f"{not_looked_at(spot.input)}{spot.reason}")
                                },
                            }
                            for spot in audit.blind
                        ],
                    }
                ],
                "results": [
                    _result(f, index[f.id], hosts.get(f.host, (fallback, None)))
                    for f in audit.findings
                ],
            }
        ],
    }


def _rule(kind: Kind) -> dict[str, Any]:
    worst: Severity = next(s for s in _SCORE if s in kind.severity)
    return {
        "id": kind.id,
        "name": "".join(word.capitalize() for word in re.findall(r"[A-Za-z0-9]+", kind.title)),
        "shortDescription": {"text": kind.title},
        "fullDescription": {"text": f"{kind.title}. Looked at: {kind.inputs}."},
        "help": {
            "text": f"Fix: {kind.fix}. Not a finding: {kind.trap}.",
            "markdown": f"**Fix**: {kind.fix}.\n\n**Not a finding**: {kind.trap}.",
        },
        "defaultConfiguration": {"level": _LEVEL[worst]},
        "properties": {"security-severity": _SCORE[worst], "tags": ["security", "network"]},
    }


def _result(finding: Finding, index: int, host: Place) -> dict[str, Any]:
    """A file of the machine itself, under `/`, is in no repository: such a finding stands where the
    host stands."""
    in_repository = finding.file is not None and not finding.file.startswith("/")
    path, line = (str(finding.file), finding.line) if in_repository else host
    message = f"{plain(finding.object)}: {plain(finding.reason)}"
    if finding.file and not in_repository:
        message += f" ({plain(finding.file)}{f':{finding.line}' if finding.line else ''})"
    return {
        "ruleId": finding.id,
        "ruleIndex": index,
        "level": _LEVEL[finding.severity],
        "message": {"text": f"{message}. Fix: {fix_of(finding)}"},
        "locations": [
            {
                "physicalLocation": {
                    "artifactLocation": {"uri": quote(path.lstrip("/"))},
                    "region": {"startLine": line or 1},
                },
                "logicalLocations": [
                    {"fullyQualifiedName": plain(f"host {finding.host} / {finding.object}")}
                ],
            }
        ],
        "partialFingerprints": {"cloudsyncFinding/v1": finding.fingerprint},
        "properties": {
            "security-severity": _SCORE[finding.severity],
            "reachable": finding.reachable,
        },
    }
