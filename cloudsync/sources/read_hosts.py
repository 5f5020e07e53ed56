"""All hosts of a run read side by side, each engine within its own time, and what earlier applies
remember of them said."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import replace
from typing import TYPE_CHECKING

from cloudsync.config.configuration import Configuration, Host
from cloudsync.model.memory import EngineMemory, Remembered
from cloudsync.model.ports import (
    Complete,
    Discovery,
    Failed,
    LabelScope,
    Partial,
)
from cloudsync.provider.contract import Progress, silent
from cloudsync.sources import united

if TYPE_CHECKING:
    from cloudsync.sources.docker.engine import Survey
    from cloudsync.sources.docker.swarm import Cluster

_PROGRESS_SECONDS = 1.0


def read_hosts(
    configuration: Configuration,
    names: Iterable[str],
    progress: Progress = silent,
    memory: EngineMemory = EngineMemory(),  # noqa: B008 - frozen
) -> Mapping[str, Discovery]:
    """What every named host needs. Never raises for a host: what cannot be read is `Failed` or
    `Partial`.

    `memory`: what earlier applies remember of the hosts' engines.
    """
    hosts = [configuration.hosts[name] for name in names]
    if not hosts:
        return {}
    surveys = _surveys(configuration, hosts, progress)
    clusters = _clusters(surveys)
    found: dict[str, Discovery] = {}
    for host in hosts:
        discovery = united(
            _of_host(configuration, host, surveys.get(host.name, []), clusters, progress)
        )
        down = any(isinstance(one, Failed) for one in surveys.get(host.name, ()))
        found[host.name] = _with_memory(host, discovery, memory, down=down)
    return found


def label_scope(configuration: Configuration, host: str) -> LabelScope:
    """What the labels of one host's containers may name."""
    firewalls = frozenset(f.name for f in configuration.firewalls.values() if host in f.hosts)
    return LabelScope(dict(configuration.networks), firewalls)


def _of_host(
    configuration: Configuration,
    host: Host,
    surveys: list[Survey | Failed],
    clusters: Mapping[str, Cluster],
    progress: Progress,
) -> list[Discovery]:
    """One discovery a source of the host."""
    discoveries: list[Discovery] = []
    if host.ports:
        from cloudsync.sources.static import read_static

        discoveries.append(read_static(host))
    if host.compose is not None:
        from cloudsync.sources.compose.source import read_compose

        progress(f"reading the Compose files of {host.name}")
        discoveries.append(
            read_compose(
                host.name, host.compose, configuration.base, label_scope(configuration, host.name)
            )
        )
    if surveys:
        from cloudsync.sources.docker.engine import discovery_of

        scope = label_scope(configuration, host.name)
        discoveries += [
            one
            if isinstance(one, Failed)
            else discovery_of(host.name, one, scope, clusters.get(one.membership.node))
            for one in surveys
        ]
    return discoveries or [Complete()]


def _surveys(
    configuration: Configuration, hosts: list[Host], progress: Progress
) -> dict[str, list[Survey | Failed]]:
    """Every engine of every host, at most `run.concurrency` at once, and at most so many requests
    at once over all of them."""
    engines = [
        (host.name, number, engine) for host in hosts for number, engine in enumerate(host.docker)
    ]
    if not engines:
        return {}
    from cloudsync.sources.docker.engine import survey
    from cloudsync.sources.docker.request_slots import Share

    run = configuration.run
    slots = threading.BoundedSemaphore(run.concurrency)
    until = time.monotonic() + run.deadline
    told = _Told(len(engines), progress)

    def read(name: str, number: int) -> Survey | Failed:
        engine = configuration.hosts[name].docker[number]
        with Share(slots, run.concurrency) as share:  # its time begins with its turn
            left = until - time.monotonic()
            if left <= 0:
                return Failed("the run's deadline had passed before it was its turn", skipped=True)
            return survey(
                engine, timeout=min(run.host_timeout, left), share=share, base=configuration.base
            )

    found: dict[str, list[Survey | Failed]] = {name: [] for name, _, _ in engines}
    with ThreadPoolExecutor(min(len(engines), run.concurrency), thread_name_prefix="host") as pool:
        readings = {(name, number): pool.submit(read, name, number) for name, number, _ in engines}
        names = {reading: name for (name, _), reading in readings.items()}
        for reading in as_completed(names):
            told.one(names[reading], reading.result())
        for (name, _), reading in readings.items():
            found[name].append(reading.result())
    return found


def _clusters(surveys: Mapping[str, list[Survey | Failed]]) -> dict[str, Cluster]:
    """By node id, what a manager of the node's Swarm said: a worker does not know its services
    itself."""
    found: dict[str, Cluster] = {}
    for several in surveys.values():
        for one in several:
            if not isinstance(one, Failed) and one.cluster is not None:
                found.update(dict.fromkeys(one.cluster.nodes, one.cluster))
    return found


def _with_memory(
    host: Host, discovery: Discovery, memory: EngineMemory, *, down: bool
) -> Discovery:
    """The discovery, not complete where another engine answers than before, and with since when the
    host is unknown. `down`: an engine of the host said nothing at all."""
    known = memory.hosts.get(host.name, Remembered())
    if isinstance(discovery, Complete | Partial):
        reasons = [
            f"another engine answers at {seen.engine} than at the last apply: if that is right, remove the host's line "
            f'"{seen.engine}" from {memory.kept_in}, and the next apply remembers the new one'
            for seen in discovery.engines
            if known.engines.get(seen.engine, seen.id) != seen.id
        ]
        if reasons:
            discovery = _partial(discovery, tuple(reasons))
    if isinstance(discovery, Complete):
        return discovery
    more = (
        ""
        if known.unknown_since is None
        else f"; unknown since {known.unknown_since:%Y-%m-%d %H:%M} UTC"
    )
    more += (
        f"; if the host is gone for good, say so: retired = true in [hosts.{host.name}]"
        if down
        else ""
    )
    if isinstance(discovery, Failed):
        return replace(discovery, reason=discovery.reason + more)
    return replace(discovery, reasons=(*discovery.reasons[:-1], discovery.reasons[-1] + more))


def _partial(found: Complete | Partial, reasons: tuple[str, ...]) -> Partial:
    """The same as not complete, for good: nobody but the user can mend it."""
    before = found.reasons if isinstance(found, Partial) else ()
    return Partial(
        (*before, *reasons), found.required, found.unopened, found.malformed, found.remarks, temporary=False,
        local=found.local, routed=found.routed, engines=found.engines,
    )  # fmt: skip


class _Told:
    """Progress: who failed, at once; how many are read, once a second and at the end."""

    def __init__(self, total: int, progress: Progress) -> None:
        self._total, self._progress, self._done = total, progress, 0
        self._last = time.monotonic()
        progress(f"reading {total} {'engine' if total == 1 else 'engines'}")

    def one(self, host: str, result: Survey | Failed) -> None:
        self._done += 1
        if isinstance(result, Failed):
            self._progress(f"{host}: {result.reason}")
        now = time.monotonic()
        if self._done == self._total or now - self._last >= _PROGRESS_SECONDS:
            self._last = now
            self._progress(f"{self._done} of {self._total} engines read")
