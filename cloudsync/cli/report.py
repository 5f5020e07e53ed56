"""`cloudsync report`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from cloudsync import exit_codes
from cloudsync.cli.shared import Shell, common
from cloudsync.cli.terminal import echo
from cloudsync.state import StateError

if TYPE_CHECKING:
    from cloudsync.audit.report import Audit
    from cloudsync.config import Configuration
    from cloudsync.reconcile.run import Planned

_RUNS = 20


@click.command("report")
@click.option("--out", metavar="FILE", help="Write to FILE instead of standard output.")
@click.option(
    "--output",
    type=click.Choice(["html", "json"]),
    default="html",
    help="Output format (default: html).",
)
@click.option(
    "--audit/--no-audit",
    "audited",
    default=True,
    help="Show what an audit of the hosts finds (default: --audit).",
)
@common
def command(shell: Shell, *, out: str | None, output: str, audited: bool) -> int:
    """Write a page that shows what is open on which machines, why, and what is not.

    One file, without anything from elsewhere; it reads and prints without script. Nothing is
    changed. Exit codes: 0 all of it is known, 1 or 75 something could not be read (75: try again),
    64 usage or configuration.
    """
    from cloudsync.planning.path import of_rows
    from cloudsync.planning.status_table import status_rows
    from cloudsync.reconcile import run as reconcile
    from cloudsync.render.report import document, report_of
    from cloudsync.state.history import entries

    configuration = shell.load(fleet=True)
    try:
        planned = reconcile.plan(configuration, reconcile.Options(), shell.progress)
        runs = entries(configuration.state, configuration.owner)[-_RUNS:][::-1]
    except StateError as error:
        raise click.ClickException(str(error)) from None
    findings = _audit(shell, configuration, planned) if audited else None
    rows = status_rows(planned.considered)
    ways = of_rows(planned.considered, planned.discoveries, rows)
    report = report_of(planned.plan, rows, runs, findings, ways)
    if output == "json":
        content = json.dumps(document(report), indent=2) + "\n"
    else:
        from cloudsync.render.html.report_page import page

        content = page(report)
    if out is None:
        echo(content, nl=False)
    else:
        from cloudsync.cli.page_file import write_page

        write_page(shell, out, content)
    return exit_codes.of_reading(planned.plan)


def _audit(shell: Shell, configuration: Configuration, planned: Planned) -> Audit:
    """What is wrong with the hosts, by the plan that the page shows."""
    from datetime import UTC, datetime

    from cloudsync.audit.report import audit, ignores_of
    from cloudsync.reconcile.machine_facts import of_hosts

    facts = of_hosts(configuration, (), (), shell.progress, planned)
    return audit(facts, ignores_of(configuration.audit_ignores), datetime.now(UTC).date())
