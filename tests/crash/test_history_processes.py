"""Runs about different firewalls at one moment, in processes of their own: neither an entry nor the
notice of a run that died is lost, and no run that lives is called dead."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cloudsync.state import history

OWNER = "shop"
RUN = """
import sys
from pathlib import Path
from cloudsync.state import history
state, name, rounds, stays = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
for number in range(rounds):
    entry = {"id": f"{name}-{number:03}", "started": f"2030-01-01T00:{number:02}:00+00:00"}
    history.settle(state, "shop")
    history.begin(state, "shop", {**entry, "outcome": "begun"})
    if number == stays:
        print("begun", flush=True)
        sys.stdin.readline()
    assert history.end(state, "shop", {**entry, "outcome": "done"}, quiet=number % 5 == 4) is None
print("over", flush=True)
"""


class Process:
    """Runs one after the other; it stops within the run `stays` until it is told to go on."""

    def __init__(self, state: Path, name: str, rounds: int = 1, stays: int = 0) -> None:
        words = [sys.executable, "-c", RUN, str(state), name, str(rounds), str(stays)]
        self.popen = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )

    def says(self, word: str) -> None:
        assert self.popen.stdout is not None
        assert self.popen.stdout.readline() == f"{word}\n"

    def goes_on(self) -> None:
        assert self.popen.stdin is not None
        self.popen.stdin.write("\n")
        self.popen.stdin.flush()

    def dies(self) -> None:
        self.popen.kill()
        self.popen.wait()


@contextmanager
def processes(state: Path, *names: str, rounds: int = 1, stays: int = 0) -> Iterator[list[Process]]:
    state.mkdir(mode=0o700, exist_ok=True)
    started = [Process(state, name, rounds, stays) for name in names]
    try:
        yield started
    finally:
        for process in started:
            process.dies()
            for stream in (process.popen.stdin, process.popen.stdout):
                if stream is not None:
                    stream.close()


def outcomes(state: Path) -> dict[str, str]:
    return {entry["id"]: entry["outcome"] for entry in history.entries(state, OWNER)}


def test_of_two_runs_at_once_each_leaves_its_entry(tmp_path: Path) -> None:
    state = tmp_path / "state"
    with processes(state, "first", "second") as (first, second):
        first.says("begun")
        second.says("begun")
        assert outcomes(state) == {"first-000": "begun", "second-000": "begun"}
        second.goes_on()
        second.says("over")
        assert outcomes(state) == {"first-000": "begun", "second-000": "done"}
        first.goes_on()
        first.says("over")
    assert outcomes(state) == {"first-000": "done", "second-000": "done"}
    assert not list(state.glob("*running*"))


def test_a_run_that_is_killed_beside_another_is_told_by_the_next(tmp_path: Path) -> None:
    state = tmp_path / "state"
    with processes(state, "killed", "alive") as (killed, alive):
        killed.says("begun")
        alive.says("begun")
        killed.dies()
        assert outcomes(state) == {"killed-000": "died", "alive-000": "begun"}
        history.settle(state, OWNER)
        assert [path.name for path in state.glob("*running*")] == ["shop.running-alive-000.json"]
        assert outcomes(state) == {"killed-000": "died", "alive-000": "begun"}
        alive.goes_on()
        alive.says("over")
    assert outcomes(state) == {"killed-000": "died", "alive-000": "done"}


def test_many_runs_in_several_processes_lose_nothing_although_one_is_killed(
    tmp_path: Path,
) -> None:
    state, rounds = tmp_path / "state", 30
    names = ("first", "second", "third", "killed")
    with processes(state, *names, rounds=rounds, stays=7) as started:
        for process in started:
            process.says("begun")
        killed = started.pop()
        for process in started:
            process.goes_on()
        killed.dies()
        for process in started:
            process.says("over")
    history.settle(state, OWNER)
    ended = outcomes(state)
    assert Counter(ended.values()) == {"done": 3 * rounds + 7, "died": 1}
    assert ended["killed-007"] == "died"
    assert not list(state.glob("*running*"))
