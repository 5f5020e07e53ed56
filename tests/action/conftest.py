from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.action.workflow import ROOT, Job, Ran
from tests.command import stand_in, starts_differently
from tests.doubles.github import GitHubDouble

EXAMPLES = ROOT / "examples" / "github"
REAL_PYTHON = Path(sys.executable)
CONFIGURATION = """version = 1
owner = "shop"
state = "file://{folder}/state"
[ssh]
ports = [22]
sources = ["any"]
[policy]
expose = "published"
grace = "0s"
[providers.local]
{hosts}
[firewalls.web]
provider = "local"
hosts = ["web-1"]
path = "{folder}/cloud/fw.json"
"""


class Repository:
    """A checkout with a configuration, the cloud it speaks of (a file beside it), and the workflows
    of `examples/github` as its own.

    `hosts` writes the tables of the hosts: a static list, or anything else that needs no engine (a
    Compose file, say). `python`: the one of its jobs. By default it forks cloudsync from a process
    that has loaded it; `REAL_PYTHON` is for tests of how the processes of a step are started.
    """

    def __init__(self, folder: Path, github: GitHubDouble) -> None:
        self.folder, self.github = folder, github
        self.checkout = folder / "checkout"
        self.python = stand_in()
        self.checkout.mkdir()
        (folder / "cloud").mkdir()
        self._runs = 0
        self.needs("443/tcp")

    def needs(self, *ports: str) -> None:
        """The host needs these ports."""
        self.hosts("[hosts.web-1]\nports = " + json.dumps(list(ports)))

    def composes(self, text: str) -> None:
        """The host is a Compose file of the checkout."""
        (self.checkout / "compose.yaml").write_text(text)
        self.hosts('[hosts.web-1]\ncompose = ["compose.yaml"]')

    def hosts(self, tables: str) -> None:
        (self.checkout / "cloudsync.toml").write_text(
            CONFIGURATION.format(folder=self.folder, hosts=tables)
        )

    @property
    def open(self) -> set[str]:
        """What is open at the cloud."""
        path = self.folder / "cloud" / "fw.json"
        return (
            {f"{row['ports']}/{row['protocol']}" for row in json.loads(path.read_text())["rules"]}
            if path.exists()
            else set()
        )

    def job(
        self,
        event: str,
        payload: dict[str, Any],
        *,
        sha: str,
        ref: str = "refs/heads/main",
        newest: str | None = None,
        **environ: str,
    ) -> Job:
        self._runs += 1
        branch = ref.removeprefix("refs/heads/")
        self.github.tips[branch] = newest or sha
        payload = {
            "repository": {"full_name": self.github.repository, "default_branch": "main"},
            **payload,
        }
        run = self.folder / f"run-{self._runs}"
        return Job(
            run,
            self.checkout,
            self.github,
            event,
            payload,
            sha=sha,
            ref=ref,
            environ=environ,
            python=REAL_PYTHON if starts_differently(environ) else self.python,
        )

    def plans(
        self,
        number: int,
        *,
        head: str = "a" * 40,
        title: str = "",
        branch: str = "feature",
        fork: str | None = None,
        **inputs: str,
    ) -> Ran:
        """The plan workflow on a pull request."""
        pull = {
            "number": number,
            "title": title,
            "body": title,
            "head": {
                "sha": head,
                "ref": branch,
                "repo": {"full_name": fork or self.github.repository},
            },
            "base": {"ref": "main"},
        }
        job = self.job(
            "pull_request",
            {"action": "synchronize", "number": number, "pull_request": pull},
            sha="e" * 40,
            ref=f"refs/pull/{number}/merge",
            GITHUB_HEAD_REF=branch,
        )
        return job.run(EXAMPLES / "cloudsync-plan.yml", "plan", **inputs)

    def applies(
        self,
        sha: str,
        *,
        ref: str = "refs/heads/main",
        newest: str | None = None,
        environ: dict[str, str] | None = None,
        **inputs: str,
    ) -> Ran:
        """The apply workflow on a push. `newest`: the commit that the branch is at by now."""
        job = self.job("push", {"after": sha}, sha=sha, ref=ref, newest=newest, **(environ or {}))
        return job.run(EXAMPLES / "cloudsync-apply.yml", "apply", **inputs)


@pytest.fixture
def github() -> Iterator[GitHubDouble]:
    with GitHubDouble() as double:
        yield double


@pytest.fixture
def repository(tmp_path: Path, github: GitHubDouble) -> Repository:
    return Repository(tmp_path, github)
