"""Where tests that only write state keep it: in memory, if the system lends some.

A run makes what it wrote last (fsync) five times or more, for 7 ms each on a disk; thousands of
runs of the tests waited for it. What is killed here is a process and never the machine, so that no
test can see the difference.
"""

from __future__ import annotations

import os
from pathlib import Path

LEAST_BYTES = 1 << 30
ONLY_STATE = (
    "tests/conformance/",
    "tests/crash/",
    "tests/laws/",
    "tests/openstack/test_conformance.py",
    "tests/openstack/test_crash.py",
    "tests/unit/test_history.py",
    "tests/unit/test_state.py",
    "tests/unit/test_watch_loop.py",
)
"""Tests that write the state and the files of the local provider: no Compose files, which are not
read below /dev, and nothing that an engine mounts."""


def lent(folder: Path) -> Path | None:
    """The folder if there is room in it and programs may be started from it, else None."""
    try:
        system = os.statvfs(folder)
    except OSError:
        return None
    roomy = system.f_bavail * system.f_frsize >= LEAST_BYTES
    runnable = not system.f_flag & os.ST_NOEXEC
    return folder if roomy and runnable and os.access(folder, os.W_OK) else None


RAM_DISK = lent(Path("/dev/shm"))
"""None: the usual folder for temporary files, as `dir=None` of `tempfile`."""
