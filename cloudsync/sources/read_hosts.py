"""Read all hosts of a run in parallel, each engine within its own time, and add what earlier
applies remember of them."""

from __future__ import annotations

import logging
import threading
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

from cloudsync.config.configuration import Configuration, Host
from cloudsync.model.inventory import Published
from cloudsync.model.memory import EngineMemory, Remembered
from cloudsync.model.ports import (
    Complete,
    Discovery,
    Failed,
    LabelScope,
    Partial,
    incomplete,
)
from cloudsync.provider.contract import Progress, silent
from cloudsync.provider.phrases import count
from cloudsync.sources import united

if TYPE_CHECKING:
    from cloudsync.sources.docker.engine import Survey
    from cloudsync.sources.docker.inspected import Inspections
    from cloudsync.sources.docker.swarm import Cluster
    from cloudsync.sources.inventory.reading import Inventory

log = logging.getLogger("cloudsync.sources")
_PROGRESS_SECONDS = 1.0
_GONE_AFTER = timedelta(days=1)
"""From then on a host that does not answer may be gone for good, and not only restarting."""
_LOOK_SECONDS = 0.5
_SLACK_SECONDS = 2.0
"""An engine ends its own reading in time; only what has no time limit of its own (the resolver)
comes to this."""
Engine = tuple[str, int]
"""A host's name, and which of its engines."""


def read_hosts(
    configuration: Configuration,
    names: Iterable[str],
    progress: Progress = silent,
    memory: EngineMemory = EngineMemory(),  # noqa: B008 - frozen
    published: Mapping[str, Published] | None = None,
    inspections: Inspections | None = None,
) -> Mapping[str, Discovery]:
    """What every named host needs. Never raises for a host: what cannot be read is `Failed` or
    `Partial`, and a defect of ours in judging one host is that host's failure.

    `memory`: what earlier applies remember of the hosts' engines. `published`: by host, what the
    store holds of those that are read from there. `inspections`: what an earlier read of this
    process need not ask again.
    """
    hosts = [configuration.hosts[name] for name in names]
    if not hosts:
        return {}
    inventories = _inventories(configuration, hosts, memory, published or {})
    surveys = surveys_of(configuration, hosts, progress, inspections) | {
        name: answers_of(inventory) for name, inventory in inventories.items()
    }
    if inspections is not None:
        inspections.members(surveys, _members(surveys))
    managers, scopes = _managers(surveys), label_scopes(configuration)
    discoveries: dict[str, Discovery] = {}
    for host in hosts:
        answers = surveys.get(host.name, [])
        try:
            scope = scopes[host.name]
            discovery = united(_of_host(configuration, host, scope, answers, managers, progress))
        except Exception as error:  # noqa: BLE001 - one host must not end the run
            discovery = _defect(host, error)
        inventory = inventories.get(host.name)
        if inventory is not None and not isinstance(inventory, Failed):
            discovery = _as_published(discovery, inventory)
        down = any(isinstance(answer, Failed) for answer in answers)
        discoveries[host.name] = _with_memory(host, discovery, memory, down=down)
    return discoveries


def _defect(host: Host, error: Exception) -> Failed:
    log.debug("%s: internal error", host.name, exc_info=error)
    return Failed(
        f"internal error in judging it: {type(error).__name__} (-v shows more); please report it",
        temporary=False,
    )


def label_scope(configuration: Configuration, host: str) -> LabelScope:
    """What the labels of one host's containers may name."""
    return label_scopes(configuration)[host]


def label_scopes(configuration: Configuration) -> Mapping[str, LabelScope]:
    """The same of every host."""
    firewalls: defaultdict[str, set[str]] = defaultdict(set)
    for firewall in configuration.firewalls.values():
        for host in firewall.hosts:
            firewalls[host].add(firewall.name)
    networks, unread = dict(configuration.networks), frozenset(configuration.unread)
    return {
        host: LabelScope(networks, frozenset(firewalls[host]), unread=unread)
        for host in configuration.hosts
    }


def _of_host(
    configuration: Configuration,
    host: Host,
    scope: LabelScope,
    surveys: list[Survey | Failed],
    managers: Mapping[str, Cluster | str],
    progress: Progress,
) -> list[Discovery]:
    """One discovery for each source of the host."""
    discoveries: list[Discovery] = []
    if host.ports:
        from cloudsync.sources.static import read_static

        discoveries.append(read_static(host))
    if host.compose is not None:
        from cloudsync.sources.compose.source import read_compose

        progress(f"reading the Compose files of {host.name}")
        discoveries.append(read_compose(host.name, host.compose, configuration.base, scope))
    if surveys:
        from cloudsync.sources.docker.discovery import discovery_of

        discoveries += [
            (
                survey
                if isinstance(survey, Failed)
                else discovery_of(host.name, survey, scope, managers.get(survey.membership.node))
            )
            for survey in surveys
        ]
    return discoveries or [Complete()]


