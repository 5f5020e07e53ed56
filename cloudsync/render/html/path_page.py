"""The way of a port as one HTML file, without script."""

from __future__ import annotations

from collections.abc import Sequence

from cloudsync.model.plan import Plan
from cloudsync.planning.path import Path
from cloudsync.render.html.pages import render


def page(plan: Plan, ways: Sequence[tuple[str, Sequence[Path]]]) -> str:
    """`ways`: for each thing that was asked about (`443/tcp`) its ways, one a host."""
    return render(
        "explain.html",
        style="report.css",
        owner=plan.owner,
        created=plan.created,
        tool_version=plan.tool_version,
        titles=[title for title, _ in ways],
        ways=ways,
    )
