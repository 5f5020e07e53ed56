"""How a command line that raised ends: one line on stderr, and the exit code. Imported only
then."""

from __future__ import annotations

import logging
import signal
import sys
from collections.abc import Sequence

import click

from cloudsync import exit_codes
from cloudsync.cli.shared import ConfigProblems, complain, wants_json
from cloudsync.render.escape import plain


def code_of(error: BaseException, words: Sequence[str]) -> int:
    """Say what happened, in the format that `words` (the command line) ask for, and give the exit
    code. `-v` adds the traceback."""
    if isinstance(error, ConfigProblems):
        for line in error.lines:
            complain(words, line, "configuration") if wants_json(words) else print(
                plain(line), file=sys.stderr
            )
        return exit_codes.USAGE
    if isinstance(error, click.UsageError):
        complain(words, error.format_message(), "usage") if wants_json(words) else error.show()
        return exit_codes.USAGE
    if isinstance(error, click.ClickException):
        complain(words, error.format_message(), "failed")
        return exit_codes.FAILED
    if isinstance(error, click.Abort | KeyboardInterrupt):
        complain(words, "interrupted, nothing was begun", "interrupted")
        # click wraps what a signal raised.
        return 128 + int(
            getattr(error.__cause__ or error.__context__ or error, "number", signal.SIGINT)
        )
    if "-v" in words or "--verbose" in words:
        logging.getLogger("cloudsync").error(
            "internal error", exc_info=error, extra={"event": "internal"}
        )
    else:
        complain(
            words,
            f"internal error: {type(error).__name__} (-v shows more); please report it",
            "internal",
        )
    return exit_codes.FAILED