def _inventories(
    configuration: Configuration,
    hosts: list[Host],
    memory: EngineMemory,
    published: Mapping[str, Published],
) -> dict[str, Inventory | Failed]:
    """What the hosts that are read from the store published, or why it is not believed."""
    from_store = [host for host in hosts if host.inventory]
    if not from_store:
        return {}
    from cloudsync.sources.inventory.reading import Expected, inventory_of

    return {
        host.name: inventory_of(
            published.get(host.name, Published(problem="its inventory was not read")),
            Expected(
                configuration.owner,
                host.name,
                host.trusted_keys,
                memory.hosts.get(host.name, Remembered()).sequence,
            ),
        )
        for host in from_store
    }


def answers_of(inventory: Inventory | Failed) -> list[Survey | Failed]:
    """What the engines of a published host answered."""
    return [inventory] if isinstance(inventory, Failed) else list(inventory.surveys)


def _as_published(discovery: Discovery, inventory: Inventory) -> Discovery:
    """The same with the number of the inventory, which an apply remembers."""
    if isinstance(discovery, Failed):
        return discovery
    return replace(discovery, sequence=inventory.sequence)


def _members(surveys: Mapping[str, list[Survey | Failed]]) -> Iterable[str]:
    """The hosts with an engine in a Swarm."""
    return [
        host
        for host, answers in surveys.items()
        if any(
            not isinstance(answer, Failed) and answer.membership.role != "none"
            for answer in answers
        )
    ]


def surveys_of(
    configuration: Configuration,
    hosts: list[Host],
    progress: Progress,
    inspections: Inspections | None = None,
) -> dict[str, list[Survey | Failed]]:
    """Every engine of every host, at most `run.concurrency` at once, and at most so many requests
    at once over all of them. An engine that is not through when its time is over (a name that does
    not resolve, say) is given up, and its thread left behind."""
    engines = [(host.name, number) for host in hosts for number, _ in enumerate(host.docker)]
    if not engines:
        return {}
    reading = _Reading(configuration, inspections)
    heard = _Heard(len(engines), progress)
    if _is_alone_and_here(configuration, engines):
        answer = reading.read(engines[0])
        heard.count(engines[0][0], answer)
        return {engines[0][0]: [answer]}
    pool = ThreadPoolExecutor(
        min(len(engines), configuration.run.concurrency), thread_name_prefix="host"
    )
    try:
        # What is through is announced: to wait for the first of all that are not would look at
        # every one of them each time.
        through: SimpleQueue[tuple[Engine, Future[Survey | Failed]]] = SimpleQueue()
        for engine in engines:
            future = pool.submit(reading.read, engine)
            future.add_done_callback(lambda done, engine=engine: through.put((engine, done)))  # type: ignore[misc]
        answers: dict[Engine, Survey | Failed] = {}
        while len(answers) < len(engines):
            fresh = _announced(through) or reading.overdue(
                engine for engine in engines if engine not in answers
            )
            for engine, answer in fresh.items():
                if engine not in answers:  # it may have been given up before
                    heard.count(engine[0], answer)
                    answers[engine] = answer
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
    surveys: dict[str, list[Survey | Failed]] = {name: [] for name, _ in engines}
    for engine in engines:
        surveys[engine[0]].append(answers[engine])
    return surveys


def _announced(
    through: SimpleQueue[tuple[Engine, Future[Survey | Failed]]],
) -> dict[Engine, Survey | Failed]:
    """The next engine that is through, with its answer; none if that takes too long."""
    try:
        engine, future = through.get(timeout=_LOOK_SECONDS)
    except Empty:
        return {}
    return {engine: future.result()}


def _is_alone_and_here(configuration: Configuration, engines: list[Engine]) -> bool:
    """Whether a single engine is asked, by a socket of this machine: each of its answers has what
    is left of the host's time, so that nothing has to watch over it."""
    if len(engines) != 1:
        return False
    host, number = engines[0]
    endpoint = configuration.hosts[host].docker[number]
    return isinstance(endpoint, str) and endpoint.startswith("unix://")


