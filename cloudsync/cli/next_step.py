"""The command a person would type next, with the options that this one was given."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from cloudsync.model.plan import Granted
from cloudsync.render.blocks import BLANK, Block, Line
from cloudsync.render.escape import plain

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cloudsync.cli.shared import Shell


def typed(
    shell: Shell,
    *command: str,
    firewalls: tuple[str, ...] = (),
    granted: Granted | None = None,
) -> str:
    """`cloudsync apply -c fleet.toml --firewall web --adopt web`."""
    words = ["cloudsync", *command]
    if shell.config:
        words += ["-c", shell.config]
    words += [word for firewall in firewalls for word in ("--firewall", firewall)]
    if granted is not None:
        words += _options(granted)
    return plain(shlex.join(words), 1000)


def _options(granted: Granted) -> list[str]:
    words = [word for name in granted.adopt for word in ("--adopt", name)]
    words += [word for name in granted.allow_attach for word in ("--allow-attach", name)]
    if granted.allow_close is not None:
        words += ["--allow-close", str(granted.allow_close)]
    words += ["--ssh-moved"] * granted.ssh_moved
    return [*words, *["--now"] * granted.now]


def to_doctor(shell: Shell) -> Iterator[Block]:
    """Where a failure that trying again will not help is explained."""
    return following(typed(shell, "doctor"), "what is wrong, and how to fix it")


def following(command: str, why: str = "") -> Iterator[Block]:
    """`Next: cloudsync apply`, under a blank line."""
    yield BLANK
    yield Line(f"{command}{f'   # {why}' if why else ''}", "title", "Next: ")
