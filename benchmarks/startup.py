"""What a command costs before it does anything, beside the interpreter's own start."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.local import configured
from benchmarks.processes import timed

COMMANDS: dict[str, tuple[str, ...]] = {
    "python -c pass": ("-c", "pass"),
    "cloudsync --version": ("-m", "cloudsync", "--version"),
    "cloudsync --help": ("-m", "cloudsync", "--help"),
    "cloudsync config check": ("-m", "cloudsync", "config", "check"),
    "cloudsync plan (provider local)": ("-m", "cloudsync", "plan"),
    "python -c 'import click, pydantic'": (
        "-c",
        "import click, pydantic\nclass A(pydantic.BaseModel):\n x: int",
    ),
}


def measure(rounds: int) -> list[dict[str, Any]]:
    """A row a command; the commands in turn."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    with tempfile.TemporaryDirectory(prefix="cloudsync-bench-") as name:
        folder = Path(name)
        configured(folder, firewall='hosts = ["web"]', tables='[hosts.web]\nports = ["443/tcp"]')
        timed([sys.executable, "-m", "cloudsync", "apply", "--auto-approve"], environment, folder)
        rows: dict[str, list[dict[str, float]]] = {command: [] for command in COMMANDS}
        for _ in range(rounds):
            for command, words in COMMANDS.items():
                rows[command].append(timed([sys.executable, *words], environment, folder).row())
    return [{"command": command, "runs": runs} for command, runs in rows.items()]
