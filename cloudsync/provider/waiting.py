"""Waiting until a vendor has put a change into effect: asking again at growing intervals, never
past the deadline."""

from __future__ import annotations

import time
from collections.abc import Callable

from cloudsync.provider.contract import Account
from cloudsync.provider.errors import Transient
from cloudsync.provider.pace import paced

FIRST_SECONDS = 0.1
LONGEST_SECONDS = 5.0
GROWTH = 1.6


def wait_until(look: Callable[[], str | None], account: Account, summary: str, vendor: str) -> None:
    """Return once `look()` does: it asks the vendor and returns None if the change is in effect,
    else what is still missing, in words (`on server 7`, or "").

    `summary`: the step, for the line of progress. Raises `Transient` at the deadline, with a known
    fate, since the vendor accepted the write; and whatever `look` raises.
    """
    pause = FIRST_SECONDS
    while (missing := look()) is not None:
        if time.monotonic() + paced(pause) >= account.deadline:
            raise Transient(
                f"accepted by {vendor}, but not in effect when the run's deadline was reached"
                f"{': ' if missing else ''}{missing}"
            )
        account.progress(f"{summary}: waiting until it is in effect")
        time.sleep(paced(pause))
        pause = min(pause * GROWTH, LONGEST_SECONDS)
