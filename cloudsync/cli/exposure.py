"""`cloudsync exposure`."""

from __future__ import annotations

import json
from dataclasses import replace

import click

from cloudsync import exit_codes
from cloudsync.cli.shared import Shell, common, options_for
from cloudsync.cli.terminal import echo
from cloudsync.model.plan import Granted
from cloudsync.render.words import Vocabulary
from cloudsync.state import StateError


@click.command("exposure")
@click.option(
    "--firewall",
    "firewalls",
    multiple=True,
    metavar="NAME",
    help="Only the machines of this firewall (repeatable).",
)
@click.option(
    "--output",
    type=click.Choice(["text", "json", "markdown"]),
    default="text",
    help="Output format.",
)
@common
def command(shell: Shell, *, firewalls: tuple[str, ...], output: str) -> int:
    """Show what the Internet reaches on the machines behind the firewalls: over all firewalls that
    act on them, ours and others'.

    Writes nothing. Exit codes: 0 all of it is known, 3 something is open that nothing requires and
    policy.foreign is "fail", 1 or 75 something could not be read (75: try again), 64 usage or
    configuration.
    """
    from cloudsync.reconcile import run as reconcile

    configuration = shell.load(fleet=True)
    options = options_for(configuration, firewalls, Granted())
    if configuration.policy.foreign == "ignore":
        # Who asks wants to know; `ignore` spares plans the calls.
        configuration = replace(
            configuration, policy=replace(configuration.policy, foreign="report")
        )
    try:
        plan = reconcile.plan(configuration, options, shell.progress).plan
    except StateError as error:
        raise click.ClickException(str(error)) from None
    if output == "json":
        from cloudsync.model.plan_json import exposure_document

        echo(json.dumps(exposure_document(plan), indent=2))
    elif output == "markdown":
        from cloudsync.render import markdown

        echo(markdown.reached(plan), nl=False)
    else:
        from cloudsync.render.exposure import reached

        shell.print(reached(plan, vocabulary=Vocabulary.of(configuration.networks, plan)))
    return exit_codes.of_exposure(plan)
