"""`cloudsync observe`: what the rest met, and which elements nobody came by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cloudsync.provider.contract import Account, FirewallSpec
from cloudsync.provider.errors import ProviderError
from cloudsync.provider.phrases import first_of
from cloudsync.provider.trace import Stopped, Trace, Used
from cloudsync_host.elements import word_of
from cloudsync_host.layout import CUT_SIZE
from cloudsync_host.listing import Table

_SHOWN = 6


def read_trace(account: Account, specs: Sequence[FirewallSpec]) -> Mapping[str, Trace]:
    """By the firewall's name."""
    return {spec.name: _trace(account, spec) for spec in specs}


def _trace(account: Account, spec: FirewallSpec) -> Trace:
    from cloudsync_host.reader import look_at

    try:
        table = look_at(spec, account.deadline).table
    except ProviderError as error:
        return Trace(error=error)
    return Trace() if table is None else trace_of(table)


def would_be_cut(table: Table) -> str:
    """What an observing table has let pass that it would drop, the most packets first, in a
    phrase."""
    packets: dict[str, int] = {}
    sources: dict[str, set[str]] = {}
    for cut in table.cuts:
        port = word_of(cut.protocol) if cut.port is None else f"{cut.port}/{word_of(cut.protocol)}"
        packets[port] = packets.get(port, 0) + cut.packets
        sources.setdefault(port, set()).add(cut.source)
    if not packets:
        return "so far nothing came that would be cut"
    busiest = sorted(packets, key=lambda port: (-packets[port], port))
    shown = (
        f"{port} ({_counted(len(sources[port]), 'source')}, {_counted(packets[port], 'packet')})"
        for port in busiest
    )
    return (
        f"what came and would be cut: {first_of(shown, _SHOWN)}; cloudsync observe shows all of it"
    )


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def trace_of(table: Table) -> Trace:
    """The most packets first."""
    stopped = sorted(table.cuts, key=lambda cut: (-cut.packets, cut.protocol, cut.port or 0))
    sizes: dict[tuple[bool, bool], int] = {}
    for cut in table.cuts:
        kind = (cut.port is None, ":" in cut.source)
        sizes[kind] = sizes.get(kind, 0) + 1
    return Trace(
        enforced=not table.observes,
        stopped=tuple(
            Stopped(word_of(cut.protocol), cut.port, cut.source, cut.packets) for cut in stopped
        ),
        full=any(size >= CUT_SIZE for size in sizes.values()),
        openings=tuple(
            Used(element.rules, element.comment, element.packets) for element in table.elements
        ),
    )
