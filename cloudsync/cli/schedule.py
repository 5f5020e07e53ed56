"""What runs cloudsync again on this machine, and so keeps the firewalls in step."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from cloudsync.render.blocks import BLANK, Block, Line
from cloudsync.render.words import listed

_UNITS = ("cloudsync.timer", "cloudsync-watch.service")
_CRON_FILES = ("/etc/crontab", "/etc/cron.d", "/var/spool/cron")
_ASK_SECONDS = 5.0


def keepers() -> list[str]:
    """The timers, services and cron lines of cloudsync on this machine."""
    return [*_active_units(), *_cron_lines()]


def hint() -> Iterator[Block]:
    """After an apply: what will run the next one, or how to have one run."""
    yield BLANK
    if names := keepers():
        yield Line(f"Kept in step by {listed(names, 3)}.", "quiet")
        return
    yield Line(
        "Nothing on this machine runs cloudsync again when containers change: set up the systemd"
        " timer, a cron line or `cloudsync watch` (docs/unattended.md).",
        "warning",
    )


def _active_units() -> Iterator[str]:
    systemctl = shutil.which("systemctl")
    if systemctl is None:
        return
    for unit in _UNITS:
        try:
            asked = subprocess.run(  # noqa: S603 - words of this file
                [systemctl, "is-active", "--quiet", unit],
                timeout=_ASK_SECONDS,
                check=False,
                capture_output=True,
            )
        except (OSError, subprocess.TimeoutExpired):
            continue
        if asked.returncode == 0:
            yield f"systemd: {unit}"


def _cron_lines() -> Iterator[str]:
    for name in _CRON_FILES:
        path = Path(name)
        files = [path] if path.is_file() else sorted(path.rglob("*")) if path.is_dir() else []
        for file in files:
            try:
                lines = file.read_text(errors="replace").splitlines() if file.is_file() else []
            except OSError:
                continue
            if any("cloudsync" in line and not line.lstrip().startswith("#") for line in lines):
                yield f"cron: {file}"
