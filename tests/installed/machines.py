"""Machines of systemd-nspawn on throw-away copies of a root: with a bash on a terminal, or booted
by their own systemd. They share this machine's network, so doubles on 127.0.0.1 are reached."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests import roots
from tests.installed.pages import Paster

GITCONFIG = """[url "/checkout"]
    insteadOf = https://github.com/cloudsync-firewall/cloudsync
[safe]
    directory = *
"""
DNF = """#!/bin/sh
# dnf of RHEL 9 for what the page asks of it: no mirror of RHEL can be reached from everywhere.
set -e
[ "$1 $2" = "install -y" ]
shift 2
apt-get update -qq
for package; do
    case $package in
    git) apt-get install -y -qq git ;; # like dnf it may read what is typed
    python3.11) apt-get install -y -qq python3.11 python3.11-venv ;; # RHEL's brings venv
    *) echo "Error: Unable to find a match: $package" >&2; exit 1 ;;
    esac
done
"""
_OPTIONS = (
    "--quiet", "--volatile=overlay", "--register=no", "--keep-unit", "--resolv-conf=off",
    # Else /etc/localtime is a mount, which Ubuntu's tzdata cannot replace when it is set up.
    "--timezone=off",
)  # fmt: skip


def unavailable() -> str | None:
    """Why there can be no such machine here; None if there can."""
    if (why := roots.unavailable()) is not None:
        return why
    return None if shutil.which("systemd-nspawn") else "needs systemd-nspawn"


def checkout(folder: Path) -> Path:
    """A bare clone of this checkout, as `git clone` of the pages gets it."""
    clone = roots.checkout(folder / "checkout")
    (folder / "gitconfig").write_text(GITCONFIG)
    (folder / "dnf").write_text(DNF)
    (folder / "dnf").chmod(0o755)
    return clone


def _words(root: Path, folder: Path, *, rhel: bool) -> list[str]:
    words = ["systemd-nspawn", *_OPTIONS, f"--directory={root}"]
    words += [
        f"--bind-ro={folder}/checkout:/checkout",
        f"--bind-ro={folder}/gitconfig:/etc/gitconfig",
    ]
    return words + ([f"--bind-ro={folder}/dnf:/usr/bin/dnf"] if rhel else [])


def _environ() -> dict[str, str]:
    """Of a login, where apt asks nothing."""
    return {**roots.environment("root"), "DEBIAN_FRONTEND": "noninteractive"}


@contextmanager
def plain(
    suite: str, packages: Sequence[str], folder: Path, *, rhel: bool = False
) -> Iterator[Paster]:
    """A bash as root in a copy of a root."""
    environ = _environ()
    words = _words(roots.made(suite, packages), folder, rhel=rhel)
    words += [f"--setenv={name}={value}" for name, value in environ.items()]
    outer = {**os.environ, "TERM": "dumb"}
    with Paster([*words, "--as-pid2", "--chdir=/root", "bash", "--norc"], outer, folder) as shell:
        yield shell


@contextmanager
def booted(suite: str, packages: Sequence[str], folder: Path) -> Iterator[Paster]:
    """The same on a machine that its own systemd has booted."""
    words = [
        *_words(roots.made(suite, packages), folder, rhel=False),
        "--kill-signal=SIGRTMIN+3",
        "--boot",
    ]
    with (folder / "boot.log").open("wb") as log:
        nspawn = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            inside = [
                "nsenter",
                f"--target={_leader(nspawn.pid)}",
                "--mount",
                "--uts",
                "--ipc",
                "--pid",
            ]
            _wait(inside)
            shell = ["env", "-C", "/root", "bash", "--norc"]
            with Paster([*inside, *shell], _environ(), folder) as paster:
                yield paster
        finally:
            nspawn.send_signal(signal.SIGTERM)
            try:
                nspawn.wait(60)
            except subprocess.TimeoutExpired:
                nspawn.kill()
                nspawn.wait()


def _leader(nspawn: int, seconds: float = 30) -> int:
    """The machine's process 1, as this machine numbers it."""
    stop = time.monotonic() + seconds
    while time.monotonic() < stop:
        children = Path(f"/proc/{nspawn}/task/{nspawn}/children").read_text().split()
        for child in children:
            if Path(f"/proc/{child}/comm").read_text().strip() == "systemd":
                return int(child)
        time.sleep(0.1)
    raise AssertionError("nothing booted")


def _wait(inside: Sequence[str], seconds: float = 90) -> None:
    stop = time.monotonic() + seconds
    while time.monotonic() < stop:
        asked = subprocess.run(
            [*inside, "systemctl", "is-system-running"],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        if asked.stdout.strip() in ("running", "degraded"):
            return
        time.sleep(0.3)
    raise AssertionError("systemd did not come up")
