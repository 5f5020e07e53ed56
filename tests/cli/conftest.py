from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.command import typed


class Shell:
    """A folder with a configuration (static host, provider local), and `cloudsync` typed in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.configure()

    def configure(
        self,
        ports: str = '"443/tcp"',
        *,
        policy: str = "",
        host: str = "",
        more: str = "",
        path: str = "fw.json",
    ) -> None:
        (self.folder / "cloudsync.toml").write_text(f"""version = 1
owner = "shop"
state = "file://{self.folder}/state"
[ssh]
ports = [22]
sources = ["any"]
[policy]
expose = "published"
grace = "0s"
{policy}
[providers.local]
[hosts.web-1]
ports = [{ports}]
{host}
[firewalls.web]
provider = "local"
hosts = ["web-1"]
path = "{path}"
{more}
""")

    def types(
        self, *words: str, stdin: str | None = None, **environ: str
    ) -> subprocess.CompletedProcess[str]:
        """What it prints, so wide that a sentence is one line unless COLUMNS is given."""
        environment = {
            key: value
            for key, value in os.environ.items()
            if not key.startswith(("CLOUDSYNC", "DOCKER", "XDG"))
        }
        return typed(
            *words,
            folder=self.folder,
            environment={**environment, "HOME": str(self.folder), **environ},
            stdin=stdin or "",
        )

    def code(self, *words: str) -> int:
        return self.types(*words).returncode


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path)
