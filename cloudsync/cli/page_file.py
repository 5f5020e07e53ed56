"""A page that goes to the file of `--out`."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cloudsync.cli.terminal import clear_progress, fitted
from cloudsync.render.escape import plain

if TYPE_CHECKING:
    from cloudsync.cli.shared import Shell


def write_page(shell: Shell, out: str, content: str, summary: str = "") -> None:
    """Write the file, and tell a person at a terminal so, with the `summary` of what is in it: from
    cron it is silent. Raises `click.ClickException`."""
    from cloudsync.runtime.files import open_file, write_named

    path = Path(out)
    try:
        write_named(path, content.encode(), 0o644)
    except OSError as error:
        raise click.ClickException(f"{out} cannot be written: {error.strerror}") from None
    if open_file(path) is None and sys.stderr.isatty() and not shell.quiet:
        sentence = plain(f"Written: {out}{f'. {summary}' if summary else ''}", 1500)
        clear_progress()
        click.echo(fitted(sentence, os.environ, sys.stderr), err=True)
