"""Questions on a terminal: an answer is a flag's, the person's, or the default, in this order."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

import click

from cloudsync.cli import terminal
from cloudsync.rules.frozen import dataclass


@dataclass(frozen=True, slots=True)
class Asker:
    """Takes an answer from a flag, from the person, or from the default, in this order."""

    interactive: bool

    def text(
        self,
        question: str,
        flag: str,
        given: str | None,
        default: str | None,
        problem: Callable[[str], str | None],
    ) -> str:
        """Raises `click.UsageError` if the flag is wrong, or there is neither a person to ask nor
        a default."""
        if given is not None:
            if (wrong := problem(given)) is not None:
                raise click.UsageError(f"{flag} {wrong}")
            return given
        if not self.interactive:
            if default is None:
                raise click.UsageError(f"there is no terminal to ask on: {flag} is needed")
            return default

        def checked(answer: str) -> str:
            if (wrong := problem(answer.strip())) is not None:
                raise click.BadParameter(_wrapped(wrong, "Error: ").removeprefix("Error: "))
            return answer.strip()

        offered = f" [{default}]" if default else ""
        answer: str = click.prompt(
            _wrapped(f"{question}{offered}:"),
            default=default,
            value_proc=checked,
            show_default=False,
            prompt_suffix=" ",
        )
        return answer


def _wrapped(text: str, mark: str = "") -> str:
    """As wide as the terminal, with room for a short answer behind it."""
    from cloudsync.render.blocks import Line
    from cloudsync.render.screen import joined

    room = terminal.width(os.environ, sys.stdout) - _ANSWER
    return joined([Line(text, mark=mark)], colour=False, width=room)


_ANSWER = 8
"""Columns for an answer."""
