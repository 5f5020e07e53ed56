"""The report at `/`, made when somebody looks and kept for a while: looking costs one plan a
minute."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from cloudsync.audit.report import Audit
from cloudsync.config import Configuration

KEPT_SECONDS = 60.0
_RUNS = 20


class StatusPage:
    """`configuration`: the one in effect now; `audit`: the last one, None before the first."""

    def __init__(
        self,
        configuration: Callable[[], Configuration],
        clock: Callable[[], float] = time.monotonic,
        audit: Callable[[], Audit | None] = lambda: None,
    ) -> None:
        self._configuration, self._clock, self._audit = configuration, clock, audit
        self._lock = threading.Lock()
        self._page: tuple[float, str] | None = None

    def current(self) -> str:
        """The page. One caller makes it, others wait for it. Raises `StateError`."""
        with self._lock:
            now = self._clock()
            if self._page is None or now - self._page[0] >= KEPT_SECONDS:
                self._page = (now, self._made())
            return self._page[1]

    def forget(self) -> None:
        """The next look makes the page again: there is something new for it."""
        with self._lock:
            self._page = None

    def _made(self) -> str:
        from cloudsync.planning.path import of_rows
        from cloudsync.planning.status_table import status_rows
        from cloudsync.reconcile import run as reconcile
        from cloudsync.render.html.report_page import page
        from cloudsync.render.report import report_of
        from cloudsync.state.history import entries

        configuration = self._configuration()
        planned = reconcile.plan(configuration, reconcile.Options())
        runs = entries(configuration.state, configuration.owner)[-_RUNS:][::-1]
        rows = status_rows(planned.considered)
        ways = of_rows(planned.considered, planned.discoveries, rows)
        return page(report_of(planned.plan, rows, runs, self._audit(), ways))
