"""The charts of docs/benchmarks.md, as SVG. Run by the Python of the neighbours' environment, which
has what draws them."""

from __future__ import annotations

import statistics

import matplotlib

from benchmarks.recorded import CLOUDS, ROOT, by_axis, find, rows

matplotlib.use("svg")
matplotlib.rcParams.update(
    {
        "svg.hashsalt": "cloudsync",
        "font.size": 10,
        "axes.spines.top": False,
        "axes.spines.right": False,
    }
)
from matplotlib import pyplot as plt  # noqa: E402 - after the backend is chosen

CONTENDERS = {"cloudsync": "#1f6feb", "floor": "#8c959f", "ansible": "#cf222e"}
NAMES = {
    "cloudsync": "cloudsync",
    "floor": "shortest script with the SDK",
    "ansible": "Ansible module",
}


def beside() -> None:
    """A no-op on one firewall, by three contenders at four clouds."""
    measured = rows("small")
    figure, axes = plt.subplots(figsize=(8, 3.2))
    for offset, (who, colour) in enumerate(CONTENDERS.items()):
        for place, cloud in enumerate(CLOUDS):
            row = find(measured, cloud=cloud, case="no-op", contender=who, latency=0.0)
            walls = [run["wall"] for run in row["runs"]]
            middle = statistics.median(walls)
            error = [[middle - min(walls)], [max(walls) - middle]]
            label = NAMES[who] if not place else None
            axes.bar(
                place + (offset - 1) * 0.27,
                middle,
                0.25,
                color=colour,
                label=label,
                yerr=error,
                ecolor="#57606a",
                capsize=2,
            )
    axes.set_xticks(range(len(CLOUDS)), list(CLOUDS.values()))
    axes.set_ylabel("seconds")
    axes.set_title(
        "Nothing to do, one firewall: whole process, median, least and most",
        fontsize=10,
        loc="left",
    )
    axes.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5))
    save(figure, "beside")


def growth() -> None:
    """Time by size, both logarithmic: parallel to the dotted line is linear."""
    figure, axes = plt.subplots(figsize=(8, 4.2))
    for axis, points in by_axis(rows("growth")).items():
        sizes, took = ([point[key] for point in points] for key in ("n", "seconds"))
        axes.loglog(sizes, took, marker="o", markersize=4, linewidth=1.4, label=axis)
    axes.loglog([10, 100000], [0.001, 10], linestyle=":", color="#57606a", label="linear")
    axes.set_xlabel("size")
    axes.set_ylabel("seconds")
    axes.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5))
    save(figure, "growth")


def store() -> None:
    """What one controller takes by the machines that it looks after: parallel to the dotted line is
    linear."""
    measured = [row for row in rows("store_fleet") if row["shard"].startswith("0/")]
    machines = {row["fleet"]: row["hosts"] for row in measured if row["stage"] == "first apply"}
    figure, axes = plt.subplots(figsize=(8, 3.6))
    for stage in dict.fromkeys(row["stage"] for row in measured):
        points = sorted(
            (machines[row["fleet"]], row["cpu"])
            for row in measured
            if row["stage"] == stage and row["shard"] == "0/1"
        )
        sizes, took = zip(*points, strict=True)
        axes.loglog(sizes, took, marker="o", markersize=4, linewidth=1.4, label=stage)
    axes.loglog([160, 1250], [0.3, 2.34], linestyle=":", color="#57606a", label="linear")
    sizes = sorted(size for fleet, size in machines.items() if size == fleet)
    axes.set_xticks(sizes, [f"{size:,}" for size in sizes])
    axes.minorticks_off()
    axes.set_xlabel("machines of one controller, 10 containers each, a firewall for five")
    axes.set_ylabel("seconds of CPU")
    axes.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5))
    save(figure, "store")


def save(figure: plt.Figure, name: str) -> None:
    """Beside the page; without a date, so that the same numbers make the same file."""
    figure.tight_layout()
    figure.savefig(ROOT / "docs" / f"benchmarks-{name}.svg", metadata={"Date": None})


if __name__ == "__main__":
    beside()
    growth()
    store()
