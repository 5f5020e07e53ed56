"""`cloudsync check-access`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Literal

import click

from cloudsync import exit_codes
from cloudsync.cli.shared import Shell, common
from cloudsync.render.escape import plain

if TYPE_CHECKING:
    from cloudsync.provider.access import Access
    from cloudsync.render.text import Line


@click.command("check-access")
@click.option(
    "--for",
    "purpose",
    type=click.Choice(["plan", "apply"]),
    default="apply",
    help="What the credentials must be good for.",
)
@click.option(
    "--output", type=click.Choice(["text", "json"]), default="text", help="Form of the output."
)
@common
def command(shell: Shell, *, purpose: Literal["plan", "apply"], output: str) -> int:
    """Say for every account whether its credentials are valid, which permissions are missing, and
    whether a quota is near.

    Writes nothing. Exit codes: 0 nothing that is needed is missing, 1 something is, or could not be
    asked; 64 usage or configuration.
    """
    from cloudsync.reconcile import check_access as access

    configuration = shell.load()
    rows = access.check(configuration, shell.progress)
    exposure = configuration.policy.foreign != "ignore"
    bad = {
        name: [access.failing(row, purpose, exposure=exposure) for row in found]
        for name, found in rows.items()
    }
    if output == "json":
        click.echo(json.dumps(_document(rows, bad), indent=2))
    else:
        lines = list(_table(rows, bad))
        if not shell.quiet or any(any(one) for one in bad.values()):
            shell.print(lines)
    return exit_codes.FAILED if any(any(one) for one in bad.values()) else exit_codes.DONE


def _document(rows: Mapping[str, Sequence[Access]], bad: Mapping[str, Sequence[bool]]) -> object:
    return [
        {
            "provider": name,
            "what": one.what,
            "needed_for": one.needed_for,
            "state": one.state,
            "detail": one.detail,
            "failing": failing,
        }
        for name, found in rows.items()
        for one, failing in zip(found, bad[name], strict=True)
    ]


def _table(
    rows: Mapping[str, Sequence[Access]], bad: Mapping[str, Sequence[bool]]
) -> Iterator[Line]:
    from cloudsync.render.text import Line, Style

    cells = [
        ("account", "what", "needed for", "state", ""),
        *((n, r.what, r.needed_for, r.state, r.detail) for n in rows for r in rows[n]),
    ]
    harmless = [tuple(plain(text, 300) for text in row) for row in cells]
    widths = [max(len(row[column]) for row in harmless) for column in range(4)]
    failing = [False, *(one for name in rows for one in bad[name])]
    for row, wrong in zip(harmless, failing, strict=True):
        text = "  ".join(
            [*(word.ljust(width) for word, width in zip(row[:4], widths, strict=True)), row[4]]
        ).rstrip()
        style: Style = (
            "title"
            if row is harmless[0]
            else "error"
            if wrong
            else "warning"
            if row[3] in ("near", "missing")
            else "plain"
        )
        yield Line(text, style)
