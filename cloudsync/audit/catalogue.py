"""The kinds of findings, from `catalogue.toml`."""

from __future__ import annotations

import tomllib
from pathlib import Path

from cloudsync.audit.findings import Finding
from cloudsync.rules.frozen import dataclass


@dataclass(frozen=True, slots=True)
class Kind:
    id: str
    """`CS001` … `CS046`, for ever."""
    title: str
    """What is wrong, in a few words."""
    severity: str
    """In words: some depend on who reaches the port."""
    inputs: str
    """What is looked at."""
    trap: str
    """What looks like it and is fine."""
    fix: str
    """What to do about it."""


_FILE = Path(__file__).with_name("catalogue.toml")
KINDS = tuple(Kind(**entry) for entry in tomllib.loads(_FILE.read_text())["kind"])
BY_ID = {kind.id: kind for kind in KINDS}


def fix_of(finding: Finding) -> str:
    """What to do about it."""
    return finding.fix or BY_ID[finding.id].fix
