"""`cloudsync providers`."""

from __future__ import annotations

import json
from typing import Any

import click

from cloudsync.cli.shared import Shell, common
from cloudsync.render.escape import plain


@click.command("providers")
@click.option(
    "--output", type=click.Choice(["text", "json"]), default="text", help="Form of the output."
)
@common
def command(shell: Shell, *, output: str) -> int:  # noqa: ARG001 - every command takes it
    """List the providers and what they can do. One that cannot be loaded is listed with the
    reason."""
    found = [_row(name) for name in _names()]
    if output == "json":
        click.echo(json.dumps(found, indent=2))
        return 0
    for row in found:
        if row["problem"] is not None and row["capabilities"] is None:
            click.echo(f"{row['type']:<14} cannot be used: {plain(row['problem'])}")
            continue
        can = row["capabilities"]
        protocols = "all protocols" if can["protocols"] is None else ", ".join(can["protocols"])
        attach = "attaches machines" if can["attaches"] else "attaches nothing"
        click.echo(
            f"{row['type']:<14} {protocols}; {attach}; single ICMP types: {'yes' if can['icmp_types'] else 'no'}"
        )
        for what, why in can["notes"]:
            click.echo(f"{'':<14} {plain(what)}: {plain(why)}")
        if row["problem"] is not None:
            click.echo(f"{'':<14} ! {plain(row['problem'])}")
    return 0


def _names() -> tuple[str, ...]:
    from cloudsync.provider import registry

    return registry.names()


def _row(name: str) -> dict[str, Any]:
    from cloudsync.provider import registry

    try:
        provider = registry.load(name)
    except registry.PluginError as error:
        return {"type": name, "capabilities": None, "problem": str(error)}
    can = provider.capabilities
    return {
        "type": name,
        "capabilities": {
            "protocols": None if can.protocols is None else sorted(can.protocols),
            "icmp_types": can.icmp_types,
            "private_is_public": can.private_is_public,
            "attaches": can.attaches,
            "descriptions": can.descriptions,
            "notes": [list(note) for note in can.notes],
        },
        "problem": registry.sdk_missing(provider),
    }
