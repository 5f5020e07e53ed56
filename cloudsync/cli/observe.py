"""`cloudsync observe`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import click

from cloudsync import exit_codes
from cloudsync.cli.shared import Shell, common, log, on_the_machine
from cloudsync.cli.terminal import echo
from cloudsync.render.escape import plain

if TYPE_CHECKING:
    from cloudsync.config import Configuration
    from cloudsync.provider.trace import Stopped, Trace, Used
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
    source, packets of the last 30 days), and which openings nobody used.

    Writes nothing. Exit codes: 0; 1 or 75 something could not be read (75: try again), 64 usage or
    configuration.
    """
    from cloudsync.reconcile.on_machine import traces

    configuration = shell.load()
    met = traces(configuration, on_the_machine(configuration, firewalls), shell.progress)
    if output == "json":
        echo(json.dumps(document(configuration, met), indent=2))
    else:
        for line in _text(configuration, met):
            echo(plain(line, 500))
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
    """The rules that nobody came by, by port; IPv4 and IPv6 of one rule together."""
    from cloudsync.rules import RuleSet

    idle = sorted((used for used in openings if not used.packets), key=_place)
    for rule in RuleSet.of(rule for used in idle for rule in used.rules):
        words = (used.description for used in idle if used.rules & RuleSet.of((rule,)))
        yield rule, ", ".join(dict.fromkeys(filter(None, words)))


def _place(used: Used) -> list[tuple[str, int]]:
    return [(rule.protocol, rule.first) for rule in used.rules]


def _text(configuration: Configuration, met: Mapping[str, Trace]) -> Iterator[str]:
    for number, (name, trace) in enumerate(met.items()):
        if number:
            yield ""
        hosts = ", ".join(configuration.firewalls[name].hosts)
        if trace.error is not None:
            yield f"{name} ({hosts}): could not be read"
            continue
        if trace.enforced is None:
            yield f"{name} ({hosts}): there is no table yet; an apply makes it"
            continue
        state = "drops what is not listed" if trace.enforced else "observes: nothing is dropped"
        yield f"{name} ({hosts}): {state}"
        yield from _stops(trace)
        idle = list(_unused(trace.openings))
        if idle:
            yield "  openings that nobody has used yet:"
        for rule, description in idle:
            where = ", ".join(rule.sources.cidrs())
            yield f"    {_port(rule.protocol, rule.ports):<18} from {where}  {description}".rstrip()


def _stops(trace: Trace) -> Iterator[str]:
    from cloudsync.render.words import count

    verb = "was dropped" if trace.enforced else "would be cut"
    if not trace.stopped:
        yield f"  nothing {verb} in the last 30 days"
        return
    yield f"  what {verb} in the last 30 days:"
    width = max(len(stopped.source) for stopped in trace.stopped[:_SHOWN])
    for stopped in trace.stopped[:_SHOWN]:
        port = _port(stopped.protocol, "" if stopped.port is None else str(stopped.port))
        yield f"    {port:<18} from {stopped.source:<{width}}  {count(stopped.packets, 'packet')}"
    if (more := len(trace.stopped) - _SHOWN) > 0:
        yield f"    and {more} more (--output json shows all)"
    if trace.full:
        yield "    the record is full: what came later is not in it"


def _port(protocol: str, ports: str) -> str:
    return f"{ports}/{protocol}" if ports else protocol
