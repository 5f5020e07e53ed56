"""An apply told to others (`[report]`, `--metrics-file`), however it ends."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cloudsync import exit_codes

if TYPE_CHECKING:
    from cloudsync.config import Configuration
    from cloudsync.model.outcome import Report
    from cloudsync.notify.notifier import Reporting
    from cloudsync.notify.run import ErrorKind


class Ended:
    """Tells once how the run ended; nobody where nobody is to be told."""

    def __init__(self, reporting: Reporting | None) -> None:
        self._reporting, self.told = reporting, False

    def __call__(
        self,
        code: int,
        report: Report | None = None,
        *,
        error: str | None = None,
        kind: ErrorKind | None = None,
    ) -> int:
        """Tell it, and give the code back."""
        if self._reporting is not None and not self.told:
            self.told = True
            self._reporting.tell(self._reporting.over(code, report, error=error, kind=kind))
        return code


@contextmanager
def reported(configuration: Configuration, metrics_file: Path | None) -> Iterator[Ended]:
    """The run is in here. What it does not tell itself, an interruption or a bug, is told when it
    leaves."""
    ended = Ended(_reporting(configuration, metrics_file))
    try:
        yield ended
    except (click.Abort, KeyboardInterrupt) as error:
        # A run that knows its signal carries its number; 2 is Ctrl-C.
        ended(
            128 + int(getattr(error, "number", 2)), error="a signal stopped it", kind="interrupted"
        )
        raise
    except Exception as error:
        ended(exit_codes.FAILED, error=f"internal error: {type(error).__name__}", kind="internal")
        raise


def _reporting(configuration: Configuration, metrics_file: Path | None) -> Reporting | None:
    """Imported only where somebody is to be told."""
    from cloudsync.config.configuration import ReportSettings

    if metrics_file is None and configuration.report == ReportSettings():
        return None
    from cloudsync.notify.notifier import Reporting

    return Reporting(configuration, "apply", metrics_file=metrics_file).begin()
