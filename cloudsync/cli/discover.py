"""`cloudsync discover`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

import click

from cloudsync.cli import exit_codes
from cloudsync.cli.shared import ConfigProblems, Shell, common, log
from cloudsync.render.escape import plain

if TYPE_CHECKING:
    from cloudsync.sources.discovery import Discovery


@click.command("discover")
@common
def command(shell: Shell) -> int:
    """Show the ports that containers need: of all hosts of the configuration, or without one of the engine the docker command would use."""
    code = exit_codes.DONE
    for host, discovery in _read(shell).items():
        click.echo(f"{plain(host)}:")
        for row in _rows(discovery):
            click.echo("  " + row)
        code = max(code, _code(discovery), key=lambda one: (one == exit_codes.FAILED, one))
    return code


def _read(shell: Shell) -> Mapping[str, Discovery]:
    from cloudsync.config import ConfigError, find
    from cloudsync.engine_endpoint import EndpointError, docker_endpoint
    from cloudsync.sources.discovery import LabelScope
    from cloudsync.sources.engine import read_engine
    from cloudsync.sources.hosts import read_hosts

    try:
        find(shell.config)
    except ConfigError:
        try:
            endpoint = docker_endpoint(os.environ)
        except EndpointError as error:
            raise ConfigProblems([str(error)]) from None
        log.warning("no configuration: reading %s", plain(endpoint))
        return {"this engine": read_engine("this engine", endpoint, LabelScope({}, frozenset()), timeout=10.0, concurrency=16)}
    configuration = shell.load()
    return read_hosts(configuration, [host.name for host in configuration.hosts.values() if not host.retired], shell.progress)


def _code(discovery: Discovery) -> int:
    from cloudsync.sources.discovery import Complete

    if isinstance(discovery, Complete):
        return exit_codes.FAILED if discovery.malformed else exit_codes.DONE
    return exit_codes.TRY_AGAIN if discovery.temporary else exit_codes.FAILED


def _rows(discovery: Discovery) -> list[str]:
    from cloudsync.policy import name_of
    from cloudsync.sources.discovery import Failed, Partial

    if isinstance(discovery, Failed):
        return [f"not read: {plain(discovery.reason)}"]
    rows = [f"not read completely: {plain(reason)}" for reason in (discovery.reasons if isinstance(discovery, Partial) else ())]
    for port in sorted(discovery.required, key=lambda p: (p.first, p.protocol, str(p.address), p.origin)):
        ports = str(port.first) if port.first == port.last else f"{port.first}-{port.last}"
        address = "every address" if port.address is None else str(port.address)
        label = f"  label {port.origin.label}" if port.origin.label else ""
        rows.append(f"{ports + '/' + port.protocol:<16} {address:<22} {plain(name_of(port.origin))}{plain(label)}")
    rows += [
        f"{(one.ports or '?') + '/' + one.protocol:<16} {'not opened':<22} {plain(name_of(one.origin))}: {plain(one.reason)}"
        for one in discovery.unopened
    ]
    rows += [f"malformed label: {plain(name_of(bad.origin))}: {plain(bad.problem)}" for bad in discovery.malformed]
    rows += [f"note: {plain(remark)}" for remark in discovery.remarks]
    return rows or ["nothing is needed"]
