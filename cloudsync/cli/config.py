"""`cloudsync config check|show|schema`."""

from __future__ import annotations

import json
import os
import sys

import click

from cloudsync import exit_codes
from cloudsync.cli.group import SuggestingGroup
from cloudsync.cli.shared import ConfigProblems, Shell, common
from cloudsync.cli.terminal import width
from cloudsync.provider.guarded import problem_of
from cloudsync.provider.phrases import count
from cloudsync.render.escape import plain


@click.group("config", cls=SuggestingGroup)
def command() -> None:
    """Check or show the configuration, or print its JSON Schema."""


@command.command("check", short_help="Report what is wrong, line by line.")
@common
def check(shell: Shell) -> int:
    """Report what is wrong with the configuration, line by line (exit 64), or that nothing is. Asks
    no cloud and no engine."""
    from cloudsync.provider.registry import sdk_missing
    from cloudsync.render.blocks import Line

    configuration = shell.load()
    broken = [
        f"{configuration.file}: providers.{table.name}: {problem}"
        for table in configuration.accounts.values()
        if (problem := problem_of(table.provider)) is not None
    ]
    if broken:
        raise ConfigProblems(broken)
    missing = dict.fromkeys(
        problem
        for table in configuration.accounts.values()
        if (problem := sdk_missing(table.provider)) is not None
    )
    if missing:
        shell.print([Line(plain(problem), "error", "! ") for problem in missing])
    if not shell.quiet:
        parts = (
            count(len(configuration.hosts), "host"),
            count(len(configuration.firewalls), "firewall"),
            count(len(configuration.accounts), "account"),
        )
        verdict = "valid" if missing else "ok"
        summary = f"{configuration.file}: {verdict}, {', '.join(parts)}"
        line = f"{plain(summary)} (owner {configuration.owner})"
        if len(line) <= width(os.environ, sys.stdout):
            click.echo(line)  # no reason to import what lays out screens
        else:
            shell.print([Line(line)])
    return exit_codes.FAILED if missing else exit_codes.DONE


@command.command("show", short_help="Print it with every default.")
@common
def show(shell: Shell) -> int:
    """Print the configuration with every default filled in. Secrets stay references."""
    from cloudsync.config.show import show as shown

    click.echo(shown(shell.load()), nl=False)
    return 0


@command.command("schema", short_help="Print its JSON Schema.")
@common
def schema(shell: Shell) -> int:  # noqa: ARG001 - every command takes it
    """Print the JSON Schema of the configuration file, for editors."""
    from cloudsync.config.show import json_schema

    click.echo(json.dumps(json_schema(), indent=2))
    return 0
