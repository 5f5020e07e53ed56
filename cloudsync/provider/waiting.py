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


def wait_until(
    look: Callable[[], str | None],
    account: Account,
    summary: str,
    vendor: str,
    missing: str = "",
) -> None:
    """Return once the change is in effect. `look` asks the vendor: it returns None if it is, else
    what is still missing, in words (`on server 7`, or ""). `missing`: the same, until it was asked.

    `summary`: the step, for the line of progress. Raises `Transient` at the deadline, with a known
    fate, since the vendor accepted the write; and whatever `look` raises before it.
    """
    pause = FIRST_SECONDS
    while (seen := _looked(look, account, missing)) is not None:
        missing = seen
        if time.monotonic() + paced(pause) >= account.deadline:
            raise Transient(
                f"accepted by {vendor}, but not in effect when the run's deadline was reached"
                f"{': ' if missing else ''}{missing}"
            )
        account.progress(f"{summary}: waiting until it is in effect")
        time.sleep(paced(pause))
        pause = min(pause * GROWTH, LONGEST_SECONDS)


def _looked(look: Callable[[], str | None], account: Account, missing: str) -> str | None:
    """As `look()`; still `missing` where the deadline comes before the answer."""
    try:
        return look()
    except Transient:
        if time.monotonic() < account.deadline:
            raise
        return missing
