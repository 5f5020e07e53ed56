"""An audit as SARIF 2.1.0, as GitHub's code scanning reads it."""

from __future__ import annotations

from typing import Any

from cloudsync import __version__
from cloudsync.audit.catalogue import KINDS, Kind
from cloudsync.audit.findings import Finding, Severity
from cloudsync.audit.report import Audit

_LEVEL = {"critical": "error", "high": "error", "medium": "warning", "low": "note", "note": "note"}
_SCORE: dict[Severity, str] = {
    "critical": "9.5",
    "high": "8.0",
    "medium": "5.5",
    "low": "3.0",
    "note": "0.5",
}


def document(audit: Audit, fallback: str = "cloudsync.toml") -> dict[str, Any]:
    """`fallback`: the file where findings stand that no file causes."""
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
                                    "text": f"{spot.input} could not be looked at: {spot.reason}"
                                },
                            }
                            for spot in audit.blind
                        ],
                    }
                ],
                "results": [_result(f, index[f.id], fallback) for f in audit.findings],
            }
        ],
    }


def _rule(kind: Kind) -> dict[str, Any]:
    worst: Severity = next(s for s in _SCORE if s in kind.severity)
    return {
        "id": kind.id,
        "name": "".join(word.capitalize() for word in kind.title.split() if word.isalnum()),
        "shortDescription": {"text": kind.title},
        "fullDescription": {"text": f"{kind.title}. Looked at: {kind.inputs}."},
        "help": {"text": f"Fix: {kind.fix}. Not a finding: {kind.trap}."},
        "defaultConfiguration": {"level": _LEVEL[worst]},
        "properties": {"security-severity": _SCORE[worst], "tags": ["security", "network"]},
    }


def _result(finding: Finding, index: int, fallback: str) -> dict[str, Any]:
    region = {"region": {"startLine": finding.line}} if finding.line else {}
    return {
        "ruleId": finding.id,
        "ruleIndex": index,
        "level": _LEVEL[finding.severity],
        "message": {"text": f"{finding.object}: {finding.reason}"},
        "locations": [
            {
                "physicalLocation": {
                    "artifactLocation": {"uri": (finding.file or fallback).lstrip("/")},
                    **region,
                },
                "logicalLocations": [
                    {"fullyQualifiedName": f"host {finding.host} / {finding.object}"}
                ],
            }
        ],
        "partialFingerprints": {"cloudsyncFinding/v1": finding.fingerprint},
        "properties": {
            "security-severity": _SCORE[finding.severity],
            "reachable": finding.reachable,
        },
    }
