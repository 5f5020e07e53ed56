"""`cloudsync history`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from cloudsync.cli.shared import Shell, common
from cloudsync.cli.terminal import echo
from cloudsync.config.models import duration
from cloudsync.config.names import not_configured
from cloudsync.planning.reopen import way_back
from cloudsync.render import history as render
from cloudsync.render.escape import plain
from cloudsync.state import StateError
from cloudsync.state.history import entries

if TYPE_CHECKING:
    from cloudsync.config import Configuration


@click.command("history")
@click.argument("id_", metavar="[ID]", required=False)
@click.option(
    "--firewall",
    "firewalls",
    multiple=True,
    metavar="NAME",
    help="Only entries of this firewall (repeatable).",
)
@click.option(
    "--host",
    "hosts",
    multiple=True,
    metavar="NAME",
    help="Only entries of firewalls that this host feeds (repeatable).",
)
@click.option(
    "--since",
    metavar="WHEN",
    help="Only entries since WHEN: 2d, 6h, or a time such as 2026-11-28T12:00.",
)
@click.option("--all", "all_", is_flag=True, help="Also show runs that found nothing to do.")
@click.option(
    "--limit",
    "-n",
    type=click.IntRange(1),
    default=20,
    metavar="N",
    help="The last N entries (default 20).",
)
@click.option(
    "--output", type=click.Choice(["text", "json"]), default="text", help="Output format."
)
@common
def command(shell: Shell, *, id_: str | None, all_: bool, output: str, **wanted: Any) -> int:
    """Show what applies did: the last ones, or one of them in full, with how to get back a port
    that it closed.

    ID is the entry's id, the beginning of one, or `last` (that did something).
    """
    configuration = shell.load(fleet=bool(wanted["hosts"]))
    try:
        listed = entries(configuration.state, configuration.owner)
    except StateError as error:
        raise click.ClickException(str(error)) from None
    if id_ is not None:
        entry = _with_ways_back(_entry_with(listed, id_))
        if output == "json":
            echo(json.dumps(entry, indent=2))
        else:
            shell.print(render.entry(entry))
        return 0
    listed = _chosen(configuration, listed, wanted)
    selected = [entry for entry in listed if all_ or entry.get("outcome") != "nothing-to-do"]
    shown = selected[-wanted["limit"] :]
    if output == "json":
        echo(json.dumps([_with_ways_back(entry) for entry in shown], indent=2))
    else:
        shell.print(
            render.listing(
                shown,
                hidden=0 if all_ else sum(e.get("outcome") == "nothing-to-do" for e in listed),
            )
        )
    return 0


def _chosen(
    configuration: Configuration, listed: list[dict[str, Any]], wanted: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """The entries that the options ask for."""
    of_hosts = {
        firewall.name
        for firewall in configuration.firewalls.values()
        if set(wanted["hosts"]) & set(firewall.hosts)
    }
    unknown = [host for host in wanted["hosts"] if host not in configuration.hosts]
    if unknown:
        raise click.UsageError(plain(not_configured("host", unknown[0], configuration.hosts)))
    since = _moment(wanted["since"])
    names = set(wanted["firewalls"])
    return [
        entry
        for entry in listed
        if (not names or names & _firewalls(entry))
        and (not wanted["hosts"] or of_hosts & _firewalls(entry))
        and (since is None or _started(entry) >= since)
    ]


def _firewalls(entry: Mapping[str, Any]) -> set[str]:
    listed = entry.get("firewalls")
    if not isinstance(listed, list):
        return set()
    return {str(firewall.get("name")) for firewall in listed if isinstance(firewall, dict)}


def _started(entry: Mapping[str, Any]) -> datetime:
    try:
        moment = datetime.fromisoformat(str(entry.get("started")))
    except ValueError:
        return datetime.min.replace(tzinfo=UTC)
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def _moment(words: str | None) -> datetime | None:
    if words is None:
        return None
    try:
        return datetime.now(UTC) - duration(words)
    except (ValueError, OverflowError):
        pass
    try:
        return datetime.fromisoformat(words).astimezone(
            UTC
        )  # of this machine's zone if it has none
    except (ValueError, OverflowError):
        raise click.UsageError(
            "--since must be a duration (2d, 6h) or a time (2026-11-28T12:00)"
        ) from None


def _entry_with(listed: list[dict[str, Any]], id_: str) -> dict[str, Any]:
    if id_ == "last" and listed:
        did = [entry for entry in listed if entry.get("outcome") != "nothing-to-do"]
        return (did or listed)[-1]
    fitting = [entry for entry in listed if entry["id"] == id_] or [
        entry for entry in listed if entry["id"].startswith(id_)
    ]
    if len(fitting) != 1:
        raise click.UsageError(
            f"{'several entries begin' if fitting else 'no entry begins'} with"
            f" {plain(id_[:60])!r}; cloudsync history --all lists them"
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
