"""Which engine answers, and what Podman answers differently from Docker beyond its states and
networks.

Podman writes a host port that it chose itself into the container's settings, where it looks like
one that was asked for (4.3.1, seen), and 0.0.0.0 for an address that was left out (5.x). Its own
API keeps the command line that made the container: a port that no word of it mentions was chosen,
and an address that none mentions was left out.

| engine           | a port without an address is bound to | neighbours reach a container's own |
|                  |                                       | address                            |
|------------------|---------------------------------------|------------------------------------|
| Docker 28 and up | what its network says                 | no                                 |
| Docker before    | the same                              | yes                                |
| Podman as root   | the families that its network has     | yes                                |
| Podman rootless  | 0.0.0.0 and :: (pasta, rootlessport)  | no                                 |
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from cloudsync.rules.frozen import dataclass
from cloudsync.sources.docker.containers import RESTARTS, Binding, Container
from cloudsync.sources.docker.networks import ANY_IPV4, Carrying

_NUMBERS = re.compile(r"([0-9]{1,5})(?:-([0-9]{1,5}))?", re.ASCII)
_MAJOR = re.compile(r"([0-9]{1,4})\.", re.ASCII)
_LOOPS = ("stopped", "configured", "created", "initialized", "running", "stopping")
_GUARDED_SINCE = 28
"""The first Docker Engine that drops what comes from outside to a container's own address (moby
49325; seen on 28.5, not on 26.1)."""


@dataclass(frozen=True, slots=True)
class EngineKind:
    """Which engine it is."""

    podman: bool = False
    """Otherwise it is Docker."""
    rootless: bool = False
    """Whether it runs as a plain user."""
    version: str = ""
    """As the engine reports it; empty if it does not."""

    @property
    def carrying(self) -> Carrying:
        """How it brings packets into its networks."""
        if self.podman:
            return Carrying(
                across_families=self.rootless, into_every_network=self.rootless, says_ipv4=False
            )
        major = self._major
        return Carrying(by_routing=major is None or major >= _ROUTES_SINCE)

    @property
    def _major(self) -> int | None:
        match = _MAJOR.match(self.version)
        return None if match is None else int(match[1])

    @property
    def neighbours(self) -> bool:
        """Whether machines on the same network reach containers' own addresses, past the address
        that a port is published on."""
        if self.rootless:
            return False
        return self.podman or (self._major is not None and self._major < _GUARDED_SINCE)

    def __str__(self) -> str:
        return f"{'Podman' if self.podman else 'Docker'} {self.version}".strip()


_ROUTES_SINCE = 27
"""The first Docker Engine with `gateway_mode` (seen on 28.5, not heeded by 20.10 and 26.1)."""


def kind_of(about: Mapping[str, Any], info: object) -> EngineKind:
    """By the answers to `GET /version` and `GET /info`."""
    version = about.get("Version")
    return EngineKind(
        is_podman(about), is_rootless(info), version[:40] if isinstance(version, str) else ""
    )


def is_podman(about: Mapping[str, Any]) -> bool:
    """By the answer to `GET /version`."""
    components = about.get("Components")
    return any(
        isinstance(component, dict) and component.get("Name") == "Podman Engine"
        for component in (components if isinstance(components, list) else [])
    )


def is_rootless(info: object) -> bool:
    """By the answer to `GET /info`."""
    if not isinstance(info, dict):
        return False
    options = info.get("SecurityOptions")
    return info.get("Rootless") is True or (
        isinstance(options, list) and "name=rootless" in options
    )


def may_restart(answer: object) -> bool:
    """Whether the Docker answer about a container leaves open if it is about to be restarted."""
    host, state = _at(answer, "HostConfig"), _at(answer, "State")
    return state.get("Status") == "exited" and _at(host, "RestartPolicy").get("Name") in RESTARTS


def with_own_state(answer: object, own: object) -> dict[str, Any]:
    """The Docker answer as `stopped` if Podman's own answer (`GET /libpod/containers/{id}/json`)
    says that the container is being restarted, or runs again by now."""
    known = dict(answer) if isinstance(answer, dict) else {}
    if _at(own, "State").get("Status") not in _LOOPS:
        return known
    return known | {"State": {**_at(answer, "State"), "Status": "stopped"}}


def _at(answer: object, key: str) -> Mapping[str, Any]:
    value = answer.get(key) if isinstance(answer, Mapping) else None
    return value if isinstance(value, Mapping) else {}


def as_commanded(container: Container, answer: object) -> Container:
    """The container with the ports that Podman chose as not asked for, and with the addresses it
    filled in as left out. `answer`: of `GET /libpod/containers/{id}/json`; a
    container that no command line made (through the API, in a pod) is taken as it is."""
    config = answer.get("Config") if isinstance(answer, dict) else None
    command = config.get("CreateCommand") if isinstance(config, dict) else None
    words = [str(word) for word in command] if isinstance(command, list) else []
    if not {"run", "create"} & set(words):
        return container
    ranges = [(int(m[1]), int(m[2] or m[1])) for word in words for m in _NUMBERS.finditer(word)]
    filled_in = not any("0.0.0.0:" in word for word in words)

    def mentioned(port: str) -> bool:
        return not port.isdecimal() or any(first <= int(port) <= last for first, last in ranges)

    def bindings(known: Iterable[Binding], *, asked: bool) -> tuple[Binding, ...]:
        return tuple(
            replace(
                binding,
                address=None if filled_in and binding.address == ANY_IPV4 else binding.address,
                host_port="" if asked and not mentioned(binding.host_port) else binding.host_port,
            )
            for binding in known
        )

    return replace(
        container,
        asked=bindings(container.asked, asked=True),
        bound=bindings(container.bound, asked=False),
    )
