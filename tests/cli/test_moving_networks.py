"""Networks that move, typed: a list in a file, a home address in DNS, and what happens while they
cannot be read."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Shell

COMPOSE = """services:
  app:
    image: app
    ports: ["8443:443"]
    labels: {cloudsync.sources: "@partners"}
"""


@pytest.fixture
def partners(shell: Shell) -> Shell:
    """A service that only the networks of `partners.txt` may reach."""
    shell.configure(host='compose = ["compose.yaml"]')
    path = shell.folder / "cloudsync.toml"
    path.write_text(path.read_text() + '[networks]\npartners = { file = "partners.txt" }\n')
    (shell.folder / "compose.yaml").write_text(COMPOSE)
    lists(shell, "203.0.113.0/24", "2001:db8:5::/48")
    return shell


def lists(shell: Shell, *networks: str) -> None:
    (shell.folder / "partners.txt").write_text("# the partners\n" + "\n".join(networks) + "\n")


def sources_of(shell: Shell, port: str) -> list[str]:
    document = json.loads((shell.folder / "fw.json").read_text())
    return sorted(
        source
        for rule in document["rules"]
        if str(rule["ports"]) == port
        for source in rule["sources"]
    )


def test_a_list_opens_a_labelled_port_and_the_plan_says_where_it_came_from(
    partners: Shell,
) -> None:
    shown = partners.types("plan", COLUMNS="200")
    assert shown.returncode == 0
    assert "@partners (2 networks)" in shown.stdout
    assert "@partners: 2 networks from file partners.txt, read just now" in shown.stdout
    assert partners.code("apply", "--auto-approve") == 0
    assert sources_of(partners, "8443") == ["2001:db8:5::/48", "203.0.113.0/24"]
    explained = partners.types("explain", "8443").stdout
    assert "@partners: 2 networks from file partners.txt" in explained


def test_a_list_that_is_gone_closes_nothing_and_says_so(partners: Shell) -> None:
    partners.code("apply", "--auto-approve")
    (partners.folder / "partners.txt").unlink()
    applied = partners.types("apply", "--auto-approve")
    assert applied.returncode == 1
    assert "@partners could not be read (cannot be read: No such file" in applied.stdout
    assert "Its last answer is used (2 networks, just now)" in applied.stdout
    assert sources_of(partners, "8443") == ["2001:db8:5::/48", "203.0.113.0/24"]
    document = json.loads(partners.types("plan", "--output", "json").stdout)
    assert document["networks"]["partners"]["status"] == "failed"
    assert document["networks"]["partners"]["sources"] == ["203.0.113.0/24", "2001:db8:5::/48"]
    assert "could not be read" in partners.types("plan", "--output", "markdown").stdout


def test_a_list_that_was_never_read_opens_nothing_and_holds_what_is_open(partners: Shell) -> None:
    partners.code("apply", "--auto-approve")
    shutil.rmtree(partners.folder / "state")
    lists(partners, "everyone")
    applied = partners.types("apply", "--auto-approve")
    assert applied.returncode == 1
    assert "There is no earlier answer" in applied.stdout
    assert sources_of(partners, "8443") == ["2001:db8:5::/48", "203.0.113.0/24"]


def test_a_network_leaves_a_list_and_only_it_closes(partners: Shell) -> None:
    partners.code("apply", "--auto-approve")
    lists(partners, "203.0.113.0/24")
    assert partners.code("apply", "--auto-approve") == 0
    assert sources_of(partners, "8443") == ["203.0.113.0/24"]


def test_discover_and_doctor_read_it_too(partners: Shell) -> None:
    assert "@partners" in partners.types("discover").stdout
    assert "@partners: 2 networks from file partners.txt" in partners.types("doctor").stdout
    lists(partners, "nonsense")
    discovered = partners.types("discover")
    assert discovered.returncode == 1
    assert "@partners could not be read (line 2 is not a network" in discovered.stdout


@pytest.mark.skipif(os.geteuid() != 0 or shutil.which("unshare") is None, reason="needs root")
class TestHomeAddress:
    """SSH from a DNS name: /etc/hosts of a mount namespace is what the resolver reads."""

    @pytest.fixture
    def home(self, shell: Shell) -> Shell:
        path = shell.folder / "cloudsync.toml"
        content = path.read_text().replace('sources = ["any"]', 'sources = ["@home"]')
        path.write_text(content + '[networks]\nhome = { dns = "home.cloudsync.test" }\n')
        return shell

    def types(
        self, shell: Shell, address: str | None, *words: str
    ) -> subprocess.CompletedProcess[str]:
        hosts = shell.folder / "hosts"
        line = "" if address is None else f"{address} home.cloudsync.test\n"
        hosts.write_text(f"127.0.0.1 localhost\n{line}")
        mount = 'mount --bind "$0" /etc/hosts && exec "$@"'
        return subprocess.run(
            [
                "unshare",
                "-m",
                "sh",
                "-c",
                mount,
                str(hosts),
                sys.executable,
                "-m",
                "cloudsync",
                *words,
            ],
            cwd=shell.folder,
            env={**os.environ, "HOME": str(shell.folder)},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def test_it_moves_without_anybody_being_shut_out(self, home: Shell) -> None:
        assert self.types(home, "198.51.100.7", "apply", "--auto-approve").returncode == 0
        assert sources_of(home, "22") == ["198.51.100.7/32"]
        assert self.types(home, "198.51.100.99", "apply", "--auto-approve").returncode == 0
        assert sources_of(home, "22") == ["198.51.100.7/32", "198.51.100.99/32"]
        moved = self.types(home, "198.51.100.99", "apply", "--auto-approve", "--ssh-moved")
        assert moved.returncode == 0
        assert sources_of(home, "22") == ["198.51.100.99/32"]

    def test_without_an_answer_nothing_is_written_before_ssh_was_known_once(
        self, home: Shell, tmp_path: Path
    ) -> None:
        applied = self.types(home, None, "apply", "--auto-approve")
        assert applied.returncode in (1, 75)
        assert "SSH cannot be kept open" in " ".join(applied.stdout.split())
        assert not (tmp_path / "fw.json").exists()
