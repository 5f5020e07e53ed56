"""docs/benchmarks.md from the numbers in `benchmarks/results/`: nothing in its tables is typed by
hand."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from benchmarks import reaction
from benchmarks.compare import CASES, RULE_BY_RULE
from benchmarks.processes import ratio
from benchmarks.recorded import CLOUDS, ROOT, Rows, by_axis, find, is_measured, record, rows

PAGE = ROOT / "docs" / "benchmarks.md"
HOUR = 3600
_SECOND = 1000
LIMITS = {
    "hetzner": (3600, "3,600 an hour and project"),
    "digitalocean": (5000, "5,000 an hour and 250 a minute, for one token"),
    "aws": (
        20 * HOUR,
        "a bucket of 100, refilled by 20 a second, for one account, region and API action",
    ),
    "gcp": (1500 * 60, "1,500 a minute and project, for lists; the same for writes"),
}
"""Calls an hour, and in words: https://docs.hetzner.cloud/reference/cloud#rate-limiting,
https://docs.digitalocean.com/reference/api/reference/#rate-limit,
https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-throttling.html,
https://cloud.google.com/compute/api-quota."""

TITLES = {
    "twenty": "20 firewalls in one account",
    "many": "As many as an account has",
    "openstack": "On a real Neutron",
    "startup": "Start",
    "growth": "Growth",
    "fleet": "A fleet",
    "instructions": "Start, in instructions",
    "reaction": "Reaction",
}
"""The headings of the parts beside `small`."""


def seconds(row: dict[str, Any] | None) -> str:
    """Median, and the spread where there is one."""
    if row is None:
        return "–"
    walls = [run["wall"] for run in row["runs"]]
    middle = f"{statistics.median(walls):.2f}"
    return middle if len(walls) == 1 else f"{middle} ({min(walls):.2f}–{max(walls):.2f})"


def against(some: dict[str, Any] | None, others: dict[str, Any] | None) -> float | None:
    """The median ratio of pairs; what ran only once is compared with the median of the other's
    runs."""
    if some is None or others is None:
        return None
    a, b = some["runs"], others["runs"]
    if len(a) == len(b):
        return ratio(a, b)
    return statistics.median(run["wall"] for run in a) / statistics.median(run["wall"] for run in b)


def number(value: float | None) -> str:
    """Two digits that mean something."""
    return "–" if value is None else f"{value:.3f}" if value < 0.1 else f"{value:.2f}"


def table(head: Sequence[str], lines: Iterable[Sequence[str]]) -> Iterator[str]:
    """Markdown."""
    yield "| " + " | ".join(head) + " |"
    yield "|" + "---|" * len(head)
    for line in lines:
        yield "| " + " | ".join(line) + " |"


def on_neutron() -> Iterator[str]:
    """One group, and 20 if they were measured: the part has both. Then Ansible's module for single
    rules."""
    measured = rows("openstack")
    if measured:
        it = record("openstack")["on"]
        yield (
            f"Measured on {it['date']} at commit {it['commit']}, openstacksdk "
            f"{it['versions']['openstacksdk']}, openstack.cloud "
            f"{it['neighbours']['openstack.cloud']}."
        )
        yield ""
    for count in sorted({row["count"] for row in measured}):
        part = [row for row in measured if row["count"] == count]
        yield from compared(part, {"openstack": "OpenStack"}, latencies=(0.0,))
        yield ""
    lines = []
    for row in measured:
        if row["contender"] != RULE_BY_RULE:
            continue
        case, count = row["case"], row["count"]
        us = find(measured, contender="cloudsync", case=case, count=count)
        calls = "–" if us is None else f"{us['calls']} / {row['calls']}"
        lines.append((case, seconds(us), seconds(row), calls, number(against(us, row))))
    if lines:
        head = ("one group, a task for each rule", "cloudsync s", "Ansible s", "calls", "÷ Ansible")
        yield from table(head, lines)


