"""What lasts from run to run: in one directory (0700), as text a person can read, each file (0600)
written so that a crash leaves the old or the new; or in an object store (`store/`), one object for
each firewall, host and apply.

| file                  | what it holds                                                       |
|-----------------------|---------------------------------------------------------------------|
| `OWNER.lock`          | who runs now                                                        |
| `OWNER.applied.json`  | the SSH of the last applied plans (law 2)                           |
| `OWNER.seen.json`     | what containers needed when an apply last looked, and the timers of |
|                       | grace                                                               |
| `OWNER.networks.json` | the last good answers of the networks that move                     |
| `OWNER.history.jsonl` | what applies did, see `history.py` for it and its neighbours        |
"""

from __future__ import annotations


class StateError(Exception):
    """The state cannot be used; the message is one line, and nothing was written to a cloud."""

    def __init__(self, message: str, *, temporary: bool = False) -> None:
        """`temporary`: trying again may help (exit 75 rather than 1)."""
        super().__init__(message)
        self.temporary = temporary
