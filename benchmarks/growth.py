"""Time and memory of one step while one size grows and everything else stays. Every point is a
process of its own.

`python -m benchmarks.growth AXIS N` measures one point and prints it as JSON.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.clouds import World
from benchmarks.double_process import DoubleProcess
from benchmarks.local import configured
from benchmarks.processes import timed
from benchmarks.recorded import ROOT
from tests.doubles.fleet import Fleet

ROUNDS = 3


def _median(step: Callable[[], object]) -> float:
    took = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        step()
        took.append(time.perf_counter() - began)
    return statistics.median(took)


@contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="cloudsync-bench-") as name:
        yield Path(name)


def _planned(path: Path) -> float:
    from cloudsync.config import load
    from cloudsync.reconcile import run as reconcile

    configuration = load(path)
    return _median(lambda: reconcile.plan(configuration, reconcile.Options()))


def _hosts(folder: Path, tables: Sequence[str]) -> Path:
    """A firewall in front of a host for each table."""
    names = [f"web-{number}" for number in range(len(tables))]
    text = "\n".join(f"[hosts.{name}]\n{table}" for name, table in zip(names, tables, strict=True))
    return configured(folder, firewall=f"hosts = {json.dumps(names)}", tables=text)


def hosts(count: int) -> float:
    """A plan over so many engines with ten containers each."""
    with _folder() as folder, Fleet(folder, count, 10, 0.0) as fleet:
        return _planned(
            _hosts(folder, [f'docker = "{fleet.endpoint(number)}"' for number in range(count)])
        )


def different(count: int) -> float:
    """A plan over so many hosts behind one firewall, each with a port of its own: it tells each of
    them of all others' ports."""
    with _folder() as folder:
        return _planned(
            _hosts(folder, [f'ports = ["{2 * number + 1001}/tcp"]' for number in range(count)])
        )


def containers(count: int) -> float:
    """A plan over one engine with so many containers, one port each."""
    with _folder() as folder, Fleet(folder, 1, count, 0.0) as fleet:
        return _planned(_hosts(folder, [f'docker = "{fleet.endpoint(0)}"']))


def firewalls(count: int) -> float:
    """A plan over so many AWS groups with four rules each, all as they should be."""
    with _folder() as folder, DoubleProcess("aws") as double:
        world = World("aws", double, count, folder)
        path = world.configuration("base")
        timed(
            [sys.executable, "-m", "cloudsync", "apply", "--auto-approve", "-c", path],
            world.environment,
            folder,
        )
        double.checking(False)
        os.environ.update(world.environment)
        return _planned(path)


def ports(count: int) -> float:
    """A plan of a firewall that needs so many single ports, no two of them neighbours: as many
    rules, changes and descriptions."""
    with _folder() as folder:
        wanted = json.dumps([f"{2 * n + 1001}/tcp" for n in range(count)])
        return _planned(_hosts(folder, [f"ports = {wanted}"]))


def sources(count: int) -> float:
    """A plan over one rule from so many networks that do not merge."""
    with _folder() as folder:
        allow = (
            f'[[firewalls.web.allow]]\nports = ["443"]\nsources = {json.dumps(_networks(count))}'
        )
        return _planned(configured(folder, firewall="static = true", tables=allow))


def algebra(count: int) -> float:
    """Build two sets of so many rules that overlap by half, unite them, subtract, intersect,
    compare, and list the rules."""
    from cloudsync.rules import Rule, RuleSet
    from cloudsync.rules.networks import NetworkSet

    # 30,000 ports that are no neighbours; beyond them the same ports again from other networks.
    several = [NetworkSet.of([one]) for one in _networks(8)]
    rules = [
        Rule.of("tcp", str(1 + 2 * (n % 30000)), several[n // 30000])
        for n in range(count + count // 2)
    ]

    def step() -> None:
        one, other = RuleSet.of(rules[:count]), RuleSet.of(rules[count // 2 :])
        union, difference, both = one | other, one - other, one & other
        assert union.covers(one)
        assert len(list(difference)) <= count
        assert len(list(both)) <= count

    return _median(step)


AXES: dict[str, tuple[Callable[[int], float], tuple[int, ...]]] = {
    "hosts": (hosts, (1, 10, 50, 200)),
    "hosts with ports of their own": (different, (10, 50, 100, 200)),
    "containers of a host": (containers, (10, 100, 500, 2000)),
    "firewalls": (firewalls, (1, 10, 50, 200)),
    "ports of a host": (ports, (10, 100, 500, 2000)),
    "sources of a rule": (sources, (1, 10, 100, 1000)),
    "rules (algebra)": (algebra, (100, 1000, 10_000, 100_000)),
}


def _networks(count: int) -> list[str]:
    """Single addresses, every other one."""
    return [f"8.{n // 32768 % 256}.{n // 128 % 256}.{2 * n % 256}/32" for n in range(count)]


def measure() -> list[dict[str, Any]]:
    """A row a point."""
    rows = []
    for axis, (_, sizes) in AXES.items():
        for n in sizes:
            done = subprocess.run(
                [sys.executable, "-m", "benchmarks.growth", axis, str(n)],
                cwd=ROOT,
                capture_output=True,
                text=True,
                check=True,
            )
            rows.append({"axis": axis, "n": n, **json.loads(done.stdout)})
    return rows


def main() -> None:
    """One point."""
    seconds = AXES[sys.argv[1]][0](int(sys.argv[2]))
    # Not `ru_maxrss`: that of a child begins with what its parent had.
    peak = next(
        line
        for line in Path("/proc/self/status").read_text().splitlines()
        if line.startswith("VmHWM:")
    )
    mib = int(peak.split()[1]) / 1024
    print(json.dumps({"seconds": round(seconds, 5), "mib": round(mib, 1)}))
    sys.stdout.flush()
    if threading.active_count() > 1:
        os._exit(0)


if __name__ == "__main__":
    main()