def compared(
    measured: Rows, clouds: Mapping[str, str] = CLOUDS, latencies: Sequence[float] = (0.0, 0.05)
) -> Iterator[str]:
    """What three contenders took, and how often they called."""
    lines = []
    for cloud, name in clouds.items():
        for latency in latencies:
            for case in CASES:
                of = {"cloud": cloud, "latency": latency, "case": case}
                us, floor, ansible = (
                    find(measured, contender=who, **of) for who in ("cloudsync", "floor", "ansible")
                )
                if us is None:
                    continue
                what = f"{us['count']} × {name}" if us["count"] > 1 else name
                calls = " / ".join(
                    "–" if row is None else str(row["calls"]) for row in (us, floor, ansible)
                )
                ratios = number(against(us, floor)), number(against(us, ansible))
                took = seconds(us), seconds(floor), seconds(ansible)
                lines.append((what, f"{int(latency * _SECOND)} ms", case, *took, calls, *ratios))
    head = (
        "",
        "latency",
        "case",
        "cloudsync s",
        "floor s",
        "Ansible s",
        "calls",
        "÷ floor",
        "÷ Ansible",
    )
    yield from table(head, lines)


def targets() -> Iterator[str]:
    """What was asked for, and what it is."""
    small, twenty, fleet, startup = (rows(name) for name in ("small", "twenty", "fleet", "startup"))

    def us(part: Rows, cloud: str, case: str, other: str) -> float | None:
        of = {"cloud": cloud, "latency": 0.0, "case": case}
        return against(find(part, contender="cloudsync", **of), find(part, contender=other, **of))

    lines: list[tuple[str, float, float | None]] = []
    for cloud, name in CLOUDS.items():
        most = 0.7 if cloud == "gcp" else 0.25
        lines.append(
            (
                f"no-op, one firewall, {name}: cloudsync ÷ Ansible",
                most,
                us(small, cloud, "no-op", "ansible"),
            )
        )
    lines.append(
        ("no-op, 20 AWS groups: cloudsync ÷ Ansible", 0.05, us(twenty, "aws", "no-op", "ansible"))
    )
    for cloud, name in CLOUDS.items():
        for case in CASES:
            lines.append(
                (
                    f"{case}, one firewall, {name}: cloudsync ÷ floor",
                    1.5,
                    us(small, cloud, case, "floor"),
                )
            )
    version, bare = (
        find(startup, command=command) for command in ("cloudsync --version", "python -c pass")
    )
    lines.append(("`cloudsync --version` ÷ `python -c pass`", 4.0, against(version, bare)))
    lines += [(row["what"], row["target"], row["ratio"]) for row in fleet if "target" in row]
    yield from table(
        ("case", "target", "measured", ""),
        (
            (what, f"≤ {target}", number(value), _verdict(value, target))
            for what, target, value in lines
        ),
    )


def _verdict(value: float | None, target: float) -> str:
    if value is None:
        return "not measured"
    return "met" if value <= target else f"**missed** by {value / target - 1:.0%}"


def costs() -> Iterator[str]:
    """Calls a run, and what a schedule takes of the vendor's limit."""
    measured = rows("small")
    lines = []
    for cloud, name in CLOUDS.items():
        of = {"cloud": cloud, "latency": 0.0, "contender": "cloudsync"}
        none, report, change = (
            find(measured, case=case, **of) for case in ("plan", "plan report", "10 in")
        )
        if none is None or report is None or change is None:
            continue
        limit, words = LIMITS[cloud]
        shares = (_share(report["calls"] * runs, limit) for runs in (1, 12, 60))
        counted = (str(row["calls"]) for row in (none, report, change))
        lines.append((name, *counted, *shares, words))
    head = ('no-op, `foreign = "ignore"`', 'no-op, `"report"`', '10 rules more, `"ignore"`')
    schedules = ("hourly", "`watch` without events (every 5 min)", "every minute")
    yield from table(("", *head, *schedules, "the vendor's limit"), lines)


def _share(calls: int, limit: int) -> str:
    """Calls an hour, and what part of the limit they are."""
    return f"{calls} ({calls / limit:.1%})" if calls >= limit / 1000 else f"{calls} (< 0.1%)"