class _Reading:
    """Reads engines, several at once."""

    def __init__(self, configuration: Configuration, inspections: Inspections | None) -> None:
        from cloudsync.sources.docker.request_slots import Share

        run = configuration.run
        self._configuration, self._inspections = configuration, inspections
        self._until = time.monotonic() + run.deadline
        self._share = Share(threading.BoundedSemaphore(run.concurrency), run.concurrency)
        self._ends: dict[Engine, float] = {}

    def read(self, engine: Engine) -> Survey | Failed:
        """One engine of one host, within what is left of the run's time."""
        from cloudsync.sources.docker.engine import survey

        configuration = self._configuration
        host = configuration.hosts[engine[0]]
        with self._share as share:  # its time begins with its turn
            now = time.monotonic()
            left = min(configuration.run.host_timeout, self._until - now)
            if left <= 0:
                return _NO_TURN
            self._ends[engine] = now + left
            endpoint = host.docker[engine[1]]
            inspections = self._inspections
            known = None if inspections is None else inspections.of(host.name, str(endpoint))
            try:
                return survey(
                    endpoint, timeout=left, share=share, base=configuration.base, known=known
                )
            except Exception as error:  # noqa: BLE001 - one host must not end the run
                return _defect(host, error)

    def overdue(self, engines: Iterable[Engine]) -> dict[Engine, Survey | Failed]:
        """Those of the engines whose time is over, as failed."""
        now = time.monotonic() - _SLACK_SECONDS
        late: dict[Engine, Survey | Failed] = {}
        for engine in engines:
            if self._ends.get(engine, now) < now:
                late[engine] = Failed("the engine did not answer within host_timeout")
            elif engine not in self._ends and self._until < now:
                late[engine] = _NO_TURN
        return late


_NO_TURN = Failed("the run's deadline had passed before it was its turn", skipped=True)


def _managers(surveys: Mapping[str, list[Survey | Failed]]) -> dict[str, Cluster | str]:
    """By the node id of each worker that was read, what a manager of its Swarm knows: a worker does
    not know its services itself."""
    answers = [
        survey
        for several in surveys.values()
        for survey in several
        if not isinstance(survey, Failed)
    ]
    claims = [
        (answer.membership, answer.cluster) for answer in answers if answer.cluster is not None
    ]
    workers = [answer.membership for answer in answers if answer.membership.role == "worker"]
    if not workers:
        return {}
    from cloudsync.sources.docker.swarm import manager_of

    managers = {worker.node: manager_of(worker, claims) for worker in workers}
    return {node: manager for node, manager in managers.items() if manager is not None}


def _with_memory(
    host: Host, discovery: Discovery, memory: EngineMemory, *, down: bool
) -> Discovery:
    """The discovery, not complete if another engine answers than before, and with since when the
    host is unknown. `down`: an engine of the host did not answer at all."""
    known = memory.hosts.get(host.name, Remembered())
    if isinstance(discovery, Complete | Partial):
        reasons = tuple(
            f"another engine answers at {seen.engine} than at the last apply: if that is right,"
            " remove the host's line "
            f'"{seen.engine}" from {memory.kept_in}, and the next apply remembers the new one'
            for seen in discovery.engines
            if known.engines.get(seen.engine, seen.id) != seen.id
        )
        discovery = incomplete(discovery, reasons, temporary=False)
    if isinstance(discovery, Complete):
        return discovery
    more = ""
    since = known.unknown_since
    if since is not None:
        more = f"; unknown since {since:%Y-%m-%d %H:%M} UTC"
    if down and since is not None and datetime.now(UTC) - since >= _GONE_AFTER:
        more += f"; if the host is gone for good, say so: retired = true in [hosts.{host.name}]"
    if isinstance(discovery, Failed):
        return replace(discovery, reason=discovery.reason + more)
    return replace(discovery, reasons=(*discovery.reasons[:-1], discovery.reasons[-1] + more))


class _Heard:
    """Progress: who failed, at once; how many are read, once a second and at the end."""

    def __init__(self, total: int, progress: Progress) -> None:
        self._total, self._progress, self._done = total, progress, 0
        self._last = time.monotonic()
        self._engines = count(total, "engine")
        progress(f"reading {self._engines}")

    def count(self, host: str, result: Survey | Failed) -> None:
        """One engine more is through."""
        self._done += 1
        if isinstance(result, Failed):
            self._progress(f"{host}: {result.reason}")
        now = time.monotonic()
        if self._done == self._total or now - self._last >= _PROGRESS_SECONDS:
            self._last = now
            self._progress(f"{self._done} of {self._engines} read")
