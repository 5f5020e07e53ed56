"""A finding: one cause on one machine, how bad it is, and how to get rid of it."""

from __future__ import annotations

import hashlib
from typing import Literal, TypedDict, Unpack

from cloudsync.model.machine_facts import Facts
from cloudsync.rules.frozen import dataclass

Severity = Literal["critical", "high", "medium", "low", "note"]
SEVERITIES: tuple[Severity, ...] = ("critical", "high", "medium", "low", "note")
DELETE = "(delete this line)"
"""A hint where nothing takes the place of the line."""
Reachable = Literal["internet", "neighbours", "host", "none", "unknown"]


@dataclass(frozen=True, slots=True)
class Finding:
    id: str
    """`CS001` … `CS046`, for ever."""
    severity: Severity
    """How bad it is."""
    host: str
    """The machine it is about."""
    object: str
    """What it is about: a container or service, a chain, a zone, a file."""
    reason: str
    """What was seen, in one sentence."""
    reachable: Reachable = "unknown"
    """From where, if that matters."""
    protocol: str | None = None
    """Of `ports`."""
    ports: str | None = None
    """`8080` or `8000-8010`; None if it is not about ports."""
    file: str | None = None
    """Where it is to be mended; None if no file is known."""
    line: int | None = None
    """Where in `file`, from 1."""
    hint: str | None = None
    """What `line` of `file` should be, if that is known; without a line, what to add at its top."""
    fix: str | None = None
    """What to do, if it is not what the catalogue says of its kind."""

    @property
    def fingerprint(self) -> str:
        """The same for the same cause from run to run: no line number and no wording is in it."""
        essence = "\x1f".join(
            (self.id, self.host, self.object, self.protocol or "", self.ports or "")
        )
        return hashlib.sha256(essence.encode()).hexdigest()[:32]

    @property
    def order(self) -> tuple[int, str, str, str, str]:
        """The worst first, then by name."""
        return SEVERITIES.index(self.severity), self.id, self.host, self.object, self.ports or ""


class _Place(TypedDict, total=False):
    """What a finding may say besides, as the fields of that name."""

    reachable: Reachable
    protocol: str | None
    ports: str | None
    file: str | None
    line: int | None
    hint: str | None
    fix: str | None


def about(
    facts: Facts, kind: str, severity: Severity, what: str, reason: str, **place: Unpack[_Place]
) -> Finding:
    """A finding about `what` on the machine of `facts`."""
    return Finding(kind, severity, facts.host, what, reason, **place)


def graded(reachable: Reachable, worst: Severity, unknown: Severity, latent: Severity) -> Severity:
    """The severity of a port by who reaches it: `worst` from the Internet, `latent` if something in
    front of it stops the Internet."""
    if reachable == "internet":
        return worst
    return unknown if reachable == "unknown" else latent
