"""`cloudsync providers`."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cloudsync.cli.shared import Shell, common
from cloudsync.cli.terminal import echo
from cloudsync.render.escape import plain
from cloudsync.render.words import listed

if TYPE_CHECKING:
    from cloudsync.render.blocks import Block

_LINK = re.compile(r":? ?https?://\S+")
"""A vendor's page: in the documentation, in the JSON and with -v; it would not fit a terminal."""


@click.command("providers")
@click.option(
    "--output", type=click.Choice(["text", "json"]), default="text", help="Output format."
)
@click.option("--check", "checked", metavar="TYPE", help="Check one plugin: what is wrong with it.")
@click.option("--new", metavar="NAME", help="Write a new provider NAME that passes the suite.")
@click.option(
    "--into",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(),
    help="With --new: the directory to write it to.",
)
@common
def command(shell: Shell, *, output: str, checked: str | None, new: str | None, into: Path) -> int:
    """List the providers and what they can do. One that cannot be loaded is listed with the
    reason."""
    if new is not None:
        return _new(shell, new, into)
    if checked is not None:
        return _check(shell, checked)
    rows = [_row(name) for name in _names()]
    if output == "json":
        echo(json.dumps(rows, indent=2))
        return 0
    shell.print(_screen(rows, verbose=shell.verbose))
    return 0


def _new(shell: Shell, name: str, into: Path) -> int:
    from cloudsync.provider.new import NewProviderError, write_provider
    from cloudsync.render.blocks import Line

    try:
        written = write_provider(name, into)
    except NewProviderError as error:
        raise click.UsageError(str(error)) from None
    shell.print(Line(plain(str(path)), "quiet") for path in written)
    folder = plain(str(into / f"cloudsync-{name}"))
    shell.print([Line(f"next: pip install -e '{folder}[test]' && pytest {folder}", "title")])
    return 0


def _check(shell: Shell, name: str) -> int:
    """1 if anything is wrong; the traceback of a plugin that cannot be loaded is shown with -v."""
    from cloudsync.provider.check import problems_of
    from cloudsync.render.blocks import Line

    problems = problems_of(name)
    if not problems:
        shell.print([Line(f"{plain(name)}: ok", "title")])
        return 0
    shell.print([Line(f"{plain(name)}: {plain(problem)}", "error", "! ") for problem in problems])
    return 1


def _screen(rows: list[dict[str, Any]], *, verbose: bool) -> Iterator[Block]:
    from cloudsync.render.blocks import BLANK, Line

    for number, row in enumerate(rows):
        if number:
            yield BLANK
        problem, can = row["problem"], row["capabilities"]
        yield Line(plain(row["type"]), "title")
        if can is not None:
            protocols = port_list_of(can["protocols"])
            attach = "attaches machines" if can["attaches"] else "attaches nothing"
            types = "single ICMP types" if can["icmp_types"] else "no single ICMP types"
            yield Line(f"{protocols}; {attach}; {types}", indent=2)
            for what, why in can["notes"]:
                note = why if verbose else _LINK.sub("", why)
                yield Line(f"{plain(what)}{': ' if note else ''}{plain(note)}", "quiet", "- ", 2)
        if problem is not None:
            yield Line(plain(problem), "error", "! ", 2)


def port_list_of(protocols: list[str] | None) -> str:
    """`all protocols`, `tcp, udp, icmp`, `tcp, udp, icmp, esp and 246 more`: the usual ones
    first."""
    if protocols is None:
        return "all protocols"
    usual = ("tcp", "udp", "icmp", "icmpv6", "esp", "ah", "sctp", "gre", "ipip")
    rest = [name for name in protocols if name not in usual]
    names = [name for name in usual if name in protocols]
    return listed([*names, *rest], max(len(names), 6))


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
