"""Ctrl-C and SIGTERM, sent for real to a real process while a slow vendor has its call in hand."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.doubles.hetzner import HetznerDouble
from tests.doubles.http import Fault

pytestmark = pytest.mark.emulator
SET_RULES = ("POST", r"/firewalls/\d+/actions/set_rules")
HASTY = (
    "import sys\nimport cloudsync.runtime.signals\ncloudsync.runtime.signals.PATIENCE_SECONDS ="
    " 0.5\nfrom cloudsync.__main__ import main\nmain()\n"
)


class Run:
    """Two firewalls of one account, each with a rule too many and one missing, and a process that
    applies."""

    def __init__(self, folder: Path, cloud: HetznerDouble) -> None:
        self.folder, self.cloud = folder, cloud
        self.process: subprocess.Popen[str] | None = None
        self.said = folder / "stderr.txt"
        self.configure("one", "two")
        assert self.apply().wait(60) == 0
        for name in ("one", "two"):
            assert self.ports(name) == {"22", "443"}
        self.configure("one", "two", port=80)

    def configure(self, *names: str, port: int = 443) -> None:
        tables = "".join(
            f'[firewalls.{name}]\nprovider = "hetzner"\nhosts = ["web-1"]\n' for name in names
        )
        (self.folder / "cloudsync.toml").write_text(f"""version = 1