def started() -> Iterator[str]:
    """What commands cost before they do anything."""
    measured = rows("startup")
    bare = find(measured, command="python -c pass")
    yield from table(
        ("command", "s", "÷ `python -c pass`", "CPU s"),
        (
            (
                f"`{row['command']}`",
                seconds(row),
                number(against(row, bare)),
                f"{statistics.median(run['cpu'] for run in row['runs']):.2f}",
            )
            for row in measured
        ),
    )


def grown() -> Iterator[str]:
    """Seconds and memory of a step while one size grows; the exponent is between the last two
    sizes."""
    lines = []
    for axis, points in by_axis(rows("growth")).items():
        before, last = points[-2:]
        exponent = math.log(last["seconds"] / before["seconds"]) / math.log(last["n"] / before["n"])
        took = " / ".join(f"{point['seconds']:.3g}" for point in points)
        memory = " / ".join(f"{point['mib']:.0f}" for point in points)
        lines.append(
            (
                axis,
                " / ".join(f"{point['n']:,}" for point in points),
                took,
                memory,
                f"{exponent:.2f}",
            )
        )
    yield from table(("what grows", "sizes", "seconds", "MiB at most", "exponent"), lines)


def flown() -> Iterator[str]:
    """The fleet run and the engine read."""
    yield from table(
        ("", "s", "beside", "ratio"),
        (
            (row["what"], f"{row['seconds']:.2f}", f"{row['beside']:.2f}", number(row["ratio"]))
            for row in rows("fleet")
        ),
    )


def executed() -> Iterator[str]:
    """Instructions of a plan that finds nothing to do, and of the floor script."""
    head = ("", "cloudsync, million", "floor, million", "÷ floor")
    yield from table(
        head,
        (
            (
                CLOUDS[row["cloud"]],
                f"{row['cloudsync'] / 1e6:,.0f}",
                f"{row['floor'] / 1e6:,.0f}",
                number(row["cloudsync"] / row["floor"]),
            )
            for row in rows("instructions")
        ),
    )


def reacted() -> Iterator[str]:
    """From the container that runs to the ways that are open."""
    measured = rows("reaction")
    if not measured:
        return
    lines = [
        (
            reaction.MOMENTS[moment],
            *(f"{reaction.quantile(seconds, share):.2f}" for share in (0.5, 0.99)),
            f"≤ {reaction.AIM_SECONDS:.2f}",
        )
        for moment, seconds in reaction.after_start(measured).items()
    ]
    starts = len(measured[0]["seconds"])
    head = (f"s after `docker run` returned, {starts} starts", "p50", "p99", "aim")
    yield from table(head, lines)


def on() -> str:
    """The machine, the commit and the versions of the part that matters most, and when and of what
    commit parts are that were not measured with it."""
    said = record("small")["on"]
    versions = ", ".join(
        f"{name} {version}" for name, version in {**said["versions"], **said["neighbours"]}.items()
    )
    moments = {
        title: _moment(record(part)["on"]) for part, title in TITLES.items() if is_measured(part)
    }
    apart = "".join(
        f" {title}: {moment}." for title, moment in moments.items() if moment != _moment(said)
    )
    return (
        f"Measured on {_moment(said)}: {said['machine']}, Python {said['python']};"
        f" {versions}.{apart}"
    )


def _moment(where: Mapping[str, Any]) -> str:
    commit = where.get("commit")
    return f"{where['date']} at commit {commit}" if commit else where["date"]


def write() -> None:
    """Fill the page: what stands between two comments of a name is what the function of that name
    says."""
    parts: dict[str, Callable[[], Iterable[str]]] = {
        "on": lambda: [on()],
        "targets": targets,
        "small": lambda: compared(rows("small")),
        "twenty": lambda: compared(rows("twenty")),
        "many": lambda: compared(rows("many")),
        "openstack": on_neutron,
        "started": started,
        "grown": grown,
        "flown": flown,
        "executed": executed,
        "reacted": reacted,
        "costs": costs,
    }
    text = PAGE.read_text()
    for name, part in parts.items():
        begin, end = f"<!-- {name}: measured -->\n", f"<!-- /{name} -->"
        before, rest = text.split(begin)
        text = before + begin + "\n".join(part()) + "\n" + end + rest.split(end, 1)[1]
    PAGE.write_text(text)


if __name__ == "__main__":
    write()
