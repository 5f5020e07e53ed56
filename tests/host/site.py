"""`cloudsync` on the machine of a lab, with a configuration of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import tomlkit

from tests.command import typed
from tests.host.lab import Lab

NAME = "web-1-host"


class Site:
    """A folder with a configuration of one host, `web-1`, whose kernel is the lab's. Keys of the
    firewall may be changed at any time."""

    def __init__(self, lab: Lab, folder: Path, **keys: object) -> None:
        self.lab, self.folder = lab, folder
        self.saved = folder / "saved" / "host.nft"
        self.ports: list[str] = ["22/tcp"]
        self.ssh: dict[str, Any] = {"ports": [22], "sources": ["any"]}
        self.policy: dict[str, Any] = {"expose": "published", "grace": "0s"}
        self.keys: dict[str, Any] = {
            "enforce": "enforce",
            "confirm": "off",
            "save": str(self.saved),
            **keys,
        }
        self.host: dict[str, Any] = {}
        self.inside = lab.inside
        self.deadline = "2m"
        self.more_environment: dict[str, str] = {}

    def document(self) -> dict[str, Any]:
        """The configuration as it is now."""
        return {
            "version": 1,
            "owner": "shop",
            "state": f"file://{self.folder}/state",
            "ssh": self.ssh,
            "policy": self.policy,
            "run": {"deadline": self.deadline},
            "providers": {"host": {}},
            "hosts": {"web-1": {"ports": self.ports, **self.host}},
            "firewalls": {NAME: {"provider": "host", "hosts": ["web-1"], **self.keys}},
        }

    def write(self) -> Path:
        """Its file."""
        path = self.folder / "cloudsync.toml"
        path.write_text(tomlkit.dumps(self.document()))
        return path

    def words(self, *words: str) -> list[str]:
        """The command line that runs `cloudsync` on the machine."""
        return [*self.inside, sys.executable, "-m", "cloudsync", *self.arguments(*words)]

    def arguments(self, *words: str) -> list[str]:
        """The arguments of `cloudsync`."""
        return [words[0], "-c", str(self.write()), *words[1:]]

    def run(
        self, *words: str, environ: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """`cloudsync …` on the machine."""
        return typed(
            *self.arguments(*words),
            folder=self.folder,
            environment=self.environment(environ),
            sdk="host",
            inside=self.inside,
        )

    def environment(self, more: Mapping[str, str] | None = None) -> dict[str, str]:
        """Ours, without the login of whoever runs the tests."""
        environ = {k: v for k, v in os.environ.items() if k not in ("SSH_CONNECTION", "SSH_CLIENT")}
        return {**environ, **self.more_environment, **(more or {})}

    def start(self, *words: str, environ: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
        """As `run`, and does not wait."""
        return subprocess.Popen(
            self.words(*words),
            env=self.environment(environ),
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def apply(self, *words: str, code: int = 0) -> str:
        """`cloudsync apply` with the grant to attach; its whole output. It has to end with
        `code`."""
        done = self.run("apply", "--auto-approve", "--allow-attach", NAME, *words)
        assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
        return done.stdout + done.stderr

    def plan(self) -> dict[str, Any]:
        """The plan, as JSON."""
        done = self.run("plan", "--output", "json")
        return dict(json.loads(done.stdout))

    def actions(self) -> Sequence[str]:
        """What the plan would do: `open 443`, `attach machine web-1`."""
        return [
            f"{change['action']} {change.get('ports') or change.get('target') or ''}".strip()
            for firewall in self.plan()["firewalls"]
            for change in firewall["changes"]
        ]
