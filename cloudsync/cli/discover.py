"""`cloudsync discover`."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cloudsync import exit_codes
from cloudsync.cli.next_step import following, typed
from cloudsync.cli.shared import ConfigProblems, Shell, common, is_configured, log
from cloudsync.cli.terminal import echo
from cloudsync.render.blocks import Line
from cloudsync.render.escape import plain
from cloudsync.render.networks import unread
from cloudsync.render.words import Vocabulary
from cloudsync.state import StateError

if TYPE_CHECKING:
    from cloudsync.config import Configuration
    from cloudsync.model.plan import NetworkReading
    from cloudsync.model.ports import Discovery
    from cloudsync.reconcile.networks import Resolved

HERE = "this engine"


@click.command("discover")
@click.option(
    "--output", type=click.Choice(["text", "json"]), default="text", help="Output format."
)
@common
def command(shell: Shell, *, output: str) -> int:
    """Show the ports that containers need, who needs them, and what would happen to each.

    Of all hosts of the configuration; without one, of the engine the docker command would use
    (DOCKER_HOST, DOCKER_CONTEXT, the current context, the local socket). No cloud is read, and
    nothing is written.
    """
    from cloudsync.planning.port_table import inventory, without_configuration

    configuration = shell.load() if is_configured(shell) else None
    if configuration is None:
        readings: tuple[NetworkReading, ...] = ()
        place, discoveries = _here()
        hosts = inventory(without_configuration(HERE), discoveries)
    else:
        networks, discoveries = _read(shell, configuration)
        configuration, readings, place = networks.configuration, networks.readings, None
        hosts = inventory(configuration, discoveries)
    from cloudsync.render import discovery as render

    if output == "json":
        echo(json.dumps(render.document(hosts), indent=2))
    else:
        names = configuration.networks if configuration is not None else {}
        blocks = [
            *(Line(line, "warning", "! ") for line in unread(readings, datetime.now(UTC))),
            *render.text(hosts, place=place, vocabulary=Vocabulary(names)),
        ]
        if not shell.quiet and any(host.rows for host in hosts):
            blocks += following(typed(shell, "plan" if configuration is not None else "init"))
        shell.print(blocks)
    return max(
        (
            *(_code(discovery) for discovery in discoveries.values()),
            exit_codes.of_statuses(reading.status for reading in readings),
        ),
        key=lambda discovery: (discovery == exit_codes.FAILED, discovery),
        default=exit_codes.DONE,
    )


def _here() -> tuple[str, Mapping[str, Discovery]]:
    """The engine that was read, by name, and what it needs."""
    from cloudsync.model.ports import LabelScope
    from cloudsync.sources.docker.endpoint import EndpointError, docker_endpoint, way_to
    from cloudsync.sources.docker.engine import read_engine

    try:
        engine = docker_endpoint(os.environ)
        way = way_to(engine, os.environ, Path())
    except EndpointError as error:
        raise ConfigProblems([str(error)]) from None
    shown = engine if engine == way.url else f"{engine} ({way.url})"
    log.info("no configuration: reading %s", plain(shown), extra={"event": "progress"})
    discovery = read_engine(
        HERE, engine, LabelScope({}, frozenset(), lenient=True), timeout=10.0, concurrency=16
    )
    return shown, {HERE: discovery}


def _read(shell: Shell, configuration: Configuration) -> tuple[Resolved, Mapping[str, Discovery]]:
    """The configuration with its networks that move as they are, and what its hosts need."""
    from cloudsync.reconcile.discover import discover

    try:
        return discover(configuration, shell.progress)
    except StateError as error:
        raise click.ClickException(str(error)) from None


def _code(discovery: Discovery) -> int:
    from cloudsync.model.ports import Complete

    if isinstance(discovery, Complete):
        return exit_codes.FAILED if discovery.malformed else exit_codes.DONE
    return exit_codes.TRY_AGAIN if discovery.temporary else exit_codes.FAILED
