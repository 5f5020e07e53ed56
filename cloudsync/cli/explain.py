"""`cloudsync explain`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from cloudsync import exit_codes
from cloudsync.cli.shared import Shell, common, options_for
from cloudsync.cli.terminal import echo
from cloudsync.render.words import Vocabulary
from cloudsync.state import StateError

if TYPE_CHECKING:
    from cloudsync.planning.explain import Asked, Explanation
    from cloudsync.reconcile.run import Planned


@click.command("explain")
@click.argument("port", metavar="PORT[/PROTO]")
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
@click.option(
    "--html",
    is_flag=True,
    help="Draw the path to it as one HTML file, instead of text.",
)
@click.option("--out", metavar="FILE", help="Write the picture to FILE (with --html).")
@common
def command(
    shell: Shell,
    *,
    port: str,
    firewalls: tuple[str, ...],
    output: str,
    html: bool,
    out: str | None,
) -> int:
    """Explain one port: where it is open, who needs it, what refuses or holds it, and what would
    change that.

    PORT is 8080, 8080/tcp, 8000-8010/udp, icmp, esp, …; without a protocol it is tcp, and udp too
    if anything about it is known. Writes nothing.
    """
    from cloudsync.model.plan import Granted
    from cloudsync.planning.explain import explain
    from cloudsync.reconcile import run as reconcile
    from cloudsync.render import explain as render
    from cloudsync.state.history import entries

    if out is not None and not html:
        raise click.UsageError("--out goes with --html")
    asked = _asked(port)
    configuration = shell.load(fleet=True)
    options = options_for(configuration, firewalls, Granted())
    try:
        planned = reconcile.plan(configuration, options, shell.progress)
        history = entries(configuration.state, configuration.owner)
    except StateError as error:
        raise click.ClickException(str(error)) from None
    if html:
        _picture(shell, planned, asked, out)
        return exit_codes.of_reading(planned.plan)
    explanations = [
        explain(
            planned.configuration,
            planned.plan,
            planned.considered,
            explanation,
            discoveries=planned.discoveries,
            history=history,
        )
        for explanation in asked
    ]
    explanations = explanations[:1] + [
        explanation for explanation in explanations[1:] if _has_something(explanation)
    ]
    if output == "json":
        echo(json.dumps(render.document(explanations), indent=2))
    else:
        for number, explanation in enumerate(explanations):
            if number:
                echo("")
            shell.print(
                render.text(explanation, vocabulary=Vocabulary(planned.configuration.networks))
            )
    return exit_codes.of_reading(planned.plan)


def _asked(port: str) -> tuple[Asked, ...]:
    from cloudsync.config.models import allowed
    from cloudsync.planning.explain import Asked

    try:
        first = Asked(*allowed(_docker_notation(port)))
    except ValueError:
        raise click.UsageError(
            "PORT must be a port such as 8080/tcp or 8000-8010/udp, or a protocol such as icmp"
            " or esp"
        ) from None
    if first.protocol == "tcp" and "/" not in port:
        return first, Asked("udp", first.first, first.last)
    return (first,)


def _docker_notation(port: str) -> str:
    """`tcp/443` is read as `443/tcp`."""
    first, slash, second = port.partition("/")
    return f"{second}/{first}" if slash and first.isalpha() and second[:1].isdigit() else port


def _has_something(explanation: Explanation) -> bool:
    return bool(explanation.unassigned or explanation.local) or any(
        s.open or s.reasons or s.refused or s.held or s.kept or s.through or s.halted
        for s in explanation.stories
    )


def _picture(shell: Shell, planned: Planned, asked: tuple[Asked, ...], out: str | None) -> None:
    """The way of what was asked about; of udp too only if a cloud lets it in or anything needs
    it."""
    from cloudsync.planning.path import paths
    from cloudsync.render.html.path_page import page

    ways = [
        (str(port), paths(planned.considered, planned.discoveries, port.rules)) for port in asked
    ]
    ways = ways[:1] + [
        (title, drawn)
        for title, drawn in ways[1:]
        if any(
            hop.kind in ("cloud", "container") and hop.verdict == "open"
            for path in drawn
            for hop in path.hops
        )
    ]
    content = page(planned.plan, ways)
    if out is None:
        echo(content, nl=False)
        return
    from cloudsync.cli.page_file import write_page

    write_page(shell, out, content)
