"""The numbers that were measured, as they lie in `benchmarks/results/`. Needs nothing but the
standard library."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
CLOUDS = {"hetzner": "Hetzner", "digitalocean": "DigitalOcean", "aws": "AWS", "gcp": "Google Cloud"}
"""In the order in which they are shown."""

Rows = list[dict[str, Any]]


def rows(part: str) -> Rows:
    """The rows of a part; none if it was not measured."""
    return list(record(part)["rows"]) if is_measured(part) else []


def is_measured(part: str) -> bool:
    return (RESULTS / f"{part}.json").exists()


def record(part: str) -> dict[str, Any]:
    """A part: its `rows`, and `on` what they were measured."""
    return dict(json.loads((RESULTS / f"{part}.json").read_text()))


def find(among: Rows, **keys: Any) -> dict[str, Any] | None:
    """The row with these values; None where it was not measured."""
    return next(
        (row for row in among if all(row[key] == value for key, value in keys.items())), None
    )


def by_axis(points: Rows) -> dict[str, Rows]:
    """The points of the part `growth`, axis by axis."""
    axes: dict[str, Rows] = {}
    for point in points:
        axes.setdefault(point["axis"], []).append(point)
    return axes
