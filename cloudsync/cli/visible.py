"""The machines that an account's credentials see, as choices for `cloudsync init`: which of them
is the machine this runs on, and the table of them."""

from __future__ import annotations

import os
import socket
import time
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cloudsync.provider.contract import Account, Progress
from cloudsync.provider.errors import ProviderError, Unsupported
from cloudsync.provider.phrases import count
from cloudsync.render.escape import plain
from cloudsync.render.words import listed

if TYPE_CHECKING:
    from cloudsync.provider.contract import Provider
    from cloudsync.provider.init import Starter, VisibleMachine
    from cloudsync.render.blocks import Block

_SECONDS = 15.0
_SHOWN = 40
_SHOWN_ADDRESSES = 2


def machines_of(
    provider: Provider, starter: Starter, table: Sequence[str], progress: Progress
) -> tuple[VisibleMachine, ...]:
    """All of them, this machine first. `table`: the lines of the account's table, which may still
    be wrong. Raises `ProviderError`."""
    if starter.machines is None:
        return ()
    try:
        settings = provider.account_settings.model_validate(tomllib.loads("\n".join(table)))
    except ValueError:
        raise Unsupported("the account's settings are not valid") from None
    deadline = time.monotonic() + _SECONDS
    account = Account(provider.type, settings, Path.cwd(), deadline, progress)
    return tuple(sorted(starter.machines(account), key=lambda m: (not is_here(m), m.name)))


def is_here(machine: VisibleMachine) -> bool:
    """Whether it is the machine that this runs on: by its name, or by an address."""
    own = socket.gethostname().lower()
    names = {own, own.partition(".")[0]}
    return machine.name.lower() in names or not _addresses(os.environ).isdisjoint(machine.addresses)


def _addresses(environ: Mapping[str, str]) -> set[str]:
    """Addresses of this machine: the one this SSH session came in by, and those that packets to
    elsewhere leave from. Nothing is sent."""
    session = environ.get("SSH_CONNECTION", "").split()
    addresses = {session[2]} if len(session) == 4 else set()
    for family, elsewhere in ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1")):
        try:
            with socket.socket(family, socket.SOCK_DGRAM) as probe:
                probe.connect((elsewhere, 9))
                addresses.add(str(probe.getsockname()[0]))
        except OSError:
            continue  # no route in that family
    return addresses


def suggestion(machines: Sequence[VisibleMachine]) -> str | None:
    """The answer for the machine this runs on, if it is one of them and no other looks like it."""
    here = [machine for machine in machines if is_here(machine)]
    return here[0].answer or None if len(here) == 1 else None


def chosen(machines: Sequence[VisibleMachine], answer: str) -> str | None:
    """The name of the machine that an answer means, if it is exactly one."""
    answered = [machine.name for machine in machines if machine.answer == answer]
    return answered[0] if len(answered) == 1 else None


def screen(machines: Sequence[VisibleMachine]) -> Iterator[Block]:
    """What the credentials see: a line for each machine."""
    from cloudsync.render.blocks import Line, Row, Table

    if not machines:
        yield Line("The credentials see no machine.", "warning")
        return
    yield Line(f"The credentials see {count(len(machines), 'machine')}:", "title")
    rows = []
    for machine in machines[:_SHOWN]:
        here = "this machine" if is_here(machine) else ""
        told_apart = ", ".join(filter(None, (here, machine.detail)))
        addresses = listed(machine.addresses, _SHOWN_ADDRESSES)
        cells = (machine.name, addresses or "-", told_apart)
        rows.append(Row(tuple(plain(cell, 400) for cell in cells)))
    yield Table(tuple(rows))
    if len(machines) > _SHOWN:
        yield Line(f"and {len(machines) - _SHOWN} more", "quiet", indent=2)


def not_listed(error: ProviderError) -> str:
    """Why there is no list, in one line."""
    return plain(f"the machines cannot be listed: {error.message}", 400)
