"""The table of `discover` for a terminal, and as JSON. Every text of a stranger is made
harmless."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from cloudsync.model.ports import Origin, Routed, name_of
from cloudsync.planning.port_table import HostInventory, Row, Verdict
from cloudsync.render import words
from cloudsync.render.escape import plain
from cloudsync.render.text import Line, Style

FORMAT_VERSION = "1.0"
_TITLES = ("PORT", "WHO", "REACHABLE FROM", "ASKED BY", "WHAT HAPPENS")
_WIDEST = 40


def text(hosts: Iterable[HostInventory], *, configured: bool) -> Iterator[Line]:
    """One table a host: what is not known first, then the ports, then the notes. `configured`: the
    verdicts come from a configuration."""
    for number, host in enumerate(hosts):
        if number:
            yield Line("")
        yield Line(plain(host.host), "title")
        for problem in host.problems:
            yield Line(
                f"  ! not read{' completely' if host.status == 'partial' else ''}: {plain(problem, 1500)}",
                "error",
            )
        if host.status == "failed":
            continue
        yield from _table(host, configured=configured)
        for bad in host.malformed:
            yield Line(
                f"  ! malformed label of {plain(name_of(bad.origin))}: {plain(bad.problem)}",
                "error",
            )
        yield from (Line(f"  note: {plain(remark, 1500)}", "quiet") for remark in host.remarks)


class _Shown(NamedTuple):
    """A row of the table as text: four cells, then a line for every verdict."""

    cells: tuple[str, str, str, str]
    happens: list[str]
    style: Style


def _table(host: HostInventory, *, configured: bool) -> Iterator[Line]:
    shown = [
        _Shown(_cells(row), _happens(row.verdicts, configured=configured), _style(row.verdicts))
        for row in host.rows
    ]
    shown += [
        _Shown(_routed(one), [_past(one)], "warning" if one.beside else "quiet")
        for one in host.routed
    ]
    if not shown:
        if not host.malformed:
            yield Line("  nothing is needed", "quiet")
        return
    columns = zip(_TITLES[:4], zip(*(row.cells for row in shown), strict=True), strict=True)
    widths = [min(_WIDEST, max(len(title), *map(len, cells))) for title, cells in columns]
    yield Line("  " + _joined(_TITLES[:4], widths) + _TITLES[4], "quiet")
    for row in shown:
        first, *more = row.happens
        yield Line("  " + _joined(row.cells, widths) + first, row.style)
        yield from (
            Line("  " + _joined(("", "", "", ""), widths) + line, row.style) for line in more
        )


def _joined(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "".join(
        f"{cell if len(cell) <= width else cell[: width - 1] + '…':<{width}}  "
        for cell, width in zip(cells, widths, strict=True)
    )


def _cells(row: Row) -> tuple[str, str, str, str]:
    reach = (
        words.sources(row.sources)
        if row.sources
        else "this machine"
        if row.verdicts[0].outcome == "loopback"
        else "-"
    )
    if row.addresses and row.addresses not in (("0.0.0.0",), ("::",)):  # noqa: S104 - not bound here
        reach += f" at {', '.join(row.addresses)}"
    return (
        f"{row.ports or '?'}/{row.protocol}",
        plain(_who(row.origin)),
        plain(reach),
        plain(_asked(row.origin)),
    )


def _routed(one: Routed) -> tuple[str, str, str, str]:
    return "-", plain(_who(one.origin)), plain(f"behind {one.by}"), "proxy"


def _past(one: Routed) -> str:
    return (
        f"needs nothing, but publishes {', '.join(one.beside)} past the proxy"
        if one.beside
        else "needs nothing"
    )


def _who(origin: Origin) -> str:
    return name_of(origin) if origin.container or origin.service else "declared"


def _asked(origin: Origin) -> str:
    if origin.file:
        return f"{origin.file}:{origin.line}" if origin.line else origin.file
    return origin.label or "published"


def _happens(verdicts: Sequence[Verdict], *, configured: bool) -> list[str]:
    return [_verdict(one, configured=configured) for one in verdicts] or ["nothing"]


def _verdict(one: Verdict, *, configured: bool) -> str:
    where = f" on {plain(one.firewall)}" if one.firewall else ""
    if one.outcome == "opened":
        return f"opened{where}" if configured else "would be opened"
    if one.outcome == "refused":
        return f"refused{where} ({one.code}): {plain(one.reason)}"
    if one.outcome == "loopback":
        return "never opened: " + plain(one.reason)
    if one.outcome == "held":
        return "what of it is open stays open: its labels do not parse"
    return f"not opened{where}: {plain(one.reason)}"


def _style(verdicts: Sequence[Verdict]) -> Style:
    outcomes = {one.outcome for one in verdicts}
    if outcomes & {"refused", "held"}:
        return "warning"
    return "open" if "opened" in outcomes else "quiet"


def document(hosts: Iterable[HostInventory]) -> dict[str, Any]:
    """The same as JSON values. Minor versions of the format add keys; readers ignore keys they do
    not know."""
    return {"format_version": FORMAT_VERSION, "hosts": [_host(host) for host in hosts]}


def _host(host: HostInventory) -> dict[str, Any]:
    status = {"status": host.status} | (
        {"reason": "; ".join(host.problems)} if host.problems else {}
    )
    return {
        "name": host.host,
        **status,
        "ports": [
            {
                "protocol": row.protocol,
                "ports": row.ports,
                "addresses": list(row.addresses),
                "sources": list(row.sources.cidrs()),
                "origin": _origin(row.origin),
                "verdicts": [
                    {
                        "outcome": v.outcome,
                        "firewall": v.firewall or None,
                        "sources": list(v.sources),
                        "code": v.code,
                        "reason": v.reason,
                    }
                    for v in row.verdicts
                ],
            }
            for row in host.rows
        ],
        "routed": [
            {"origin": _origin(one.origin), "by": one.by, "beside": list(one.beside)}
            for one in host.routed
        ],
        "malformed": [
            {"origin": _origin(bad.origin), "problem": bad.problem} for bad in host.malformed
        ],
        "remarks": list(host.remarks),
    }


def _origin(origin: Origin) -> dict[str, Any]:
    return {
        "host": origin.host or None,
        "project": origin.project,
        "service": origin.service,
        "container": origin.container,
        "label": origin.label,
        "file": origin.file,
        "line": origin.line,
    }
