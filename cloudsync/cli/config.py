"""`cloudsync config check|show|schema`."""

from __future__ import annotations

import json

import click

from cloudsync.cli.shared import ConfigProblems, Shell, common
from cloudsync.provider.guarded import problem_of


@click.group("config")
def command() -> None:
    """Check or show the configuration, or print its JSON Schema."""


@command.command("check")
@common
def check(shell: Shell) -> int:
    """Say what is wrong with the configuration, line by line (exit 64), or that nothing is. Asks no
    cloud and no engine."""
    configuration = shell.load()
    broken = [
        f"{configuration.file}: providers.{table.name}: {problem}"
        for table in configuration.accounts.values()
        if (problem := problem_of(table.provider)) is not None
    ]
    if broken:
        raise ConfigProblems(broken)
    if not shell.quiet:
        click.echo(
            f"{configuration.file}: ok, {len(configuration.hosts)} hosts, {len(configuration.firewalls)} firewalls, "
            f"{len(configuration.accounts)} accounts"
        )
    return 0


@command.command("show")
@common
def show(shell: Shell) -> int:
    """Print the configuration with every default filled in. Secrets stay references."""
    from cloudsync.config.show import show as shown

    click.echo(shown(shell.load()), nl=False)
    return 0


@command.command("schema")
@common
def schema(shell: Shell) -> int:  # noqa: ARG001 - every command takes it
    """Print the JSON Schema of the configuration file, for editors."""
    from cloudsync.config.show import json_schema

    click.echo(json.dumps(json_schema(), indent=2))
    return 0
