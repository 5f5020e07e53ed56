"""What Podman answers otherwise than Docker, beyond its states, networks and addresses
(`containers.py`).

Podman writes a host port that it picked itself into the container's settings, where it looks like
one that was asked for (4.3.1, seen). Its own API keeps the command line that made the container: a
port that no word of it mentions was picked.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from cloudsync.sources.docker.containers import Container

_NUMBERS = re.compile(r"([0-9]{1,5})(?:-([0-9]{1,5}))?")


def is_podman(about: Mapping[str, Any]) -> bool:
    """By the answer to `GET /version`."""
    parts = about.get("Components")
    return any(
        isinstance(one, dict) and one.get("Name") == "Podman Engine"
        for one in (parts if isinstance(parts, list) else [])
    )


def is_rootless(info: object) -> bool:
    """By the answer to `GET /info`."""
    return isinstance(info, dict) and (
        info.get("Rootless") is True or "name=rootless" in (info.get("SecurityOptions") or [])
    )


def without_picked(container: Container, answer: object) -> Container:
    """The container with the ports that Podman picked as not asked for. `answer`: of `GET
    /libpod/containers/{id}/json`; a container that was not made by a command line (through the API,
    in a pod) is taken as it is."""
    config = answer.get("Config") if isinstance(answer, dict) else None
    command = config.get("CreateCommand") if isinstance(config, dict) else None
    if not isinstance(command, list) or not {"run", "create"} & set(map(str, command)):
        return container
    spans = [
        (int(m[1]), int(m[2] or m[1])) for word in command for m in _NUMBERS.finditer(str(word))
    ]

    def mentioned(port: str) -> bool:
        return not port.isdecimal() or any(first <= int(port) <= last for first, last in spans)

    asked = tuple(
        one if mentioned(one.host_port) else replace(one, host_port="") for one in container.asked
    )
    return replace(container, asked=asked)
