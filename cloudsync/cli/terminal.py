"""The terminal: how wide it is, and the one line on it that says what is being waited for."""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections.abc import Mapping
from typing import IO, Any

import click

from cloudsync.render.escape import plain

WIDTH = 80
"""Columns if nobody knows better: a pipe, a file, a log."""
_CLEAR = "\r\x1b[K"


def width(environ: Mapping[str, str], stream: IO[Any]) -> int:
    """COLUMNS, else the terminal's own width, else 80."""
    columns = environ.get("COLUMNS", "")
    if columns.isascii() and columns.isdigit() and int(columns[:6]) > 0:
        return int(columns[:6])
    try:
        return os.get_terminal_size(stream.fileno()).columns or WIDTH
    except (OSError, ValueError):
        return WIDTH


class Log(logging.StreamHandler[Any]):
    """Logs on stderr. On a terminal, progress is one line that is rewritten and gone at the end;
    everywhere else each step is a line of its own."""

    def __init__(self, stream: IO[Any], *, rewriting: bool, wrapping: bool = False) -> None:
        super().__init__(stream)
        self._rewriting, self._wrapping, self._shown = rewriting, wrapping, False
        self._writing = threading.RLock()

    def emit(self, record: logging.LogRecord) -> None:
        with self._writing:
            if self._rewriting and getattr(record, "event", "") == "progress":
                room = max(width(os.environ, self.stream) - 1, 20)
                message = plain(record.getMessage())
                shown = message if len(message) <= room else message[: room - 1] + "…"
                self.stream.write(_CLEAR + shown)
                self.stream.flush()
                self._shown = True
                return
            self.clear()
            super().emit(record)

    def format(self, record: logging.LogRecord) -> str:
        """A line of the log; wrapped on a terminal, but for what is for machines."""
        line = super().format(record)
        if not self._wrapping or record.exc_info:
            return line
        return fitted(line, os.environ, self.stream)

    def clear(self) -> None:
        """Take the progress line away, before anything else is printed."""
        with self._writing:
            if self._shown:
                self._shown = False
                self.stream.write(_CLEAR)
                self.stream.flush()


def fitted(text: str, environ: Mapping[str, str], stream: IO[Any] | None) -> str:
    """A message: wrapped at words on a terminal, and one line everywhere else, so that logs and
    scripts find it whole."""
    if stream is None or not stream.isatty():
        return text
    from cloudsync.render.blocks import Line
    from cloudsync.render.screen import joined

    lines = (Line(line) for line in text.splitlines())
    return joined(lines, colour=False, width=width(environ, stream))


def rewrites(environ: Mapping[str, str], stream: IO[Any]) -> bool:
    """Whether a line of this stream can be rewritten."""
    return stream.isatty() and environ.get("TERM", "dumb") != "dumb"


def clear_progress() -> None:
    """Take away the progress line of the logs."""
    for handler in logging.getLogger("cloudsync").handlers:
        if isinstance(handler, Log):
            handler.clear()


def echo(message: str = "", *, nl: bool = True, color: bool | None = None) -> None:
    """Print on stdout what is not laid out, after the progress line is gone."""
    clear_progress()
    click.echo(message, nl=nl, color=color)


def log_handler(*, verbose: bool, as_json: bool) -> Log:
    """The handler of this process. With -v, progress is kept line by line."""
    rewriting = not (verbose or as_json) and rewrites(os.environ, sys.stderr)
    return Log(sys.stderr, rewriting=rewriting, wrapping=not as_json)
