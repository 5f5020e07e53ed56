"""What listens on the machine: `ss -Hlntup`, and whose process it is."""

from __future__ import annotations

import re

from cloudsync.model.machine_facts import Listener
from cloudsync.sources.machine.root import Root, Unreadable

_PROCESS = re.compile(r'users:\(\("([^"]*)",pid=(\d+)')
_CONTAINER = re.compile(r"(?:docker|libpod|crio)[-/]([0-9a-f]{64})")


def read(root: Root) -> tuple[Listener, ...] | None:
    """None without `ss`. Raises `Unreadable`."""
    content = root.dump("ss") or root.output(["ss", "-Hlntup"])
    return None if content is None else tuple(_listeners(content, root))


def _listeners(content: str, root: Root) -> list[Listener]:
    listeners = []
    for line in content.splitlines():
        words = line.split()
        if len(words) < 5 or words[0] not in ("tcp", "udp"):
            continue
        address, _, port = words[4].rpartition(":")
        if not port.isdigit():
            continue
        process = _PROCESS.search(line)
        listeners.append(
            Listener(
                protocol=words[0],
                address=address.strip("[]").partition("%")[0] or "*",
                port=int(port),
                process=process[1] if process else "",
                container=_container(root, process[2]) if process else "",
                pid=int(process[2]) if process else 0,
            )
        )
    return listeners


def _container(root: Root, pid: str) -> str:
    """The container of a process by its control group; `` for the machine's own."""
    try:
        groups = root.text(f"/proc/{pid}/cgroup") if root.is_live else None
    except Unreadable:
        return ""
    match = _CONTAINER.search(groups or "")
    return match[1] if match else ""
