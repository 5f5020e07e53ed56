"""Who answers at a local socket. A configuration that was copied to another machine names the same
hosts and reads another engine there, so names alone do not say whose a firewall is.

A Docker engine has an id that lasts. Podman makes up a new one for every answer, so the machine's
own id stands for it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from cloudsync.config.configuration import Configuration, Host
from cloudsync.config.engines import TlsEngine
from cloudsync.model.memory import EngineMemory, Remembered
from cloudsync.runtime.pools import gather

MACHINE_ID = Path("/etc/machine-id")
_LONGEST_SECONDS = 3.0
_PODMAN = "podman "


def local_identities(configuration: Configuration, memory: EngineMemory) -> Mapping[str, str]:
    """By host, the identity of its engines that are read through local sockets; hosts whose engines
    are not known are left out. `memory`: what earlier applies remember; only engines that nobody
    remembers are asked, in parallel and for a few seconds at most."""
    known: dict[tuple[str, str], str] = {}
    tasks: dict[tuple[str, str], Callable[[], str]] = {}
    local = {host.name: local_engines(configuration, host) for host in configuration.hosts.values()}
    seconds = min(configuration.run.host_timeout, _LONGEST_SECONDS)
    for name, engines in local.items():
        remembered = memory.hosts.get(name, Remembered()).engines
        for engine in engines:
            if id_ := remembered.get(engine):
                known[name, engine] = id_
            elif not configuration.hosts[name].retired:
                tasks[name, engine] = partial(_ask, engine, configuration.base, seconds)
    known |= gather(tasks, "identity", time.monotonic() + seconds + 1.0)
    return {
        name: " ".join(identity_of(known[name, engine]) for engine in engines)
        for name, engines in local.items()
        if engines and all(known.get((name, engine)) for engine in engines)
    }


def identity_of(id_: str) -> str:
    """What stands for an engine in a marker. `id_`: as discoveries know it."""
    if not id_.startswith(_PODMAN):
        return id_
    try:
        return MACHINE_ID.read_text().strip() or id_
    except OSError:
        return id_


def is_local(configuration: Configuration, host: Host) -> bool:
    """Whether all its engines are reached through sockets of this machine."""
    return len(local_engines(configuration, host)) == len(host.docker) > 0


def local_engines(configuration: Configuration, host: Host) -> list[str]:
    """The engines of a host that are reached through a socket of this machine."""
    return [
        engine
        for engine in host.docker
        if not isinstance(engine, TlsEngine) and _is_socket(engine, configuration.base)
    ]


def _is_socket(engine: str, base: Path) -> bool:
    if engine.startswith("unix:"):
        return True
    if "://" in engine:
        return False
    from cloudsync.sources.docker.endpoint import EndpointError, way_to

    try:
        way = way_to(engine, os.environ, base)
    except EndpointError:
        return False
    return way.ssh is None and way.url.startswith("unix:")


def _ask(engine: str, base: Path, seconds: float) -> str:
    """The engine's id; "" if it cannot be had."""
    from cloudsync.sources.docker.answers import Unexpected
    from cloudsync.sources.docker.client import EngineError
    from cloudsync.sources.docker.endpoint import EndpointError
    from cloudsync.sources.docker.engine import id_of, reached

    try:
        with reached(engine, time.monotonic() + seconds, base) as client:
            return id_of(client)
    except (EngineError, EndpointError, Unexpected):
        return ""
