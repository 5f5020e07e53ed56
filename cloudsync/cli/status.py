"""`cloudsync status`."""

from __future__ import annotations

import json

import click

from cloudsync import exit_codes
from cloudsync.cli.next_step import following, typed
from cloudsync.cli.shared import Shell, common, options_for
from cloudsync.cli.terminal import echo
from cloudsync.model.plan import Granted
from cloudsync.render.words import Vocabulary
from cloudsync.state import StateError


@click.command("status")
@click.option(
    "--firewall",
    "firewalls",
    multiple=True,
    metavar="NAME",
    help="Only this firewall (repeatable).",
)
@click.option(
    "--output", type=click.Choice(["text", "json"]), default="text", help="Output format."
)
@common
def command(shell: Shell, *, firewalls: tuple[str, ...], output: str) -> int:
    """Show what is open: every port, who needs it, on which firewall, since when and until when.

    Writes nothing. Exit codes: 0 everything was read, 1 or 75 something could not be read (75: try
    again), 64 usage or configuration.
    """
    from cloudsync.planning.status import rows
    from cloudsync.reconcile import run as reconcile
    from cloudsync.render import status as render
    from cloudsync.render.verdict import feasible
    from cloudsync.state.history import entries

    configuration = shell.load(fleet=True)
    options = options_for(configuration, firewalls, Granted())
    try:
        planned = reconcile.plan(configuration, options, shell.progress)
        history = entries(configuration.state, configuration.owner)
    except StateError as error:
        raise click.ClickException(str(error)) from None
    open_now = rows(planned.considered, history)
    if output == "json":
        echo(json.dumps(render.document(planned.plan, open_now), indent=2))
    else:
        vocabulary = Vocabulary(planned.configuration.networks)
        blocks = list(render.text(planned.plan, open_now, vocabulary=vocabulary))
        if feasible(planned.plan) and not shell.quiet:
            blocks += following(typed(shell, "apply", firewalls=firewalls))
        shell.print(blocks)
    return exit_codes.of_reading(planned.plan)
