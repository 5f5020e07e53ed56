"""The screen of `discover`, grouped by what would happen to each port, and the same as JSON. Every
text of a stranger is made harmless."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from cloudsync.model.ports import Origin, Routed, Unpublished, name_of
from cloudsync.planning.port_table import HostInventory, Row, Verdict
from cloudsync.planning.sensitive_ports import ADMIN, is_world
from cloudsync.provider.phrases import count
from cloudsync.render import words
from cloudsync.render.blocks import BLANK, Block, Line, Style, Table
from cloudsync.render.blocks import Row as Cells
from cloudsync.render.escape import plain
from cloudsync.render.words import PLAIN, Vocabulary

FORMAT_VERSION = "1.0"
_NOT_OPENED = ("refused", "elsewhere", "unassigned")
_UNNUMBERED = "random-port"
_WIDE = 1000
"""Ports of a range that is so wide that an admin port in it means nothing."""


def text(
    hosts: Iterable[HostInventory], *, place: str | None = None, vocabulary: Vocabulary = PLAIN
) -> Iterator[Block]:
    """A section for each host. `place`: the engine that was read, without a configuration."""
    for host in hosts:
        yield BLANK
        yield Line(_heading(host, place), "title")
        for problem in host.problems:
            how = "read completely" if host.status == "partial" else "read"
            yield Line(f"could not be {how}: {plain(problem, 1500)}", "warning", "! ")
        if host.status == "failed":
            continue
        yield from _opened(host, vocabulary)
        yield from _not_opened(host)
        yield from _local(host, place)
        yield from _unparsed(host)
        yield from _unknown(host)
        yield from _proxied(host.routed)
        if host.remarks:
            yield BLANK
        for remark in host.remarks:
            yield Line(plain(remark, 1500), "quiet", "note: ")


def _heading(host: HostInventory, place: str | None) -> str:
    name = plain(place or host.host)
    return name if host.status == "failed" else f"{name}: {counted(host)}"


def counted(host: HostInventory) -> str:
    """`12 ports of 9 containers`: how much a host publishes or declares."""
    numbered = [row for row in host.rows if row.ports or _code(row) == _UNNUMBERED]
    if not numbered:
        return "nothing is published"
    containers = {
        name_of(row.origin) for row in numbered if row.origin.container or row.origin.service
    }
    by = f" of {count(len(containers), 'container')}" if containers else ""
    return f"{count(len(numbered), 'port')}{by}"


def _group(title: str, rows: Sequence[Cells], style: Style = "plain") -> Iterator[Block]:
    if rows:
        yield BLANK
        yield Line(title, style)
        yield Table(tuple(rows))


def _opened(host: HostInventory, vocabulary: Vocabulary) -> Iterator[Block]:
    several = len({v.firewall for row in host.rows for v in row.verdicts if v.firewall}) > 1
    rows = [
        Cells((_port(row), plain(_who(row.origin)), plain(_from(row, vocabulary, several))), "open")
        for row in host.rows
        if _has(row, "opened")
    ]
    yield from _group(f"Would be opened ({len(rows)})", rows)


def _from(row: Row, vocabulary: Vocabulary, several: bool) -> str:
    """Who would get in, and what to think about."""
    reach = vocabulary.sources(row.sources)
    if row.addresses and row.addresses not in (("0.0.0.0",), ("::",)):  # noqa: S104 - not bound here
        reach += f" at {', '.join(row.addresses)}"
    if several:
        names = (v.firewall for v in row.verdicts if v.outcome == "opened" and v.firewall)
        reach += f", on {', '.join(dict.fromkeys(names))}"
    if row.origin.label:
        reach += f" (label {row.origin.label})"
    if row.origin.file:
        reach += f" ({row.origin.file}:{row.origin.line})"
    first, _, last = row.ports.partition("-")
    if row.protocol == "tcp" and is_world(row.sources) and first.isdecimal():
        low, high = int(first), int(last or first)
        if high - low < _WIDE and any(low <= port <= high for port in ADMIN):
            reach += "  ! often an admin page: publish it on 127.0.0.1 instead"
    return reach


def _not_opened(host: HostInventory) -> Iterator[Block]:
    rows = [
        Cells((_port(row), plain(_who(row.origin)), plain(_why(verdict), 1500)), "warning")
        for row in host.rows
        for verdict in _distinct(row.verdicts)
        if verdict.outcome in _NOT_OPENED and (row.ports or verdict.code == _UNNUMBERED)
    ]
    observed = any(
        row.origin.container and not row.origin.file for row in host.rows if _has(row, *_NOT_OPENED)
    )
    today = ". Published ones are open today, unless another firewall is in front"
    yield from _group(f"Would not be opened ({len(rows)}){today if observed else ''}", rows)


def _distinct(verdicts: Iterable[Verdict]) -> tuple[Verdict, ...]:
    """One of those that differ in the firewall only."""
    distinct: dict[tuple[object, ...], Verdict] = {}
    for verdict in verdicts:
        distinct.setdefault((verdict.outcome, verdict.code, verdict.reason), verdict)
    return tuple(distinct.values())


def _why(verdict: Verdict) -> str:
    if verdict.outcome == "unassigned":
        return "its host feeds no firewall"
    return verdict.reason or verdict.code or verdict.outcome


def _local(host: HostInventory, place: str | None) -> Iterator[Block]:
    local = [
        f"{_port(row)} {plain(_who(row.origin))}" for row in host.rows if _has(row, "loopback")
    ]
    if local:
        where = "this machine" if place else f"{plain(host.host)} itself"
        yield BLANK
        yield Line(f"Only on {where} ({len(local)})")
        yield Line(", ".join(local), "quiet", indent=2)


def _unparsed(host: HostInventory) -> Iterator[Block]:
    rows = [
        Cells(
            (
                ", ".join(_held_ports(host, bad.origin)),
                plain(name_of(bad.origin)),
                plain(bad.problem),
            ),
            "error",
        )
        for bad in host.malformed
    ]
    title = f"Labels that do not parse ({len(rows)}): nothing of it opens, what is open stays open"
    yield from _group(title, rows)


def _held_ports(host: HostInventory, origin: Origin) -> list[str]:
    return [_port(row) for row in host.rows if row.origin == origin and _has(row, "held")]


def _unknown(host: HostInventory) -> Iterator[Block]:
    rows = [
        Cells((plain(_who(row.origin)), plain(verdict.reason, 1500)), "warning")
        for row in host.rows
        for verdict in _distinct(row.verdicts)
        if not row.ports and verdict.outcome == "refused" and verdict.code != _UNNUMBERED
    ]
    listed = {cells.cells[0] for cells in rows}
    rows += [
        Cells((plain(_who(container.origin)), plain(_unlisted(container), 1500)), "warning")
        for container in host.unpublished
        if plain(_who(container.origin)) not in listed
    ]
    yield from _group(f"Not known ({len(rows)})", rows)


def _unlisted(container: Unpublished) -> str:
    """Why its ports are not known, and what helps."""
    exposed = f" (it exposes {words.listed(container.exposed)})" if container.exposed else ""
    hint = (
        "; the label cloudsync.ports on it lists what to open, the rest closes"
        if container.listens_here
        else ""
    )
    return f"{container.reason}{exposed}{hint}"


def _proxied(routed: Iterable[Routed]) -> Iterator[Block]:
    shown = [
        f"{plain(_who(backend.origin))} (behind {plain(backend.by)}"
        + (
            f", but publishes {', '.join(backend.published)} past the proxy)"
            if backend.published
            else ")"
        )
        for backend in routed
    ]
    if shown:
        yield BLANK
        yield Line(", ".join(shown), mark="Needs no port: ")


def _has(row: Row, *outcomes: str) -> bool:
    return any(verdict.outcome in outcomes for verdict in row.verdicts)


def _code(row: Row) -> str | None:
    return row.verdicts[0].code if row.verdicts else None


def _port(row: Row) -> str:
    return words.port(row.protocol, row.ports or "?")


def _who(origin: Origin) -> str:
    return name_of(origin) if origin.container or origin.service else "declared"


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
            {"origin": _origin(entry.origin), "by": entry.by, "beside": list(entry.published)}
            for entry in host.routed
        ],
        "malformed": [
            {"origin": _origin(bad.origin), "problem": bad.problem} for bad in host.malformed
        ],
        "unpublished": [
            {
                "origin": _origin(entry.origin),
                "network": entry.network,
                "reason": entry.reason,
                "exposed": list(entry.exposed),
            }
            for entry in host.unpublished
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
