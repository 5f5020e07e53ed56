"""What lasts from run to run, in one directory: the lock and the SSH of the last applied plans."""

from __future__ import annotations


class StateError(Exception):
    """The state directory cannot be used; the message is one line, and nothing was written to a cloud."""
