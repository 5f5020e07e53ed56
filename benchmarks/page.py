"""docs/benchmarks.md from the numbers in `benchmarks/results/`: nothing in its tables is typed by hand."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.compare import CASES
from benchmarks.processes import ratio

RESULTS = Path(__file__).resolve().parent / "results"
PAGE = Path(__file__).resolve().parents[1] / "docs" / "benchmarks.md"
CLOUDS = {"hetzner": "Hetzner", "digitalocean": "DigitalOcean", "aws": "AWS", "gcp": "Google Cloud"}
HOUR = 3600
_SECOND = 1000
LIMITS = {
    "hetzner": (3600, "3,600 an hour and project"),
    "digitalocean": (5000, "5,000 an hour and 250 a minute, for one token"),
    "aws": (20 * HOUR, "a bucket of 100, refilled by 20 a second, for one account, region and API action"),
    "gcp": (1500 * 60, "1,500 a minute and project, for lists; the same for writes"),
}
"""Calls an hour, and in words: https://docs.hetzner.cloud/reference/cloud#rate-limiting,
https://docs.digitalocean.com/reference/api/reference/#rate-limit, https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-throttling.html,
https://cloud.google.com/compute/api-quota."""

Rows = list[dict[str, Any]]


def results(name: str) -> Rows:
    """The rows of a part."""
    return list(json.loads((RESULTS / f"{name}.json").read_text())["rows"])


def find(rows: Rows, **keys: Any) -> dict[str, Any] | None:
    """The row with these values; None where it was not measured."""
    return next((row for row in rows if all(row[key] == value for key, value in keys.items())), None)


def seconds(row: dict[str, Any] | None) -> str:
    """Median, and the spread where there is one."""
    if row is None:
        return "–"
    walls = [run["wall"] for run in row["runs"]]
    middle = f"{statistics.median(walls):.2f}"
    return middle if len(walls) == 1 else f"{middle} ({min(walls):.2f}–{max(walls):.2f})"


def against(some: dict[str, Any] | None, others: dict[str, Any] | None) -> float | None:
    """The median ratio of pairs; what ran only once is compared with the median of the other's runs."""
    if some is None or others is None:
        return None
    a, b = some["runs"], others["runs"]
    if len(a) == len(b):
        return ratio(a, b)
    return statistics.median(run["wall"] for run in a) / statistics.median(run["wall"] for run in b)


def number(value: float | None) -> str:
    """Two digits that mean something."""
    return "–" if value is None else f"{value:.3f}" if value < 0.1 else f"{value:.2f}"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """Markdown."""
    yield "| " + " | ".join(head) + " |"
    yield "|" + "---|" * len(head)
    for row in rows:
        yield "| " + " | ".join(row) + " |"


def compared(rows: Rows, count: int | None = None) -> Iterator[str]:
    """What three contenders took, and how often they called."""
    lines = []
    for cloud, name in CLOUDS.items():
        for latency in (0.0, 0.05):
            for case in CASES:
                of = {"cloud": cloud, "latency": latency, "case": case}
                us, floor, ansible = (find(rows, contender=who, **of) for who in ("cloudsync", "floor", "ansible"))
                if us is None:
                    continue
                calls = " / ".join("–" if row is None else str(row["calls"]) for row in (us, floor, ansible))
                size = f"{us['count']} × " if us["count"] > 1 else ""
                lines.append(
                    (
                        f"{size}{name}", f"{int(latency * _SECOND)} ms", case, seconds(us), seconds(floor), seconds(ansible), calls,
                        number(against(us, floor)), number(against(us, ansible)),
                    )  # fmt: skip
                )
    head = ("", "latency", "case", "cloudsync s", "floor s", "Ansible s", "calls", "÷ floor", "÷ Ansible")
    yield from table(head, lines)


def targets() -> Iterator[str]:
    """What was asked for, and what it is."""
    small, twenty, fleet, startup = (results(name) for name in ("small", "twenty", "fleet", "startup"))

    def us(rows: Rows, cloud: str, case: str, other: str) -> float | None:
        of = {"cloud": cloud, "latency": 0.0, "case": case}
        return against(find(rows, contender="cloudsync", **of), find(rows, contender=other, **of))

    lines: list[tuple[str, float, float | None]] = [
        (f"no-op, one firewall, {CLOUDS[cloud]}: cloudsync ÷ Ansible", 0.7 if cloud == "gcp" else 0.25, us(small, cloud, "no-op", "ansible"))
        for cloud in CLOUDS
    ]
    lines.append(("no-op, 20 AWS groups: cloudsync ÷ Ansible", 0.05, us(twenty, "aws", "no-op", "ansible")))
    lines += [
        (f"{case}, one firewall, {CLOUDS[cloud]}: cloudsync ÷ floor", 1.5, us(small, cloud, case, "floor"))
        for cloud in CLOUDS
        for case in CASES
    ]
    version, bare = (find(startup, command=command) for command in ("cloudsync --version", "python -c pass"))
    lines.append(("`cloudsync --version` ÷ `python -c pass`", 4.0, against(version, bare)))
    lines += [(row["what"], row["target"], row["ratio"]) for row in fleet if "target" in row]
    yield from table(
        ("case", "target", "measured", ""),
        (
            (what, f"≤ {target}", number(value), "" if value is None else "met" if value <= target else f"**missed**, by {value / target - 1:.0%}")
            for what, target, value in lines
        ),
    )


def costs() -> Iterator[str]:
    """Calls a run, and what a schedule takes of the vendor's limit."""
    rows = results("small")
    lines = []
    for cloud, name in CLOUDS.items():
        of = {"cloud": cloud, "latency": 0.0, "contender": "cloudsync"}
        none, report, change = (find(rows, case=case, **of) for case in ("plan", "plan report", "10 in"))
        if none is None or report is None or change is None:
            continue
        limit, words = LIMITS[cloud]

        def share(calls: int, runs: int, limit: int = limit) -> str:
            used = calls * runs / limit
            return f"{calls * runs} ({used:.1%})" if used >= 0.001 else f"{calls * runs} (< 0.1%)"

        lines.append(
            (
                name, str(none["calls"]), str(report["calls"]), str(change["calls"]), share(report["calls"], 1),
                share(report["calls"], 12), share(report["calls"], 60), str(math.floor(limit / report["calls"] / 60)), words,
            )  # fmt: skip
        )
    head = ('no-op, `foreign = "ignore"`', '`"report"`', "with a change", "hourly", "`watch`, every 5 min", "every minute")
    yield from table(("", *head, "accounts' worth a minute", "the vendor's limit"), lines)
