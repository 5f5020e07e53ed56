"""`python -m benchmarks.run [PART ...]`: measure, keep the numbers in `benchmarks/results/`, write
docs/benchmarks.md and its charts.

Parts: see `PARTS`; without any, all of them in their order, which takes more than an hour.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

from benchmarks import (
    compare,
    fleet,
    growth,
    instructions,
    neighbours,
    page,
    reaction,
    startup,
)
from benchmarks.clouds import MOST
from benchmarks.recorded import RESULTS, ROOT

ROUNDS = {0.0: 5, compare.LATENCY: 3}
"""By latency; the targets are about none."""


def small() -> list[dict[str, Any]]:
    """One firewall: the case of the targets."""
    return [
        row
        for cloud in MOST
        for latency, rounds in ROUNDS.items()
        for row in compare.measure(cloud, 1, latency, rounds)
    ]


def twenty() -> list[dict[str, Any]]:
    """20 firewalls an account: a round each, since Ansible takes minutes for one."""
    return [
        row
        for cloud in MOST
        for latency in (0.0, compare.LATENCY)
        for row in compare.measure(cloud, 20, latency, 1)
    ]


def many() -> list[dict[str, Any]]:
    """As many as an account may have, 200 at most. Ansible takes part in one no-op of Hetzner's 50
    only: the rest would take it hours."""
    return [
        row
        for cloud, count in MOST.items()
        for latency in (0.0, compare.LATENCY)
        for row in compare.measure(
            cloud, count, latency, 1, ansible=("no-op",) if count <= 50 and not latency else ()
        )
    ]


def openstack() -> list[dict[str, Any]]:
    """One group and 20 on a real Neutron, whose own time every contender waits for alike."""
    return [
        row
        for count, rounds in ((1, 2), (20, 1))
        for row in compare.measure("openstack", count, 0.0, rounds, rule_by_rule=count == 1)
    ]


PARTS: dict[str, Callable[[], Any]] = {
    "startup": lambda: startup.measure(15),
    "small": small,
    "twenty": twenty,
    "many": many,
    "openstack": openstack,
    "growth": growth.measure,
    "fleet": fleet.measure,
    "instructions": instructions.measure,
    "reaction": reaction.measure,
}


def machine() -> dict[str, Any]:
    """Where and with what."""
    from importlib.metadata import version

    sdks = (
        "boto3",
        "docker",
        "google-cloud-compute",
        "hcloud",
        "openstacksdk",
        "pydantic",
        "python-digitalocean",
    )
    commit = ["git", "rev-parse", "--short", "HEAD"]
    return {
        "date": time.strftime("%Y-%m-%d"),
        "commit": subprocess.run(
            commit, cwd=ROOT, capture_output=True, text=True, check=True
        ).stdout.strip(),
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, {platform.system()}",
        "python": platform.python_version(),
        "versions": {name: version(name) for name in ("cloudsync-firewall", *sdks)},
        "neighbours": neighbours.versions(),
    }


def main(names: list[str]) -> None:
    """Measure what is named."""
    neighbours.ready()
    RESULTS.mkdir(exist_ok=True)
    for name in names or PARTS:
        print(f"measuring: {name}", flush=True)
        (RESULTS / f"{name}.json").write_text(
            json.dumps({"on": machine(), "rows": PARTS[name]()}, indent=1) + "\n"
        )
    subprocess.run(
        [neighbours.VENV / "bin" / "python", "-m", "benchmarks.chart"], cwd=ROOT, check=True
    )
    page.write()


if __name__ == "__main__":
    main(sys.argv[1:])
