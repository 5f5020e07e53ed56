"""Processes below a program called sudo, which hides from them over which SSH connection they were
started."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

LOGIN = "203.0.113.7 50000 198.51.100.10 22"


def sudo(folder: Path) -> Path:
    """A program called so that drops the variable and stays the parent."""
    program = folder / "sudo"
    program.write_text('#!/bin/sh\nenv -u SSH_CONNECTION "$@"\nexit $?\n')
    program.chmod(0o755)
    return program


def test_a_real_process_below_a_program_called_sudo_has_its_login(tmp_path: Path) -> None:
    """As sudo does it: the variable goes, the program that drops it stays the parent."""
    script = (
        "import os; from cloudsync.cli.login import restore_login; restore_login(os.environ);"
        " print(os.environ.get('SSH_CONNECTION'))"
    )
    done = subprocess.run(
        [str(sudo(tmp_path)), sys.executable, "-c", script],
        env={**os.environ, "SSH_CONNECTION": LOGIN},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == LOGIN


def test_law2_a_plan_behind_sudo_knows_the_login(tmp_path: Path) -> None:
    file = tmp_path / "cloudsync.toml"
    text = (
        'version = 1\nowner = "shop"\nstate = "file://{0}/state"\n'
        '[ssh]\nports = [22]\nsources = ["{1}"]\n[policy]\nexpose = "published"\n'
        '[providers.local]\n[hosts.web-1]\nports = ["443/tcp"]\n'
        '[firewalls.web]\nprovider = "local"\nhosts = ["web-1"]\npath = "firewall.json"\n'
    )

    def run(command: str, *words: str) -> str:
        done = subprocess.run(
            [
                str(sudo(tmp_path)),
                *(sys.executable, "-m", "cloudsync", command, "-c", str(file)),
                *words,
            ],
            env={**os.environ, "SSH_CONNECTION": LOGIN},
            capture_output=True,
            text=True,
            check=False,
        )
        return " ".join((done.stdout + done.stderr).split())

    file.write_text(text.format(tmp_path, "any"))
    run("apply", "--auto-approve")
    assert "by which this run was started" not in run("plan")
    file.write_text(text.format(tmp_path, "198.51.100.0/24"))
    assert "SSH from 203.0.113.7 to port 22, by which this run was started" in run("plan")
