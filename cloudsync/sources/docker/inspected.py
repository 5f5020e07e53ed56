"""What an engine said when its containers were inspected, kept from one read to the next of a
process that goes on.

| of a container                              | is known from                              |
|---------------------------------------------|--------------------------------------------|
| ports it asks for, labels, command, image   | its inspection: fixed when it was created  |
| name, state, bound ports, networks          | the list, which every read asks for        |

An inspection is believed as long as the list says the same of the container as it did then, word
for word. The list has no moment of the start, but the endpoint that each start makes in a network:
a container that was restarted is inspected again. So is one of which list and inspection disagreed,
one in a state that passes, every container after an hour, and every container of Podman, whose list
says less.
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from cloudsync.sources.docker.answers import Unexpected, address, items, table, table_at, text
from cloudsync.sources.docker.containers import Container

BELIEVED_SECONDS = 3600.0
"""An inspection is repeated after so long, whatever the list says."""
_LASTING = ("running", "paused", "exited")
_PASSING_TIME = ("Status", "SizeRw", "SizeRootFs", "Health")
"""Keys of a list's entry that change although nothing does: "Up 3 minutes"."""
_CONTENT = "sha256:"
"""An image with such a name cannot change."""

Entry = Mapping[str, object]
"""One container in the engine's list."""


@dataclass(frozen=True, slots=True)
class _Known:
    container: Container
    listed: bytes
    """A digest of what the list said."""
    since: float


@dataclass(slots=True)
class OfEngine:
    """What is known of one engine's containers and images. One read at a time uses it."""

    clock: Callable[[], float] = time.monotonic
    engine: str = ""
    """The id of the engine that said so."""
    lasts: bool = True
    """Whether there may be another read. Without one nothing is kept."""
    _containers: dict[str, _Known] = field(default_factory=dict)
    _images: dict[str, Mapping[str, str]] = field(default_factory=dict)

    def begin(self, engine: str) -> None:
        """Another engine at the same place knows other containers; one without an id may be
        another one each time."""
        if not engine or engine != self.engine:
            self._containers, self._images, self.engine = {}, {}, engine

    def container(self, id_: str, entry: Entry) -> Container | None:
        """As it was inspected; None if it must be inspected now."""
        known = self._containers.get(id_)
        if known is None or self.clock() - known.since >= BELIEVED_SECONDS:
            return None
        return known.container if known.listed == _digest(entry) else None

    def keep_containers(self, inspected: Iterable[tuple[Entry, Container | None]]) -> None:
        """All containers of one read, and no others from now on."""
        if not self._keeps:
            return
        earlier, now = self._containers, self.clock()
        self._containers = {}
        for entry, container in inspected:
            if container is None:
                continue
            known = earlier.get(container.id)
            if known is not None and known.container is container:
                self._containers[container.id] = known
            elif _agree(entry, container):
                self._containers[container.id] = _Known(container, _digest(entry), now)

    def image(self, name: str) -> Mapping[str, str] | None:
        """The labels of an image; None if it must be inspected."""
        return self._images.get(name)

    def keep_images(self, labels: Mapping[str, Mapping[str, str] | None]) -> None:
        """All images of one read that matter, and no others from now on."""
        if not self._keeps:
            return
        self._images = {
            name: known
            for name, known in labels.items()
            if known is not None and name.startswith(_CONTENT)
        }

    @property
    def _keeps(self) -> bool:
        """An engine without an id may be another one at the next read."""
        return self.lasts and bool(self.engine)


@dataclass(slots=True)
class Inspections:
    """What is known of the engines of all hosts. Several threads may use it."""

    clock: Callable[[], float] = time.monotonic
    swarm: frozenset[str] = frozenset()
    """The hosts that were members of a Swarm when they were last read: what they need depends on
    what other hosts answer."""
    _engines: dict[tuple[str, str], OfEngine] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def of(self, host: str, engine: str) -> OfEngine:
        """What is known of one engine of a host."""
        with self._lock:
            return self._engines.setdefault((host, engine), OfEngine(self.clock))

    def members(self, read: Iterable[str], swarm: Iterable[str]) -> None:
        """Of the hosts that were `read`, those in `swarm` are members of one."""
        with self._lock:
            self.swarm = (self.swarm - set(read)) | set(swarm)


def _digest(entry: Entry) -> bytes:
    """Lists in it are sets: engines do not keep their order."""
    lasting = {
        key: sorted(json.dumps(item, sort_keys=True) for item in value)
        if isinstance(value, list)
        else value
        for key, value in entry.items()
        if key not in _PASSING_TIME
    }
    return hashlib.blake2b(json.dumps(lasting, sort_keys=True).encode(), digest_size=16).digest()


def _agree(entry: Entry, container: Container) -> bool:
    """Whether the list says the same as the inspection of everything that may change. If something
    happened between the two they do not, and then neither is to be remembered."""
    try:
        names = {text(name).removeprefix("/") for name in items(entry.get("Names"))}
        networks = {
            text(table(endpoint or {}).get("NetworkID") or name)
            for name, endpoint in table_at(table_at(entry, "NetworkSettings"), "Networks").items()
        }
        ports = {
            (
                text(port.get("Type")),
                port.get("PrivatePort"),
                address(port.get("IP")),
                str(port["PublicPort"]),
            )
            for port in map(table, items(entry.get("Ports") or []))
            if port.get("PublicPort")
        }
    except Unexpected:
        return False
    bound = {
        (binding.protocol, binding.container_port, binding.address, binding.host_port)
        for binding in container.bound
    }
    return (
        container.state in _LASTING
        and entry.get("State") == container.state
        and container.name in names
        and networks == set(container.networks)
        and ports == bound
    )
