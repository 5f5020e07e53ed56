"""The audit of a service: now and then, in a thread of its own, so that no event waits for it."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from cloudsync.audit.findings import SEVERITIES
from cloudsync.audit.report import SECOND_LOOK_SECONDS, Audit, audit, ignores_of, may_pass
from cloudsync.config import Configuration
from cloudsync.notify.counters import AuditFigures, remembering
from cloudsync.state import StateError
from cloudsync.state.directory import prepare

log = logging.getLogger("cloudsync.watch")
_LOOK_SECONDS = 5.0
_STOP_SECONDS = 2.0


class Auditing:
    """Audits every host of the configuration that is in effect, every `[watch] audit`. `last`: what
    the latest one found."""

    def __init__(
        self, configuration: Callable[[], Configuration], audited: Callable[[], None]
    ) -> None:
        """`audited` is called after each audit."""
        self._configuration, self._audited = configuration, audited
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="audit", daemon=True)
        self.last: Audit | None = None
        self.figures: AuditFigures | None = None

    def start(self) -> None:
        """From now on; the first audit follows at once."""
        self._thread.start()

    def stop(self) -> None:
        """An audit under way is not waited for: it changes nothing."""
        self._stop.set()
        self._thread.join(_STOP_SECONDS)

    def _run(self) -> None:
        due = time.monotonic()
        while not self._stop.is_set():
            every = self._configuration().watch.audit
            if every is not None and time.monotonic() >= due:
                due = time.monotonic() + every
                self._once()
            self._stop.wait(_LOOK_SECONDS)

    def _once(self) -> None:
        configuration = self._configuration()
        try:
            if (result := self._result(configuration)) is None:
                return
            self.last, self.figures = result, _figures(result)
            if isinstance(configuration.state, Path):
                # It may end before the first run has begun. What goes wrong, the next line logs.
                with contextlib.suppress(StateError):
                    prepare(configuration.state)
            with remembering(configuration.state, configuration.owner) as memory:
                memory.audit = self.figures
            self._audited()
        except Exception as error:
            log.debug("internal error", exc_info=True)  # -v shows it; the service goes on
            log.warning(
                "the audit ended with an internal error: %s",
                type(error).__name__,
                extra={"event": "audit"},
            )

    def _result(self, configuration: Configuration) -> Audit | None:
        """Every host of a configuration, with its `[[audit.ignore]]`; None if the service ends
        meanwhile. What may pass by itself is looked at twice."""
        from cloudsync.reconcile.machine_facts import of_hosts

        facts = earlier = of_hosts(configuration, (), ())
        if may_pass(facts):
            if self._stop.wait(SECOND_LOOK_SECONDS):
                return None
            facts = of_hosts(configuration, (), ())
        ignores = ignores_of(configuration.audit_ignores)
        return audit(facts, ignores, datetime.now(UTC).date(), earlier)


def _figures(result: Audit) -> AuditFigures:
    counts: dict[str, int] = {
        severity: sum(finding.severity == severity for finding in result.findings)
        for severity in SEVERITIES
    }
    return AuditFigures(ended=time.time(), findings=counts, blind=len(result.blind))
