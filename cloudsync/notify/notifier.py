"""One run reported: begun, ended. What the commands use."""

from __future__ import annotations

import time
from pathlib import Path

from cloudsync.config.configuration import Configuration
from cloudsync.model.outcome import Report
from cloudsync.notify import health, webhook
from cloudsync.notify.counters import Memory, remembering
from cloudsync.notify.http import Sending
from cloudsync.notify.metrics import write
from cloudsync.notify.run import Command, ErrorKind, Run
from cloudsync.notify.tally import tally

END_SECONDS = 10.0
"""The longest a run that ended waits for its messages."""


class Reporting:
    """A run under way. `begin` it, when it is `over` `tell` it; nothing in here raises for what
    others do."""

    def __init__(
        self, configuration: Configuration, command: Command, *, metrics_file: Path | None = None
    ) -> None:
        self.configuration = configuration
        self.command: Command = command
        named = configuration.report.metrics_file
        self.metrics_file = metrics_file or (
            configuration.base / named if named is not None else None
        )
        self.started, self._begun = time.time(), time.monotonic()
        self._start: Sending | None = None

    def begin(self, *, ping: bool = True) -> Reporting:
        """The run begins. `ping`: tell the health check."""
        if ping and (reference := self.configuration.report.health) is not None:
            self._start = health.ping_start(reference, self.configuration.base)
        return self

    def over(
        self,
        code: int,
        report: Report | None = None,
        *,
        error: str | None = None,
        kind: ErrorKind | None = None,
    ) -> Run:
        """The run ended with this exit code. `error` and `kind`: why, where there is no report."""
        seconds = time.monotonic() - self._begun
        return Run(
            self.configuration.owner,
            self.command,
            self.started,
            seconds,
            code,
            report,
            error=error,
            kind=kind,
        )

    def tell(self, run: Run, *, ping: bool = True) -> Memory:
        """Count it, write the metrics, tell the others; what is remembered now. `ping`: tell the
        health check too, unless it is a success that says nothing of the whole."""
        until = time.monotonic() + END_SECONDS
        configuration = self.configuration
        if (
            self.command == "apply"
            and self.metrics_file is None
            and configuration.report.webhook is None
        ):
            self._ping(run, until, ping=ping)
            return Memory(owner=run.owner)  # nobody would ever see what is counted
        with remembering(configuration.state, configuration.owner) as memory:
            tally(memory, run, configuration.firewalls)
        if self.metrics_file is not None:
            write(self.metrics_file, memory)
        event = webhook.event_of(run, memory.streak)
        message = (
            webhook.send(configuration.report, configuration.base, event, run, memory.streak)
            if event is not None
            else None
        )
        self._ping(run, until, ping=ping)
        if message is not None and message.done(until) and event != "change":
            memory = self._remember_told(run)
        return memory

    def _ping(self, run: Run, until: float, *, ping: bool) -> None:
        if self._start is not None:
            self._start.done(until)  # or the two could arrive the other way round
        says_something = run.well or not run.succeeded
        reference = self.configuration.report.health
        if ping and says_something and reference is not None:
            health.ping_end(reference, self.configuration.base, run).done(until)

    def _remember_told(self, run: Run) -> Memory:
        with remembering(self.configuration.state, self.configuration.owner) as memory:
            if run.well:
                memory.streak = None
            elif memory.streak is not None and run.code not in memory.streak.reported:
                memory.streak.reported.append(run.code)
        return memory
