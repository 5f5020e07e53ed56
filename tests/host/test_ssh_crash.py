"""A run over ssh that is killed, or whose connection is lost, before or after any step of ssh: laws
2 and 3 hold in the kernel throughout, and the next run finishes.

The kernel keeps the record: counters before and behind the table, of a port that stays wanted and
of one that nobody wants, while somebody knocks at both.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from cloudsync.testing import meant
from cloudsync_host.machine import shape_of
from cloudsync_host.settings import HostFirewall
from cloudsync_host.transaction import Goal, change
from tests.host.lab import Lab
from tests.host.site import Site
from tests.host.table import drops, lets_in
from tests.host.test_over_ssh import PORT, remote
from tests.host.test_packets import Knocking
from tests.host.test_trial import left_over, wait_for_the_end_of_the_trial
from tests.host.transactions import carry_out, table_of

__all__ = ["remote"]
pytestmark = [pytest.mark.engine, pytest.mark.timeout(3600)]
LONG = bool(os.environ.get("CLOUDSYNC_LONG"))
BEFORE = meant(f"tcp/{PORT}", "tcp/443", "tcp/22")
AFTER = meant(f"tcp/{PORT}", "tcp/443", "tcp/8080")
FORBIDDEN = 8443
WRITES = (3, 5, 6)
"""The steps of a change that write: the trial begins, it is confirmed, it is saved. (1 and 2 look,
before the plan and before the write; 4 looks for the proof; the last ones read back.)"""


class Steps:
    """An `ssh` first in PATH that counts its calls, and at one of them kills the run that made it,
    or loses the connection: before it is made, or when all was done."""

    def __init__(self, folder: Path, path: str) -> None:
        self.folder = folder
        program = folder / "bin" / "ssh"
        program.parent.mkdir(parents=True)
        program.write_text(
            "#!/bin/sh\n"
            f"n=$(($(cat {folder}/count) + 1)); echo $n > {folder}/count; read at when how <"
            f" {folder}/plan\n"
            'strike() { [ "$how" = killed ] && kill -9 $PPID; echo "Connection reset" >&2; exit'
            " 255; }\n"
            '[ "$n $when" = "$at before" ] && strike\n'
            f'PATH={path} ssh "$@"; code=$?\n'
            '[ "$n $when" = "$at after" ] && strike\n'
            "exit $code\n"
        )
        program.chmod(0o755)
        self.path = f"{program.parent}:{path}"
        self.at(0, "before", "killed")

    def at(self, number: int, when: str, how: str) -> None:
        """What happens at which call, counted from now."""
        (self.folder / "count").write_text("0\n")
        (self.folder / "plan").write_text(f"{number} {when} {how}\n")

    @property
    def count(self) -> int:
        return int((self.folder / "count").read_text())


@pytest.fixture
def steps(remote: Site, tmp_path: Path) -> Steps:
    assert shutil.which("ssh", path=remote.more_environment["PATH"]) is not None
    steps = Steps(tmp_path / "steps", remote.more_environment["PATH"])
    remote.more_environment, remote.deadline = {"PATH": steps.path}, "2m"
    return steps


_RECORD = "".join(
    f"""table inet referee_{name} {{
counter wanted {{ }}
counter forbidden {{ }}
chain c {{
type filter hook prerouting priority {priority};
tcp dport 443 tcp flags syn counter name wanted
tcp dport {FORBIDDEN} tcp flags syn counter name forbidden
}}
}}
"""
    for name, priority in (("before", -151), ("behind", -149))
)


def counted(lab: Lab, where: str) -> dict[str, int]:
    words = [*lab.inside, "nft", "-j", "list", "counters", "table", "inet", f"referee_{where}"]
    listing = json.loads(subprocess.run(words, capture_output=True, text=True, check=True).stdout)
    return {
        item["counter"]["name"]: item["counter"]["packets"]
        for item in listing["nftables"]
        if "counter" in item
    }


class Snapshot:
    """The table, the saved file and the state as they are now, to go back to before each moment:
    elements change, as cloudsync changes them, so that the record counts these changes too."""

    def __init__(self, remote: Site, lab: Lab) -> None:
        self.remote, self.lab = remote, lab
        self._state, self._copy = remote.folder / "state", remote.folder / "state.before"
        shutil.copytree(self._state, self._copy)
        self._saved = remote.saved.read_text()
        self._elements = table_of(lab).elements

    def restore(self) -> None:
        table = table_of(self.lab)
        shape = shape_of(HostFirewall(enforce="enforce"), ("eth0",), enforced=True)
        text = change(table, Goal(self._elements, shape, table.marker))
        assert text
        carry_out(self.lab, text)
        self.remote.saved.write_text(self._saved)
        shutil.rmtree(self._state)
        shutil.copytree(self._copy, self._state)


def moments(steps: int) -> Iterator[tuple[int, str, str]]:
    """With CLOUDSYNC_LONG (`make walls`) all of them."""
    for number in range(1, steps + 1) if LONG else WRITES:
        for when in ("before", "after"):
            for how in ("killed", "lost") if LONG else ("killed",):
                if LONG or when == "after":
                    yield number, when, how


def test_law2_law3_a_run_is_killed_or_cut_off_around_every_step_of_ssh(
    remote: Site, lab: Lab, steps: Steps
) -> None:
    remote.ports, remote.keys["confirm"] = ["443/tcp", "22/tcp"], "20s"
    remote.apply()
    snapshot = Snapshot(remote, lab)
    remote.ports = ["443/tcp", "8080/tcp"]
    steps.at(0, "before", "killed")
    remote.apply()
    whole = steps.count
    assert whole >= max(WRITES)
    lab.nft(_RECORD)
    with (
        Knocking(lab, 443, pause=0.02) as wanted,
        Knocking(lab, FORBIDDEN, pause=0.02) as forbidden,
    ):
        for number, when, how in moments(whole):
            snapshot.restore()
            assert lets_in(lab.listing()) == BEFORE
            steps.at(number, when, how)
            remote.keys["confirm"] = "4s"
            code = remote.run("apply", "--auto-approve").returncode
            at = (number, when, how, code)
            assert code == -9 if how == "killed" else code in (0, 6, 75, 1), at
            assert steps.count >= number, at
            assert lets_in(lab.listing()) in (BEFORE, AFTER), at
            assert drops(lab.listing()), at
            assert lab.tcp(PORT) == "open", at
            if "set trial" in lab.listing():
                wait_for_the_end_of_the_trial(lab)
            assert lab.tcp(PORT) == "open", at
            steps.at(0, "before", "killed")
            remote.keys["confirm"] = "20s"
            remote.apply()
            assert lets_in(lab.listing()) == AFTER, at
            assert not left_over(lab), at
            assert "8080" in remote.saved.read_text(), at
            assert remote.actions() == [], at
    before, behind = counted(lab, "before"), counted(lab, "behind")
    assert behind["wanted"] == before["wanted"] >= wanted.tries > 10
    assert before["forbidden"] >= forbidden.tries > 10
    assert behind["forbidden"] == 0
