"""How many engines a process can listen to: each takes a file descriptor for as long as it lives,
and a run needs some too."""

from __future__ import annotations

import contextlib
import resource

_MOST_RESERVED = 256


def room_for_listeners() -> int:
    """So many streams may stay open. Raises the process's own limit as far as the system lets it;
    three quarters of what there is then, 256 at most, are kept for runs (state, engines,
    vendors)."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft != hard:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
            soft = hard
    if soft == resource.RLIM_INFINITY:
        return 1_000_000
    return max(0, soft - min(_MOST_RESERVED, soft * 3 // 4))
