"""A run that is killed before or after any call of nft: laws 1 to 3 hold in the kernel at that
moment, and the next run finishes."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path

import pytest
import tomlkit

from cloudsync.rules import RuleSet
from cloudsync.testing import meant
from tests.command import typed
from tests.host.lab import Lab
from tests.host.namespace import Namespace, Program, Trouble, needs
from tests.host.site import NAME, Site
from tests.host.table import drops, lets_in

pytestmark = pytest.mark.engine
SSH = meant("tcp/22")
BEFORE, AFTER = meant("tcp/22", "tcp/80"), meant("tcp/22", "tcp/443")


@pytest.fixture
def machine() -> Iterator[Namespace]:
    needs()
    with Namespace() as machine:
        yield machine


class Run:
    """`cloudsync apply` on the machine, killed around its calls of nft."""

    def __init__(self, machine: Program, folder: Path) -> None:
        self.machine, self.folder = machine, folder
        self.process: Future[int] = Future()

    def apply(self, *ports: str, grant: bool = True, **keys: str) -> int:
        """Its exit code; -9 where it was killed."""
        document = {
            "version": 1,
            "owner": "shop",
            "state": f"file://{self.folder}/state",
            "ssh": {"ports": [22], "sources": ["any"]},
            "policy": {"expose": "published", "grace": "0s"},
            "providers": {"host": {}},
            "hosts": {"web-1": {"ports": ["22/tcp", *ports]}},
            "firewalls": {
                NAME: {
                    "provider": "host",
                    "hosts": ["web-1"],
                    "enforce": "enforce",
                    "interfaces": ["eth0"],
                    "confirm": "off",
                    "save": str(self.folder / "host.nft"),
                    **keys,
                }
            },
        }
        path = self.folder / "cloudsync.toml"
        path.write_text(tomlkit.dumps(document))
        environ = {k: v for k, v in os.environ.items() if k != "SSH_CONNECTION"}
        environ["PATH"] = f"{self.machine.bin}:{environ['PATH']}"
        self.process = Future()
        done = typed(
            *("apply", "-c", str(path), "--auto-approve"),
            *(("--allow-attach", NAME) if grant else ()),
            folder=self.folder,
            environment=environ,
            sdk="host",
            begun=self.process.set_result,
        )
        self.output = done.stdout + done.stderr
        return done.returncode

    def killed_at(self, number: int, *, after: bool, ports: tuple[str, ...], **keys: str) -> bool:
        """Apply, and kill it before or after the call with this number; False where it has
        fewer."""
        calls = 0

        def decide(words: list[str]) -> str:
            nonlocal calls
            if words[-1] == "done":
                self.kill()
                return "go"
            calls += 1
            if calls != number:
                return "go"
            if after:
                return "report"
            self.kill()
            return "lost-before"

        trouble = Trouble(self.machine, decide)
        try:
            code = self.apply(*ports, **keys)
        finally:
            trouble.close()
        return code == -9

    def kill(self) -> None:
        os.kill(self.process.result(30), signal.SIGKILL)


def states(machine: Program) -> list[tuple[RuleSet | None, bool]]:
    """What the table let in, and whether it dropped the rest, after each transaction and now."""
    return [
        (lets_in(listing), drops(listing)) for listing in (*machine.history(), machine.listing())
    ]


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_law1_law2_a_run_that_creates_is_killed_around_every_call(
    machine: Namespace, tmp_path: Path, after: bool
) -> None:
    number = 0
    killed = True
    while killed:
        number += 1
        run = Run(machine, tmp_path / str(number))
        run.folder.mkdir()
        killed = run.killed_at(number, after=after, ports=("443/tcp",))
        for rules, dropping in states(machine):
            # Whenever something is dropped, all that is wanted is open already.
            assert rules in (None, AFTER)
            assert not dropping or rules == AFTER
        assert run.apply("443/tcp") == 0, run.output
        assert states(machine)[-1] == (AFTER, True)
        assert run.apply("443/tcp", grant=False) == 0
        forget(machine)
    assert number > 5


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_law2_law3_a_run_that_changes_is_killed_around_every_call(
    machine: Namespace, tmp_path: Path, after: bool
) -> None:
    number = 0
    killed = True
    while killed:
        number += 1
        run = Run(machine, tmp_path / str(number))
        run.folder.mkdir()
        assert run.apply("80/tcp") == 0, run.output
        killed = run.killed_at(number, after=after, ports=("443/tcp",))
        for rules, _ in states(machine):
            assert rules in (None, BEFORE, AFTER)
        assert drops(machine.listing())
        assert run.apply("443/tcp", grant=False) == 0, run.output
        assert states(machine)[-1] == (AFTER, True)
        assert "443" in (run.folder / "host.nft").read_text()
        forget(machine)
    assert number > 3


def forget(machine: Program) -> None:
    """A machine without a table, and without the records of one."""
    machine.nft("delete table inet cloudsync")
    for path in machine.folder.glob("history.*"):
        path.unlink()


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_law2_law3_a_trial_is_killed_around_every_write_and_the_kernel_goes_back(
    lab: Lab, tmp_path: Path, after: bool
) -> None:
    """The writes of a trial that a new SSH connection confirms: its start, and its confirmation."""
    site = Site(lab, tmp_path)
    site.ports = ["22/tcp", "80/tcp"]
    site.apply()
    program = Program(lab.host)
    try:
        for number in (1, 2):
            site.ports = ["22/tcp", "80/tcp"]
            site.keys["confirm"] = "off"
            site.apply()
            site.ports = ["22/tcp", "443/tcp"]
            site.keys["confirm"] = "5s"
            _kill_at_write(site, program, number, after=after)
            listing = lab.listing()
            assert lets_in(listing) in (BEFORE, AFTER)
            if "set trial" in listing:
                assert lets_in(listing, "next_") == AFTER
            _wait(lab)
            kept = after and number == 2
            assert lets_in(lab.listing()) == (AFTER if kept else BEFORE)
            assert lab.tcp(22) == "open"
            assert lab.tcp(443) == ("open" if kept else "closed")
    finally:
        program.close()


def _kill_at_write(site: Site, program: Program, number: int, *, after: bool) -> None:
    writes = 0
    process: subprocess.Popen[str] | None = None

    def decide(words: list[str]) -> str:
        nonlocal writes
        assert process is not None
        if words[-1] == "done":
            process.kill()
            return "go"
        if "-f" not in words:
            if writes:
                site.lab.tcp(22)
            return "go"
        writes += 1
        if writes != number:
            return "go"
        if after:
            return "report"
        process.kill()
        return "lost-before"

    trouble = Trouble(program, decide)
    try:
        path = {"PATH": f"{program.bin}:{os.environ['PATH']}"}
        process = site.start("apply", "--auto-approve", environ=path)
        process.communicate(timeout=60)
        assert process.returncode == -9
    finally:
        trouble.close()


def _wait(lab: Lab) -> None:
    from tests.host.test_trial import wait_for_the_end_of_the_trial

    wait_for_the_end_of_the_trial(lab)
