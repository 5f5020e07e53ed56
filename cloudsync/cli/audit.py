"""`cloudsync audit`."""

from __future__ import annotations

import json
import os
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from cloudsync import exit_codes
from cloudsync.cli.shared import Shell, colours, common, is_configured
from cloudsync.cli.terminal import echo

if TYPE_CHECKING:
    from cloudsync.audit.report import Audit, Ignore
    from cloudsync.config import Configuration
    from cloudsync.model.machine_facts import Facts


class Form(NamedTuple):
    """How an audit is printed."""

    output: str
    out: str | None
    hints: bool


@click.command("audit")
@click.argument("hosts", nargs=-1, metavar="[HOST]...")
@click.option(
    "--compose", multiple=True, metavar="PATH", help="A Compose file or its directory (repeatable)."
)
@click.option(
    "--output",
    type=click.Choice(["text", "json", "sarif", "html"]),
    default="text",
    help="Output format.",
)
@click.option("--out", metavar="FILE", help="Write to FILE instead of standard output.")
@click.option(
    "--fail-on",
    type=click.Choice(["critical", "high", "medium", "low", "none"]),
    default="high",
    help="The least severity that ends with exit code 3 (default: high).",
)
@click.option(
    "--root",
    metavar="DIR",
    type=click.Path(exists=True, file_okay=False),
    help="Look at a copy of a machine in DIR instead of this machine.",
)
@click.option("--fix-hints", is_flag=True, help="Show the exact line to change, if it is known.")
@common
def command(shell: Shell, *, hosts: tuple[str, ...], fail_on: str, **options: object) -> int:
    """Look for mistakes that open ports: in containers, Compose files, iptables, ufw, firewalld,
    nftables and the cloud.

    Without a configuration it looks at this machine; with --compose alone, at the files. Nothing is
    changed. Exit codes: 0 nothing as bad as --fail-on, 3 something is, 1 or 75 an input could not
    be read (75: try again), 64 usage or configuration.

    Examples: cloudsync audit; cloudsync audit web-1; cloudsync audit --compose compose.yaml
    --output sarif --out audit.sarif
    """
    from cloudsync.audit.report import SECOND_LOOK_SECONDS, audit, may_pass

    compose = tuple(str(path) for path in options["compose"])  # type: ignore[attr-defined]
    root = options["root"]
    configuration = None if root or (compose and not hosts) else _configuration(shell, hosts)
    facts = earlier = _facts(shell, configuration, hosts, compose, str(root) if root else None)
    if root is None and may_pass(facts):
        shell.progress("a container may be starting: looking once more")
        time.sleep(SECOND_LOOK_SECONDS)
        facts = _facts(shell, configuration, hosts, compose, None)
    ignores = _ignores(shell, configuration)
    result = audit(facts, ignores, datetime.now(UTC).date(), earlier)
    form = Form(str(options["output"]), options["out"], bool(options["fix_hints"]))  # type: ignore[arg-type]
    _print(shell, result, form, configuration)
    return _code(result, fail_on, facts)


def _configuration(shell: Shell, hosts: tuple[str, ...]) -> Configuration | None:
    """The configuration; None if there is none and none was named."""
    if not is_configured(shell):
        if hosts:
            raise click.UsageError("HOST needs a configuration that names it")
        return None
    configuration = shell.load(fleet=True)
    unknown = [name for name in hosts if name not in configuration.hosts]
    if unknown:
        from cloudsync.config.names import not_configured
        from cloudsync.render.escape import plain

        raise click.UsageError(plain(not_configured("host", unknown[0], configuration.hosts)))
    return configuration


def _ignores(shell: Shell, configuration: Configuration | None) -> tuple[Ignore, ...]:
    """Of the configuration; with --compose or --root of the one that would be found."""
    if configuration is None:
        from cloudsync.config import ConfigError, find, load

        try:
            configuration = load(find(shell.config))
        except ConfigError:
            return ()
    from cloudsync.audit.report import ignores_of

    return ignores_of(configuration.audit_ignores)


def _facts(
    shell: Shell,
    configuration: Configuration | None,
    hosts: tuple[str, ...],
    compose: tuple[str, ...],
    root: str | None,
) -> tuple[Facts, ...]:
    from cloudsync.reconcile import machine_facts

    if root is not None:
        return machine_facts.of_copy(Path(root), compose)
    if configuration is not None:
        return machine_facts.of_hosts(configuration, hosts, compose, shell.progress)
    if compose:
        return machine_facts.of_files(compose)
    return machine_facts.of_this_machine(compose)


def _print(shell: Shell, result: Audit, form: Form, configuration: Configuration | None) -> None:
    from cloudsync.render import audit as render

    if form.output == "json":
        content = json.dumps(render.document(result), indent=2) + "\n"
    elif form.output == "sarif":
        from cloudsync.render import sarif

        content = json.dumps(sarif.document(result, _places(configuration)), indent=2) + "\n"
    elif form.output == "html":
        from cloudsync.render.html import audit_page

        content = audit_page.page(result)
    else:
        colour = form.out is None and colours(shell.color, os.environ, sys.stdout)
        content = render.text(result, hints=form.hints, colour=colour)
    if form.out is None:
        echo(content, nl=False, color=True)
        return
    from cloudsync.cli.page_file import write_page

    write_page(shell, form.out, content, render.summary(result))


def _places(configuration: Configuration | None) -> dict[str, tuple[str, int | None]]:
    """Where each host stands in the configuration, by a path that a repository knows."""
    if configuration is None:
        return {}
    file = os.path.relpath(configuration.file)
    return {host.name: (file, host.place.line) for host in configuration.hosts.values()}


def _code(result: Audit, fail_on: str, facts: tuple[Facts, ...]) -> int:
    if fail_on != "none" and result.at_least(fail_on):  # type: ignore[arg-type]
        return exit_codes.GUARD
    blind = [spot for machine in facts for spot in machine.blind if not spot.absent]
    if not blind:
        return exit_codes.DONE
    return exit_codes.TRY_AGAIN if all(spot.temporary for spot in blind) else exit_codes.FAILED
