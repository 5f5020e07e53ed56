"""`cloudsync publish`."""

from __future__ import annotations

import json
import os
import sys
import time
from typing import TYPE_CHECKING

import click

from cloudsync import exit_codes
from cloudsync.cli.shared import Shell, common, log
from cloudsync.cli.terminal import echo, fitted
from cloudsync.config.models import duration
from cloudsync.render.escape import plain
from cloudsync.state import StateError

if TYPE_CHECKING:
    from cloudsync.config import Configuration
    from cloudsync.reconcile.publish import Outcome
    from cloudsync.sources.docker.inspected import Inspections


@click.command("publish")
@click.option(
    "--every",
    metavar="TIME",
    help="Publish every TIME (30s, 1m) until a signal ends it.",
)
@click.option(
    "--output", type=click.Choice(["text", "json"]), default="text", help="Output format."
)
@common
def command(shell: Shell, *, every: str | None, output: str) -> int:
    """Write what this machine's containers need into the store, for controllers elsewhere.

    Publishes the hosts of the configuration whose engines are reached through sockets of this
    machine. Needs no cloud credentials. Exit codes: 0 published and complete, 75 incomplete
    or not published for now: try again, 1 cannot be published.
    """
    from cloudsync.sources.docker.inspected import Inspections

    configuration = shell.load()
    seconds = None if every is None else _seconds(every)
    inspections = Inspections()
    while True:
        code = _once(shell, configuration, inspections, output)
        if seconds is None:
            return code
        time.sleep(seconds)


def _seconds(every: str) -> float:
    try:
        seconds = duration(every).total_seconds()
    except ValueError as error:
        raise click.UsageError(f"--every {error}") from None
    if seconds < 1:
        raise click.UsageError("--every must be 1s or more")
    return seconds


def _once(shell: Shell, configuration: Configuration, inspections: Inspections, output: str) -> int:
    from cloudsync.reconcile.publish import local_hosts, publish

    if not local_hosts(configuration):
        raise click.UsageError(
            "the configuration has no host of this machine: one whose docker is a local socket, "
            'such as "unix:///var/run/docker.sock"'
        )
    try:
        outcomes = publish(configuration, shell.progress, inspections)
    except StateError as error:
        raise click.ClickException(str(error)) from None
    if output == "json":
        echo(json.dumps([_document(outcome) for outcome in outcomes], indent=2))
    for outcome in outcomes:
        _say(shell, outcome, output)
    return _code(outcomes)


def _say(shell: Shell, outcome: Outcome, output: str) -> None:
    if outcome.problem is not None:
        log.error("cloudsync: %s", plain(str(outcome.problem)), extra={"event": "publish"})
        return
    for reason in outcome.reasons:
        log.warning("%s: %s", plain(outcome.host), plain(reason), extra={"event": "publish"})
    if output == "text" and not shell.quiet:
        status = "its engine could not be read" if outcome.status == "failed" else outcome.status
        line = f"{plain(outcome.host)}: published to {plain(outcome.where)} ({status})"
        echo(fitted(line, os.environ, sys.stdout))


def _document(outcome: Outcome) -> dict[str, object]:
    return {
        "host": outcome.host,
        "status": outcome.status,
        "reasons": list(outcome.reasons),
        "published": outcome.problem is None,
        "to": outcome.where,
    }


def _code(outcomes: tuple[Outcome, ...]) -> int:
    problems = [outcome.problem for outcome in outcomes if outcome.problem is not None]
    if any(not problem.temporary for problem in problems):
        return exit_codes.FAILED
    if problems or any(outcome.status != "complete" for outcome in outcomes):
        return exit_codes.TRY_AGAIN
    return exit_codes.DONE
