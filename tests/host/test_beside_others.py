"""Beside ufw and firewalld: their reloads, resets and flushes leave the table alone, and it leaves
theirs alone. Each runs in a mount namespace, on copies of the machine's files."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.host.lab import Lab
from tests.host.site import Site

pytestmark = pytest.mark.engine
SCANNED = (22, 443, 8080, 8443, 9999)


class Box:
    """A mount namespace on the machine of a lab, with copies of some folders; a `sleep` holds
    it."""

    def __init__(self, lab: Lab, folder: Path, copies: tuple[str, ...]) -> None:
        lines = ["mount --make-rprivate /", "mount -t tmpfs tmpfs /run"]
        for number, path in enumerate(path for path in copies if Path(path).exists()):
            copy = folder / f"copy{number}"
            folder.mkdir(exist_ok=True)
            shutil.copytree(path, copy, symlinks=True)
            lines.append(f"mount --bind {copy} {path}")
        script = "; ".join([*lines, "echo ready", "exec sleep 1000"])
        self._holder = subprocess.Popen(
            [*lab.inside, "unshare", "-m", "sh", "-c", script], stdout=subprocess.PIPE, text=True
        )
        assert self._holder.stdout is not None
        assert self._holder.stdout.readline() == "ready\n"
        self.words = ("nsenter", "-t", str(self._holder.pid), "-m", "-n", "--")
        self._daemons: list[subprocess.Popen[bytes]] = []

    def run(self, *words: str) -> str:
        """The output of a command in it, which has to succeed."""
        done = subprocess.run(
            [*self.words, *words], capture_output=True, text=True, check=False, timeout=60
        )
        assert done.returncode == 0, (words, done.stdout, done.stderr)
        return done.stdout

    def start(self, *words: str) -> None:
        """A daemon in it."""
        quiet = subprocess.DEVNULL
        self._daemons.append(subprocess.Popen([*self.words, *words], stdout=quiet, stderr=quiet))

    def close(self) -> None:
        """The end of all of it."""
        for daemon in reversed((self._holder, *self._daemons)):
            daemon.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                daemon.wait(30)
            daemon.kill()
            daemon.wait()


def foreign_rules(lab: Lab) -> str:
    """All of nftables but our table."""
    words = [*lab.inside, "nft", "-s", "list", "ruleset"]
    listing = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    before, _, rest = listing.partition("table inet cloudsync {")
    return before + rest.partition("\n}\n")[2]


@pytest.fixture
def ufw(lab: Lab, tmp_path: Path) -> Iterator[Box]:
    if shutil.which("ufw") is None or os.geteuid():
        pytest.skip("needs root and ufw")
    copies = ("/etc/ufw", "/etc/default", "/lib/ufw", "/var/lib/ufw")
    box = Box(lab, tmp_path / "ufw", copies)
    try:
        yield box
    finally:
        box.close()


def test_ufw_may_come_reload_and_go(site: Site, lab: Lab, ufw: Box) -> None:
    site.ports = ["22/tcp", "443/tcp"]
    site.apply()
    for words in (("allow", "22/tcp"), ("allow", "443/tcp"), ("--force", "enable"), ("reload",)):
        ufw.run("ufw", *words)
        assert lab.scan(SCANNED) == {22, 443}, words
    theirs = foreign_rules(lab)
    assert "ufw" in theirs
    site.ports = ["22/tcp", "443/tcp", "8080/tcp"]
    site.apply()
    assert foreign_rules(lab) == theirs
    # What ufw stops we cannot let in.
    assert lab.scan(SCANNED) == {22, 443}
    ufw.run("ufw", "disable")
    assert lab.scan(SCANNED) == {22, 443, 8080}
    ufw.run("ufw", "--force", "reset")
    assert lab.scan(SCANNED) == {22, 443, 8080}


@pytest.fixture
def firewalld(lab: Lab, tmp_path: Path) -> Iterator[Box]:
    lacking = [n for n in ("firewalld", "firewall-cmd", "dbus-daemon") if shutil.which(n) is None]
    if lacking or os.geteuid():
        pytest.skip("needs root, firewalld and dbus")
    box = Box(lab, tmp_path / "firewalld", ("/etc/firewalld",))
    try:
        box.run("mkdir", "-p", "/run/dbus", "/run/firewalld")
        box.start("dbus-daemon", "--system", "--nofork", "--nopidfile")
        wait_for(lambda: box.run("sh", "-c", "[ -S /run/dbus/system_bus_socket ] && echo y || :"))
        box.start("firewalld", "--nofork", "--nopid")
        wait_for(lambda: "running" in box.run("sh", "-c", "firewall-cmd --state 2>&1 || :").split())
        yield box
    finally:
        box.close()


def wait_for(condition: object) -> None:
    assert callable(condition)
    until = time.monotonic() + 40
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.1)


def test_firewalld_may_reload_and_what_it_accepts_stays_closed(
    site: Site, lab: Lab, firewalld: Box
) -> None:
    firewalld.run("firewall-cmd", "--add-port=22/tcp", "--add-port=443/tcp", "--add-port=8080/tcp")
    firewalld.run("firewall-cmd", "--runtime-to-permanent")
    assert lab.scan(SCANNED) >= {22, 443, 8080}
    theirs = foreign_rules(lab)
    site.ports = ["22/tcp", "443/tcp"]
    site.apply()
    assert foreign_rules(lab) == theirs
    assert lab.scan(SCANNED) == {22, 443}
    for words in (("--reload",), ("--complete-reload",)):
        firewalld.run("firewall-cmd", *words)
        assert lab.scan(SCANNED) == {22, 443}, words
