"""A list of networks in a file of this machine."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from cloudsync.sources.networks.listed import MAX_BYTES
from cloudsync.sources.networks.unread import NetworkUnread


def read_file(path: Path) -> bytes:
    """Its bytes, one more than may be at most. Raises `NetworkUnread`."""
    try:
        # Without waiting: a pipe would wait for its writer for ever.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as opened:
            mode = os.fstat(descriptor).st_mode
            if not stat.S_ISREG(mode):
                raise NetworkUnread("not a regular file", temporary=False)
            if mode & stat.S_IWOTH:
                raise NetworkUnread("every user of this machine can write it", temporary=False)
            return opened.read(MAX_BYTES + 1)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise NetworkUnread(f"cannot be read: {reason}", temporary=False) from None
