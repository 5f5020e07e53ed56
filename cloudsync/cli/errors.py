"""How a command line that raised ends: one line on stderr, and the exit code. Imported only
then."""

from __future__ import annotations

import errno
import logging
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from cloudsync import exit_codes
from cloudsync.cli.shared import ConfigProblems, complain, wants_json
from cloudsync.cli.terminal import fitted
from cloudsync.provider.errors import ProviderError
from cloudsync.render.escape import plain
from cloudsync.state import StateError

_OF_A_STREAM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EPIPE, errno.EBADF)
"""What a write can meet that names no file: everything else that is written has a name."""


def code_of(error: BaseException, words: Sequence[str]) -> int:
    """Say what happened, in the format that `words` (the command line) ask for, and give the exit
    code. `-v` adds the traceback."""
    if isinstance(error, ConfigProblems):
        if wants_json(words):
            for line in error.lines:
                complain(words, line, "configuration")
        else:
            error.show()
        return exit_codes.USAGE
    if isinstance(error, click.exceptions.NoArgsIsHelpError) and not wants_json(words):
        error.show()
        return exit_codes.USAGE
    if isinstance(error, click.UsageError):
        problem = error.format_message()
        if wants_json(words):
            complain(words, problem, "usage")
        else:
            wrapped = fitted(f"Error: {problem}", os.environ, sys.stderr)
            click.UsageError(wrapped.removeprefix("Error: "), error.ctx).show()
        return exit_codes.USAGE
    if isinstance(error, click.ClickException):
        complain(words, error.format_message(), "failed")
        return _of_state(error.__context__)
    if isinstance(error, click.Abort | KeyboardInterrupt):
        if isinstance(error, click.Abort) and error.__cause__ is None:
            click.echo(err=True)  # ends the line of the question
        complain(words, "interrupted, nothing was begun", "interrupted")
        # click wraps what a signal raised.
        return 128 + int(
            getattr(error.__cause__ or error.__context__ or error, "number", signal.SIGINT)
        )
    if (message := _of_the_surroundings(error)) is None:
        message = f"internal error: {type(error).__name__} (-v shows more); please report it"
    if "-v" in words or "--verbose" in words:
        log = logging.getLogger("cloudsync")
        log.error("%s", message, exc_info=error, extra={"event": "internal"})
    else:
        complain(words, message, "internal")
    return _of_state(error)


def _of_state(error: BaseException | None) -> int:
    """A store that does not answer for now is a reason to try again."""
    if isinstance(error, StateError) and error.temporary:
        return exit_codes.TRY_AGAIN
    return exit_codes.FAILED


def _of_the_surroundings(error: BaseException) -> str | None:
    """What a user's own machine, disk or terminal did, in a line; None if it is a bug of ours."""
    if isinstance(error, ProviderError | StateError):
        return plain(str(error))
    if isinstance(error, MemoryError):
        return "there is not enough memory"
    if not isinstance(error, OSError):
        return None
    if isinstance(error, FileNotFoundError) and not _has_a_folder():
        return "the current directory does not exist any more: go to another one"
    if error.filename is not None:
        return plain(f"{os.fsdecode(error.filename)}: {error.strerror}")
    if error.errno in _OF_A_STREAM:
        return f"standard output: {error.strerror}"
    return (
        f"the system refused something: {error.strerror or type(error).__name__} (-v shows where)"
    )


def _has_a_folder() -> bool:
    try:
        Path.cwd()
    except OSError:
        return False
    return True
