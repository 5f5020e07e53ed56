"""cloudsync, the same work by Ansible's modules, and the shortest scripts with the bare SDKs: whole
processes, in turn, at doubles.

Every contender has a double and firewalls of its own, made before the clock starts: the same names,
rules and order. A round goes through no-op, ten rules in, ten rules out; within each case the
contenders run one after the other, and ratios are taken pair by pair.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks import neighbours
from benchmarks.clouds import World
from benchmarks.double_process import DoubleProcess
from benchmarks.processes import Run, timed

FLOORS = Path(__file__).resolve().parent / "floors"
CASES = {"no-op": "base", "10 in": "more", "10 out": "base"}
"""In their order, and the state each leads to."""
LATENCY = 0.05
RULE_BY_RULE = "ansible, rule by rule"
"""The contender with a task for each rule, where the vendor's collection has such a module."""


@dataclass
class Contender:
    """One who brings a world's firewalls into a state. `runs` and `calls`: by case."""

    name: str
    world: World
    runs: dict[str, list[Run]] = field(default_factory=dict)
    calls: dict[str, int] = field(default_factory=dict)
    against: list[str] = field(default_factory=list)

    def words(self, case: str) -> tuple[list[str | Path], dict[str, str]]:
        """What is typed, and what more the environment needs."""
        state = CASES.get(case, "base")
        if self.name in ("ansible", RULE_BY_RULE):
            bin_ = neighbours.VENV / "bin"
            more = {
                "PATH": f"{bin_}:/usr/bin:/bin",
                "ANSIBLE_PYTHON_INTERPRETER": f"{bin_}/python",
                "ANSIBLE_LOCALHOST_WARNING": "False",
                "ANSIBLE_INVENTORY_UNPARSED_WARNING": "False",
            }
            by_rule = self.name == RULE_BY_RULE
            file = self.world.playbook_of_rules(case) if by_rule else self.world.playbook(state)
            return [bin_ / "ansible-playbook", file], more
        if self.name == "floor":
            return self._floor("no-op" if case == "no-op" else "write", state), {}
        foreign = "report" if "report" in case else "ignore"
        configuration = self.world.configuration(state, foreign=foreign)
        command = ["plan"] if case.startswith("plan") else ["apply", "--auto-approve"]
        return [sys.executable, "-m", "cloudsync", *command, "-c", configuration], {}

    def run(self, case: str, *, counts: bool) -> None:
        """Once; it counts unless it only warms up."""
        words, more = self.words(case)
        done = timed(words, self.world.environment | more, self.world.folder)
        calls, self.against = self.world.double.calls()
        if counts:
            self.runs.setdefault(case, []).append(done)
            self.calls[case] = sum(calls.values())

    def create(self) -> None:
        """The firewalls, as this contender wants them: cloudsync makes its own, the others' are
        made by the floor script."""
        if self.name == "cloudsync":
            words, _ = self.words("no-op")
        else:
            words = self._floor("create", "base")
        timed(words, self.world.environment, self.world.folder)
        self.world.double.calls()

    def _floor(self, verb: str, state: str) -> list[str | Path]:
        floor = FLOORS / f"floor_{self.world.cloud}.py"
        return [sys.executable, floor, verb, str(self.world.count), self.world.ports(state)]


@contextmanager
def contenders(cloud: str, count: int, names: tuple[str, ...]) -> Iterator[list[Contender]]:
    """Each with a world of its own, warmed up once while the doubles check every call against the
    vendor's description."""
    with ExitStack() as opened:
        found = []
        for name in names:
            double = opened.enter_context(DoubleProcess(cloud, own_links=name == "ansible"))
            folder = Path(
                opened.enter_context(tempfile.TemporaryDirectory(prefix="cloudsync-bench-"))
            )
            found.append(Contender(name, World(cloud, double, count, folder)))
        for one in found:
            one.create()
            one.run("no-op", counts=False)
            if one.name == "cloudsync" and one.against:
                raise RuntimeError(f"calls that the vendor does not describe: {one.against[:3]}")
            one.world.double.checking(False)
        yield found


def measure(
    cloud: str,
    count: int,
    latency: float,
    rounds: int,
    *,
    ansible: tuple[str, ...] = tuple(CASES),
    rule_by_rule: bool = False,
) -> list[dict[str, Any]]:
    """Rows of one cloud. `ansible`: the cases it takes part in, once each where there are many
    firewalls. `rule_by_rule`: whether it also runs once with a task for each rule."""
    names = ("cloudsync", "floor", *(("ansible",) if ansible else ()))
    names += (RULE_BY_RULE,) if rule_by_rule else ()
    with contenders(cloud, count, names) as found:
        for one in found:
            one.world.double.latency(latency)
        for number in range(rounds):
            for case in (*CASES, "plan", "plan report"):
                for one in found:
                    own = case not in CASES and one.name != "cloudsync"
                    left_out = one.name == "ansible" and (
                        case not in ansible or (number and count > 20)
                    )
                    left_out = left_out or (one.name == RULE_BY_RULE and number > 0)
                    if not own and not left_out:
                        one.run(case, counts=True)
        return [
            {
                "cloud": cloud,
                "count": count,
                "latency": latency,
                "contender": one.name,
                "case": case,
                "calls": one.calls[case],
                "runs": [run.row() for run in runs],
            }
            for one in found
            for case, runs in one.runs.items()
        ]
