"""`cloudsync history`."""

from __future__ import annotations

import json
from typing import Any

import click

from cloudsync.cli.shared import Shell, common
from cloudsync.planning.reopen import way_back
from cloudsync.render import history as render
from cloudsync.state import StateError
from cloudsync.state.history import entries


@click.command("history")
@click.argument("id_", metavar="[ID]", required=False)
@click.option("--all", "all_", is_flag=True, help="Show the runs too that found nothing to do.")
@click.option(
    "--limit",
    "-n",
    type=click.IntRange(1),
    default=20,
    metavar="N",
    help="The last N entries (default 20).",
)
@click.option(
    "--output", type=click.Choice(["text", "json"]), default="text", help="Form of the output."
)
@common
def command(shell: Shell, *, id_: str | None, all_: bool, limit: int, output: str) -> int:
    """Show what applies did: the last ones, or one of them in full, with how to get back a port
    that it closed.

    ID is the entry's id or the beginning of one.
    """
    configuration = shell.load()
    try:
        listed = entries(configuration.state, configuration.owner)
    except StateError as error:
        raise click.ClickException(str(error)) from None
    if id_ is not None:
        entry = _with_ways_back(_entry_with(listed, id_))
        if output == "json":
            click.echo(json.dumps(entry, indent=2))
        else:
            shell.print(render.entry(entry))
        return 0
    shown = [entry for entry in listed if all_ or entry.get("outcome") != "nothing-to-do"][-limit:]
    if output == "json":
        click.echo(json.dumps([_with_ways_back(entry) for entry in shown], indent=2))
    else:
        shell.print(
            render.listing(
                shown,
                hidden=0 if all_ else sum(e.get("outcome") == "nothing-to-do" for e in listed),
            )
        )
    return 0


def _entry_with(listed: list[dict[str, Any]], id_: str) -> dict[str, Any]:
    fitting = [entry for entry in listed if entry["id"] == id_] or [
        entry for entry in listed if entry["id"].startswith(id_)
    ]
    if len(fitting) != 1:
        raise click.UsageError(
            f"{'several entries begin' if fitting else 'no entry begins'} with {id_[:60]!r}"
        )
    return fitting[0]


def _with_ways_back(entry: dict[str, Any]) -> dict[str, Any]:
    """The entry, and at each rule it closed how to get it back."""
    firewalls = entry.get("firewalls")
    if not isinstance(firewalls, list):
        return entry
    return {
        **entry,
        "firewalls": [
            _with_way_back(firewall) if isinstance(firewall, dict) else firewall
            for firewall in firewalls
        ],
    }


def _with_way_back(firewall: dict[str, Any]) -> dict[str, Any]:
    closed = firewall.get("closed")
    if not isinstance(closed, list):
        return firewall
    name = str(firewall.get("name"))
    shown = [
        {**closing, "way_back": list(way_back(closing, name))}
        if isinstance(closing, dict)
        else closing
        for closing in closed
    ]
    return {**firewall, "closed": shown}
