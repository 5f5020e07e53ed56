"""Which systemd units start at boot, by the links that `systemctl enable` makes."""

from __future__ import annotations

import re

from cloudsync.model.machine_facts import HostUnit
from cloudsync.sources.machine.root import Root

_WANTS = (
    "sysinit.target",
    "multi-user.target",
    "basic.target",
    "network-pre.target",
    "sockets.target",
)


_FOLDERS = ("/etc/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system")


def host_unit(root: Root) -> HostUnit:
    """Whether a boot loads our own table before the network is up. Raises `Unreadable`."""
    if not root.exists("/etc/systemd/system"):
        return "unknown"
    unit = "cloudsync-host.service"
    content = next(
        (text for folder in _FOLDERS if (text := root.text(f"{folder}/{unit}")) is not None), None
    )
    if content is None:
        return "missing"
    if not is_enabled(root, unit):
        return "disabled"
    before = re.findall(r"^\s*Before\s*=(.*)$", content, re.MULTILINE)
    return "ready" if any("network-pre.target" in line.split() for line in before) else "late"


def is_enabled(root: Root, unit: str) -> bool:
    """Whether a target wants the unit."""
    return any(root.exists(f"/etc/systemd/system/{target}.wants/{unit}") for target in _WANTS)
