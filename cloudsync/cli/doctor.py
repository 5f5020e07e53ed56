"""`cloudsync doctor`: the whole installation in one table, each line with its cure."""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Literal

import click

from cloudsync import __version__, exit_codes
from cloudsync.cli import schedule
from cloudsync.cli.shared import ConfigProblems, Shell, common
from cloudsync.cli.terminal import echo
from cloudsync.model.state_url import StateUrl
from cloudsync.provider.phrases import count
from cloudsync.render.escape import plain
from cloudsync.render.networks import origin
from cloudsync.render.words import listed
from cloudsync.rules.frozen import dataclass
from cloudsync.runtime.clock import instant
from cloudsync.state import StateError

if TYPE_CHECKING:
    from pathlib import Path

    from cloudsync.config import Configuration
    from cloudsync.model.plan import NetworkReading
    from cloudsync.render.blocks import Block

State = Literal["ok", "look", "broken"]
_STALE = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the table."""

    area: str
    """configuration, credentials, networks, engine, state, schedule or version."""
    state: State
    finding: str
    """What was seen."""
    cure: str = ""
    """What to do about it; empty if nothing is to be done."""


@click.command("doctor")
@click.option(
    "--output", type=click.Choice(["text", "json"]), default="text", help="Output format."
)
@common
def command(shell: Shell, *, output: str) -> int:
    """Check the configuration, credentials, engines, the state directory, what keeps the firewalls
    in step, and versions; say how to fix what is wrong.

    Writes nothing. Exit codes: 0 nothing is broken, 1 something is.
    """
    checks = list(_checks(shell))
    broken = sum(check.state == "broken" for check in checks)
    if output == "json":
        rows = [
            {"area": c.area, "state": c.state, "finding": c.finding, "cure": c.cure or None}
            for c in checks
        ]
        echo(json.dumps(rows, indent=2))
    else:
        shown = [check for check in checks if not shell.quiet or check.state != "ok"]
        shell.print(_screen(shown, broken))
    return exit_codes.FAILED if broken else exit_codes.DONE


def _screen(checks: list[Check], broken: int) -> Iterator[Block]:
    from cloudsync.render.blocks import BLANK, Line, Row, Style, Table

    styles: dict[State, Style] = {"ok": "plain", "look": "warning", "broken": "error"}
    rows = []
    for check in checks:
        cure = f"  → {check.cure}" if check.cure else ""
        finding = plain(check.finding + cure, 1500)
        rows.append(Row((check.area, check.state, finding), styles[check.state]))
    yield Table(tuple(rows), indent=0)
    yield BLANK
    look = sum(check.state == "look" for check in checks)
    verdict = (
        f"{count(broken, 'thing is', 'things are')} broken." if broken else "Nothing is broken."
    )
    if look:
        verdict += f" {count(look, 'thing deserves', 'things deserve')} a look."
    yield Line(verdict, "error" if broken else "title")


def _checks(shell: Shell) -> Iterator[Check]:
    yield _versions()
    try:
        configuration = shell.load()
    except ConfigProblems as error:
        for problem in error.lines:
            yield Check(
                "configuration", "broken", problem, "cloudsync config check, cloudsync init"
            )
        return
    parts = (
        f"{count(len(configuration.hosts), 'host')},"
        f" {count(len(configuration.firewalls), 'firewall')}"
    )
    summary = f"{configuration.file} (owner {configuration.owner}, {parts})"
    yield Check("configuration", "ok", summary)
    yield from _libraries(configuration)
    yield from _secrets(configuration)
    yield from _credentials(shell, configuration)
    yield from _engines(shell, configuration)
    yield from _state(configuration)
    yield _schedule(configuration)


def _versions() -> Check:
    python = platform.python_version()
    return Check("version", "ok", f"cloudsync {__version__}, Python {python} in {sys.prefix}")


def _libraries(configuration: Configuration) -> Iterator[Check]:
    from cloudsync.provider.registry import sdk_missing

    for provider in {
        table.type: table.provider for table in configuration.accounts.values()
    }.values():
        if (missing := sdk_missing(provider)) is not None:
            finding, _, cure = missing.partition(": ")
            yield Check("version", "broken", finding, cure)


def _secrets(configuration: Configuration) -> Iterator[Check]:
    """Files of secrets that everybody on the machine can read."""
    from cloudsync.provider.settings import SecretRef

    for account in configuration.accounts.values():
        for name in type(account.settings).model_fields:
            reference = getattr(account.settings, name)
            if not isinstance(reference, SecretRef) or reference.file is None:
                continue
            path = configuration.base / reference.file
            try:
                readable = path.stat().st_mode & 0o004
            except OSError:
                continue  # the credentials' own check names it
            if readable:
                cure = f"chmod 600 {path}"
                yield Check("credentials", "look", f"everyone can read {path}", cure)


def _credentials(shell: Shell, configuration: Configuration) -> Iterator[Check]:
    from cloudsync.reconcile import check_access as access

    for name, rows in access.check(configuration, shell.progress).items():
        failing = [row for row in rows if access.failing(row, "apply", exposure=True)]
        near = [row for row in rows if row.state == "near"]
        for row in failing:
            yield Check(
                "credentials",
                "broken",
                f"{name}: {row.what} is {row.state}: {row.detail}",
                "cloudsync check-access lists what is needed",
            )
        for row in near:
            yield Check("credentials", "look", f"{name}: {row.what}: {row.detail}")
        if not failing:
            yield Check("credentials", "ok", f"{name}: good for plan and apply")


def _engines(shell: Shell, configuration: Configuration) -> Iterator[Check]:
    from cloudsync.model.ports import Complete, Failed
    from cloudsync.planning.port_table import inventory
    from cloudsync.reconcile.discover import discover
    from cloudsync.render.discovery import counted

    try:
        networks, discoveries = discover(configuration, shell.progress)
    except StateError as error:
        yield Check("state", "broken", str(error))
        return
    yield from (_network(reading) for reading in networks.readings)
    needs = {host.host: host for host in inventory(configuration, discoveries)}
    for name, discovery in discoveries.items():
        if isinstance(discovery, Failed):
            yield Check("engine", "broken", f"{name}: {discovery.reason}", "cloudsync discover")
        elif not isinstance(discovery, Complete):
            reasons = "; ".join(discovery.reasons)
            yield Check("engine", "broken", f"{name}: {reasons}", "cloudsync discover")
        elif discovery.malformed:
            bad = count(len(discovery.malformed), "container has", "containers have")
            finding = f"{name}: {bad} labels that do not parse"
            yield Check("engine", "broken", finding, "cloudsync discover names them")
        else:
            yield Check("engine", "ok", f"{name}: {counted(needs[name])}")


def _network(reading: NetworkReading) -> Check:
    """A network of `[networks]` that moves."""
    if reading.status.status != "complete":
        return Check("networks", "broken", f"@{reading.name}: {reading.status.reason}")
    return Check("networks", "ok", f"@{reading.name}: {origin(reading, datetime.now(UTC))}")


def _state(configuration: Configuration) -> Iterator[Check]:
    folder = configuration.state
    if isinstance(folder, StateUrl):
        yield _store(folder)
    elif not folder.exists():
        yield Check("state", "look", f"{folder} does not exist yet", "the first apply creates it")
    elif not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        owner = folder.stat().st_uid
        finding = f"{folder} belongs to user {owner} and cannot be written"
        yield Check("state", "broken", finding, "run as that user, or name another state directory")
    elif _is_full(folder):
        finding = f"the file system of {folder} is full: no apply can begin"
        yield Check("state", "broken", finding, f"df {folder}")
    else:
        yield Check("state", "ok", f"{folder} can be written")


def _is_full(folder: Path) -> bool:
    """Whether no file can be made there: doctor writes none to try."""
    space = os.statvfs(folder)
    blocks = space.f_bfree if os.geteuid() == 0 else space.f_bavail
    no_files_left = space.f_files > 0 and space.f_ffree == 0
    return blocks == 0 or no_files_left


def _store(place: StateUrl) -> Check:
    from cloudsync.state import StateError
    from cloudsync.state.store.opened import proved

    try:
        proved(place)
    except StateError as error:
        return Check("state", "broken", str(error), "docs/several-machines.md")
    return Check("state", "ok", f"{place} takes conditional writes")


def _schedule(configuration: Configuration) -> Check:
    """What keeps the firewalls in step on this machine, and when an apply last ran."""
    keepers = schedule.keepers()
    last = _last_apply(configuration)
    if not keepers:
        finding = f"no cloudsync timer, service or cron line on this machine; {_ago(last)}"
        cure = "docs/unattended.md (cron, systemd timer), or cloudsync watch"
        return Check("schedule", "look", finding, cure)
    finding = f"{listed(keepers, 3)}; {_ago(last)}"
    if last is None or datetime.now(UTC) - last > _STALE:
        return Check("schedule", "look", finding, "journalctl -u cloudsync, or the mail of cron")
    return Check("schedule", "ok", finding)


def _last_apply(configuration: Configuration) -> datetime | None:
    from cloudsync.state import StateError
    from cloudsync.state.history import entries

    try:
        history = entries(configuration.state, configuration.owner)
    except StateError:
        return None
    return _moment(history[-1]) if history else None


def _moment(entry: Mapping[str, object]) -> datetime | None:
    try:
        return instant(str(entry.get("ended") or entry.get("started")))
    except ValueError:
        return None


def _ago(last: datetime | None) -> str:
    if last is None:
        return "no apply has run yet"
    seconds = int((datetime.now(UTC) - last).total_seconds())
    for unit, length in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if seconds >= length:
            return f"the last apply ran {count(seconds // length, unit)} ago"
    return "the last apply ran less than a minute ago"