owner = "shop"
state = "file://{self.folder}/state"
[ssh]
ports = [22]
sources = ["any"]
[policy]
expose = "published"
[run]
concurrency = 1  # one firewall after the other, so that there is one under way and one not begun
[providers.hetzner]
token = {{ env = "CLOUDSYNC_DOUBLE_TOKEN" }}
endpoint = "{self.cloud.endpoint}"
[hosts.web-1]
ports = ["{port}/tcp"]
{tables}""")

    def apply(self, *words: str, script: str | None = None) -> subprocess.Popen[str]:
        environment = {
            key: value
            for key, value in os.environ.items()
            if not key.startswith(("CLOUDSYNC", "SSH_"))
        }
        command = [
            sys.executable,
            *(("-c", script) if script else ("-m", "cloudsync")),
            "apply",
            "--auto-approve",
            *words,
        ]
        with self.said.open("w") as said:
            self.process = subprocess.Popen(
                command,
                cwd=self.folder,
                env={
                    **environment,
                    "CLOUDSYNC_DOUBLE_TOKEN": self.cloud.token,
                    "HOME": str(self.folder),
                },
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=said,
                text=True,
            )
        return self.process

    def heard(self) -> None:
        """Wait until the process has said that it heard a signal."""
        until = time.monotonic() + 30
        while "stopping after the step under way" not in self.said.read_text():
            assert time.monotonic() < until, "it did not say that it heard"
            time.sleep(0.01)

    def while_(
        self,
        method: str,
        path: str,
        action: Callable[[subprocess.Popen[str], Run], None],
        skip: int = 0,
    ) -> None:
        """What happens while the vendor has that call in hand, before it takes effect."""

        def act() -> None:
            assert self.process is not None
            action(self.process, self)

        self.cloud.fail(Fault(method, path, "meanwhile", action=act, skip=skip))

    def ends(self, process: subprocess.Popen[str]) -> tuple[int, str]:
        out, _ = process.communicate(timeout=60)
        err = self.said.read_text()
        assert "Traceback" not in err
        return process.returncode, out + err

    def ports(self, name: str) -> set[str]:
        firewall = self.cloud.firewall(f"cloudsync-{name}")
        assert firewall is not None
        return {rule["port"] for rule in firewall["rules"]}

    def history(self) -> list[dict[str, object]]:
        path = self.folder / "state" / "shop.history.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()]

    def finishes(self) -> None:
        """The next run ends what the last one left, and then there is nothing to do."""
        code, text = self.ends(self.apply())
        assert code == 0, text
        assert self.ports("one") == self.ports("two") == {"22", "80"}


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    with HetznerDouble() as cloud:
        found = Run(tmp_path, cloud)
        cloud.reset_calls()
        yield found
        if found.process is not None and found.process.poll() is None:
            found.process.kill()
            found.process.wait()
        if found.process is not None and found.process.stdout is not None:
            found.process.stdout.close()


def sends(number: int) -> Callable[[subprocess.Popen[str], Run], None]:
    """The vendor answers once the process has said that it heard."""

    def act(process: subprocess.Popen[str], run: Run) -> None:
        process.send_signal(number)
        run.heard()

    return act


def sends_and_stalls(number: int) -> Callable[[subprocess.Popen[str], Run], None]:
    """The vendor does not answer before the process is gone."""

    def act(process: subprocess.Popen[str], _: Run) -> None:
        process.send_signal(number)
        process.wait(30)

    return act


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_while_reading_nothing_was_begun_and_the_run_ends_at_once(
    run: Run, number: int, code: int
) -> None:
    run.while_("GET", "/firewalls", sends_and_stalls(number))
    begun = time.monotonic()
    ended, text = run.ends(run.apply())
    assert (ended, time.monotonic() - begun < 20) == (code, True), text
    assert "nothing was begun" in text
    assert run.cloud.writes() == []
    assert run.history()[-1]["outcome"] == "interrupted"
    run.finishes()


def test_the_step_under_way_is_finished_and_no_other_is_begun(run: Run) -> None:
    run.while_(*SET_RULES, sends(signal.SIGTERM))
    code, text = run.ends(run.apply())
    assert code == 6, text
    assert sorted((len(run.ports("one") & {"80"}), len(run.ports("two") & {"80"}))) == [0, 1]
    assert "not begun" in text
    assert "stopped by SIGTERM" in text
    entry = run.history()[-1]
    assert entry["outcome"] == "partly"
    assert sorted(one["status"] for one in entry["firewalls"]) == ["done", "not-begun"]  # type: ignore[attr-defined]
    run.finishes()


def test_a_signal_during_the_last_step_changes_nothing(run: Run) -> None:
    run.while_(*SET_RULES, sends(signal.SIGINT), skip=1)
    code, text = run.ends(run.apply())
    assert code == 0, text
    assert run.ports("one") == run.ports("two") == {"22", "80"}
    assert run.history()[-1]["outcome"] == "done"


def test_a_firewall_that_stopped_between_two_steps_is_partly_applied(run: Run) -> None:
    next(one for one in run.cloud.firewalls.values() if one.name == "cloudsync-one").labels.clear()
    run.while_("PUT", r"/firewalls/\d+", sends(signal.SIGTERM))
    code, text = run.ends(run.apply("--adopt", "one", "--firewall", "one"))
    assert code == 6, text
    assert "stopped by SIGTERM after 1 of 2 steps" in text
    assert run.ports("one") == {"22", "443"}
    run.finishes()


def test_a_vendor_that_never_answers_is_abandoned_and_its_step_is_unknown(run: Run) -> None:
    run.while_(*SET_RULES, sends_and_stalls(signal.SIGTERM))
    code, text = run.ends(run.apply(script=HASTY))
    assert code == 6, text
    assert "abandoned while it was under way" in text
    assert "found afterwards" in text
    run.finishes()


def test_the_second_signal_stops_at_once(run: Run) -> None:
    def twice(process: subprocess.Popen[str], run: Run) -> None:
        process.send_signal(signal.SIGINT)
        run.heard()
        process.send_signal(signal.SIGINT)
        process.wait(30)

    run.while_(*SET_RULES, twice)
    begun = time.monotonic()
    process = run.apply()
    assert process.wait(30) == 130
    assert time.monotonic() - begun < 9, "it waited for the step"
    assert process.stdout is not None
    assert "done" not in process.stdout.read(), "only the plan was printed"
    run.finishes()
    assert [entry["outcome"] for entry in run.history()[-2:]] == ["died", "done"]


def test_a_signal_that_is_ignored_stays_ignored(run: Run) -> None:
    script = (
        "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\nfrom cloudsync.__main__"
        " import main\nmain()\n"
    )
    run.while_(*SET_RULES, lambda process, _: process.send_signal(signal.SIGINT))
    code, text = run.ends(run.apply(script=script))
    assert code == 0, text
    assert run.ports("one") == run.ports("two") == {"22", "80"}


def test_a_killed_run_frees_the_lock_and_leaves_word(run: Run) -> None:
    run.while_(*SET_RULES, sends_and_stalls(signal.SIGKILL))
    process = run.apply()
    assert process.wait(30) == -signal.SIGKILL
    run.finishes()
    assert [entry["outcome"] for entry in run.history()[-2:]] == ["died", "done"]
