"""`cloudsync watch`."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

import click

from cloudsync.cli.shared import ConfigProblems, Shell, common, shard_of


def _duration(ctx: click.Context, param: click.Parameter, value: str | None) -> float | None:  # noqa: ARG001 - click's signature
    from cloudsync.config.models import duration

    try:
        return None if value is None else duration(value).total_seconds()
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def _address(
    ctx: click.Context,  # noqa: ARG001 - click's signature
    param: click.Parameter,  # noqa: ARG001
    value: str | None,
) -> tuple[str, int] | None:
    from cloudsync.config.models import listen_address

    try:
        return None if value is None else listen_address(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


@click.command("watch")
@click.option(
    "--firewall",
    "firewalls",
    multiple=True,
    metavar="NAME",
    help="Only this firewall (repeatable).",
)
@click.option(
    "--shard",
    metavar="I/N",
    help="Only the firewalls of one of N shards, 0/N to N-1/N (or 1/N to N/N).",
)
@click.option(
    "--interval", callback=_duration, metavar="TIME", help="A run at least so often (5m)."
)
@click.option(
    "--debounce-min",
    callback=_duration,
    metavar="TIME",
    help="Quiet time after an event before a run (2s).",
)
@click.option(
    "--debounce-max", callback=_duration, metavar="TIME", help="The longest an event waits (30s)."
)
@click.option(
    "--listen",
    callback=_address,
    metavar="ADDR:PORT",
    help="Loopback address of /metrics and /healthz.",
)
@click.option(
    "--metrics-file",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Also write Prometheus metrics there.",
)
@common
def command(
    shell: Shell, *, firewalls: tuple[str, ...], shard: str | None, **overriding: Any
) -> int:
    """Run continuously: soon after containers changed, and at an interval. Runs until SIGTERM or
    Ctrl-C, then exits 0.

    It never asks: what a person must allow (--adopt, --allow-attach, --allow-close, --ssh-moved)
    is reported and left undone, until somebody runs `cloudsync apply` with it. SIGHUP, or a change
    of the file, reads the configuration again.
    """
    from cloudsync.cli.login import restore_login
    from cloudsync.config import ConfigError, find
    from cloudsync.watch.service import ListenProblem, Overrides, Service

    _set_up_logs(shell)
    restore_login(os.environ)
    overrides = Overrides(
        **overriding, firewalls=tuple(sorted(set(firewalls))), shard=shard_of(shard)
    )
    try:
        service = Service(find(shell.config).absolute(), overrides, shell.progress)
    except ConfigError as error:
        raise ConfigProblems([str(problem) for problem in error.problems]) from None
    if (problem := overrides.problem(service.configuration)) is not None:
        raise click.UsageError(problem)
    try:
        return service.run()
    except ListenProblem as error:
        raise click.ClickException(str(error)) from None


def _set_up_logs(shell: Shell) -> None:
    """What the service does is its log: changes always, what it is about unless --quiet."""
    log = logging.getLogger("cloudsync.watch")
    log.setLevel(logging.DEBUG if shell.verbose else logging.INFO)
    logging.getLogger("cloudsync.notify").setLevel(logging.WARNING)
    if shell.quiet:
        log.addFilter(
            lambda record: (
                record.levelno >= logging.WARNING or getattr(record, "event", "") == "change"
            )
        )
