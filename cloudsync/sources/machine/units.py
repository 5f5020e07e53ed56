"""Which systemd units start at boot, by the links that `systemctl enable` makes."""

from __future__ import annotations

from cloudsync.sources.machine.root import Root

_WANTS = (
    "sysinit.target",
    "multi-user.target",
    "basic.target",
    "network-pre.target",
    "sockets.target",
)


def is_enabled(root: Root, unit: str) -> bool:
    """Whether a target wants the unit."""
    return any(root.exists(f"/etc/systemd/system/{target}.wants/{unit}") for target in _WANTS)
