"""The health check (healthchecks.io and what speaks like it): `/start`, the bare address for
success, `/<exit code>` for failure, and `/log` where another run held the lock, which says nothing
of how things stand."""

from __future__ import annotations

from pathlib import Path

from cloudsync.notify.http import Sending, post
from cloudsync.notify.run import Run
from cloudsync.provider.settings import SecretRef

_TEXT = {"Content-Type": "text/plain; charset=utf-8"}


def ping_start(reference: SecretRef, base: Path) -> Sending:
    """A run begins."""
    return Sending("health check (start)", lambda: post(reference, base, b"", _TEXT, "start"))


def ping_end(reference: SecretRef, base: Path, run: Run) -> Sending:
    """A run ended; the body is its sentence."""
    suffix = "" if run.succeeded else "log" if run.skipped else str(run.code)
    body = f"cloudsync {run.command}: {run.sentence()}\n".encode()
    return Sending("health check", lambda: post(reference, base, body, _TEXT, suffix))
