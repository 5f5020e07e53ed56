"""`cloudsync check-access`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Literal

import click

from cloudsync import exit_codes
from cloudsync.cli.shared import Shell, common
from cloudsync.cli.terminal import echo
from cloudsync.provider.phrases import count
from cloudsync.render.escape import plain

if TYPE_CHECKING:
    from cloudsync.provider.access import Access
    from cloudsync.render.blocks import Block


@click.command("check-access")
@click.option(
    "--for",
    "purpose",
    type=click.Choice(["plan", "apply"]),
    default="apply",
    help="What the credentials must be good for.",
)
@click.option(
    "--output", type=click.Choice(["text", "json"]), default="text", help="Output format."
)
@common
def command(shell: Shell, *, purpose: Literal["plan", "apply"], output: str) -> int:
    """Check for every account whether its credentials are valid, which permissions are missing, and
    whether a quota is near.

    Writes nothing. Exit codes: 0 nothing that is needed is missing, 1 something is, or could not be
    asked; 64 usage or configuration.
    """
    from cloudsync.reconcile import check_access as access

    configuration = shell.load(fleet=True)
    rows = access.check(configuration, shell.progress)
    exposure = configuration.policy.foreign != "ignore"
    bad = {
        name: [access.failing(row, purpose, exposure=exposure) for row in accesses]
        for name, accesses in rows.items()
    }
    if output == "json":
        echo(json.dumps(_document(rows, bad), indent=2))
    else:
        lines = list(_table(rows, bad))
        if not shell.quiet or any(any(failing) for failing in bad.values()):
            shell.print(lines)
    return exit_codes.FAILED if any(any(failing) for failing in bad.values()) else exit_codes.DONE


def _document(rows: Mapping[str, Sequence[Access]], bad: Mapping[str, Sequence[bool]]) -> object:
    return [
        {
            "provider": name,
            "what": access.what,
            "needed_for": access.needed_for,
            "state": access.state,
            "detail": access.detail,
            "failing": failing,
        }
        for name, accesses in rows.items()
        for access, failing in zip(accesses, bad[name], strict=True)
    ]


def _table(
    rows: Mapping[str, Sequence[Access]], bad: Mapping[str, Sequence[bool]]
) -> Iterator[Block]:
    from cloudsync.render.blocks import BLANK, Line, Row, Style, Table

    shown = [Row(("ACCOUNT", "NEEDED FOR", "STATE", "WHAT"), "quiet")]
    for name, checks in rows.items():
        for check, wrong in zip(checks, bad[name], strict=True):
            style: Style = "plain"
            if wrong or check.state in ("near", "missing"):
                style = "error" if wrong else "warning"
            detail = f": {check.detail}" if check.detail else ""
            cells = (name, check.needed_for, check.state, f"{check.what}{detail}")
            shown.append(Row(tuple(plain(cell, 400) for cell in cells), style))
    yield Table(tuple(shown), indent=0)
    failing = sum(map(sum, bad.values()))
    yield BLANK
    yield Line(
        f"{count(failing, 'thing is', 'things are')} missing."
        if failing
        else "Nothing is missing.",
        "error" if failing else "title",
    )
