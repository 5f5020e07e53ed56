"""`cloudsync observe`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import click

from cloudsync import exit_codes
from cloudsync.cli.shared import Shell, common, log, on_the_machine
from cloudsync.cli.terminal import echo
from cloudsync.provider.phrases import count
from cloudsync.render.escape import plain

if TYPE_CHECKING:
    from cloudsync.config import Configuration
    from cloudsync.provider.trace import Stopped, Trace, Used
    from cloudsync.render.blocks import Block
    from cloudsync.rules import Rule

_SHOWN = 20


@click.command("observe")
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
@common
def command(shell: Shell, *, firewalls: tuple[str, ...], output: str) -> int:
    """Show what the firewall on a machine stops, or would stop while it only observes (port,
    source, packets of the last 30 days), and which openings were not used.

    Writes nothing. Exit codes: 0; 1 or 75 something could not be read (75: try again), 64 usage or
    configuration.
    """
    from cloudsync.reconcile.on_machine import traces

    configuration = shell.load()
    met = traces(configuration, on_the_machine(configuration, firewalls), shell.progress)
    if output == "json":
        echo(json.dumps(document(configuration, met), indent=2))
    else:
        shell.print(_screen(configuration, met))
    return _code(met.values())


def _code(met: Iterable[Trace]) -> int:
    codes = [exit_codes.DONE]
    for trace in met:
        if trace.error is not None:
            log.error("%s", plain(trace.error.message), extra={"event": "observe"})
            codes.append(exit_codes.TRY_AGAIN if trace.error.temporary else exit_codes.FAILED)
    return exit_codes.FAILED if exit_codes.FAILED in codes else max(codes)


def document(configuration: Configuration, met: Mapping[str, Trace]) -> object:
    """The JSON of `observe`."""
    return {
        "format_version": "1.0",
        "firewalls": [
            {
                "name": name,
                "hosts": list(configuration.firewalls[name].hosts),
                "complete": trace.error is None,
                "reason": None if trace.error is None else trace.error.message,
                "exists": None if trace.error is not None else trace.enforced is not None,
                "enforced": trace.enforced,
                "cut": [_stopped(stopped) for stopped in trace.stopped],
                "cut_recorded_completely": not trace.full,
                "unused": [
                    {
                        "protocol": rule.protocol,
                        "ports": rule.ports,
                        "sources": list(rule.sources.cidrs()),
                        "description": description,
                    }
                    for rule, description in _unused(trace.openings)
                ],
            }
            for name, trace in met.items()
        ],
    }


def _stopped(stopped: Stopped) -> Mapping[str, object]:
    return {
        "protocol": stopped.protocol,
        "port": stopped.port,
        "source": stopped.source,
        "packets": stopped.packets,
    }


def _unused(openings: Sequence[Used]) -> Iterator[tuple[Rule, str]]:
    """The rules that let nothing in yet, by port; IPv4 and IPv6 of one rule together."""
    from cloudsync.rules import RuleSet

    idle = sorted((used for used in openings if not used.packets), key=_place)
    for rule in RuleSet.union(used.rules for used in idle):
        words = (used.description for used in idle if used.rules & RuleSet.of((rule,)))
        yield rule, ", ".join(dict.fromkeys(filter(None, words)))


def _place(used: Used) -> list[tuple[str, int]]:
    return [(rule.protocol, rule.first) for rule in used.rules]


def _screen(configuration: Configuration, met: Mapping[str, Trace]) -> Iterator[Block]:
    from cloudsync.render.blocks import BLANK, Line, Row, Table
    from cloudsync.render.words import Vocabulary

    vocabulary = Vocabulary(configuration.networks)
    for name, trace in met.items():
        yield BLANK
        hosts = ", ".join(configuration.firewalls[name].hosts)
        yield Line(plain(f"{name} ({hosts}): {_state(trace)}", 500), "title")
        if trace.enforced is None:
            continue
        yield from _stops(trace)
        idle = list(_unused(trace.openings))
        if idle:
            yield Line("openings not used yet:", indent=2)
        rows = (
            (_port(rule.protocol, rule.ports), f"from {vocabulary.sources(rule.sources)}", who)
            for rule, who in idle
        )
        yield Table(tuple(Row(tuple(plain(cell, 300) for cell in row)) for row in rows), indent=4)


def _state(trace: Trace) -> str:
    if trace.error is not None:
        return "could not be read"
    if trace.enforced is None:
        return "there is no table yet; an apply makes it"
    return "drops what is not listed" if trace.enforced else "observes: nothing is dropped"


def _stops(trace: Trace) -> Iterator[Block]:
    from cloudsync.render.blocks import Line, Row, Table

    if not trace.stopped:
        verb = "was dropped" if trace.enforced else "would have been cut"
        yield Line(f"nothing {verb} in the last 30 days", indent=2)
        return
    verb = "was dropped" if trace.enforced else "enforcing would have cut"
    yield Line(f"what {verb} in the last 30 days:", indent=2)
    rows = (
        (
            _port(stopped.protocol, "" if stopped.port is None else str(stopped.port)),
            f"from {stopped.source}",
            count(stopped.packets, "packet"),
        )
        for stopped in trace.stopped[:_SHOWN]
    )
    yield Table(tuple(Row(tuple(plain(cell, 300) for cell in row)) for row in rows), indent=4)
    if (more := len(trace.stopped) - _SHOWN) > 0:
        yield Line(f"and {more} more (--output json shows all)", "quiet", indent=4)
    if trace.full:
        yield Line("the record is full: what came later is not in it", "warning", indent=4)


def _port(protocol: str, ports: str) -> str:
    return f"{ports}/{protocol}" if ports else protocol
