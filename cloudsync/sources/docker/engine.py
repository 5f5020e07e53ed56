"""One container engine read: list plus inspect, in parallel, and what could not be read reported
(law 1).

`survey` is all that asks the engine; what its answers come to is decided in `discovery.py`, which
asks nothing. A 404 about something that exists (the image of a running container, a container that
is still listed) is a failed read, never an absence.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from cloudsync.config.engines import TlsEngine
from cloudsync.model.ports import Discovery, Failed, LabelScope
from cloudsync.provider.phrases import count
from cloudsync.sources.docker.answers import Unexpected, identifier, table
from cloudsync.sources.docker.containers import (
    ONE_OFF,
    REPLACES,
    Container,
    container_of,
    counts,
    may_count,
)
from cloudsync.sources.docker.endpoint import EndpointError, way_to
from cloudsync.sources.docker.inspected import Entry, OfEngine
from cloudsync.sources.docker.networks import Network, networks_of
from cloudsync.sources.docker.podman import (
    EngineKind,
    as_commanded,
    is_podman,
    kind_of,
    may_restart,
    with_own_state,
)
from cloudsync.sources.docker.request_slots import Share
from cloudsync.sources.docker.swarm import (
    DESIRED,
    SERVICE_LABEL,
    Cluster,
    Membership,
    cluster_of,
    membership_of,
)
from cloudsync.sources.labels import ours

if TYPE_CHECKING:
    from cloudsync.sources.docker.client import Engine

_NOT_FOUND = 404
_THERE = ("running", "paused", "restarting")


@dataclass(frozen=True, slots=True)
class Survey:
    """What one engine answered."""

    engine: str
    """As the configuration names it."""
    id: str
    """As it calls itself; "" if it does not."""
    containers: tuple[Container, ...]
    """Those that count: one that was removed meanwhile does not."""
    networks: Mapping[str, Network]
    """By id and by name."""
    images: Mapping[str, Mapping[str, str] | None]
    """The labels of the images that matter, by image; None if they could not be read."""
    membership: Membership
    """Of a Swarm."""
    cluster: Cluster | None
    """A manager's view of its Swarm."""
    reasons: tuple[str, ...]
    """What could not be read."""
    lasting: bool
    """Trying again does not help with all of it."""
    kind: EngineKind
    """Which engine it is."""


def read_engine(
    host: str,
    engine: str | TlsEngine,
    scope: LabelScope,
    *,
    timeout: float,
    concurrency: int,
    base: Path | None = None,
) -> Discovery:
    """What the containers of one engine need. Never raises for an engine: `Failed` or `Partial` say
    why. See `survey`."""
    from cloudsync.sources.docker.discovery import discovery_of

    with Share(threading.BoundedSemaphore(concurrency), concurrency) as share:
        answers = survey(engine, timeout=timeout, share=share, base=base)
    return answers if isinstance(answers, Failed) else discovery_of(host, answers, scope)


def survey(
    engine: str | TlsEngine,
    *,
    timeout: float,
    share: Share,
    base: Path | None = None,
    known: OfEngine | None = None,
) -> Survey | Failed:
    """Ask one engine everything. `timeout`: seconds for all of it. `share`: how many requests at
    once. `base`: the folder that the paths of TLS files are relative to. `known`: what an earlier
    read of this process need not ask again. Never raises for an engine."""
    from cloudsync.sources.docker.client import EngineError

    deadline = time.monotonic() + timeout
    try:
        with reached(engine, deadline, base or Path()) as client:
            return _asked(str(engine), client, share, known or OfEngine(lasts=False))
    except EndpointError as error:
        return Failed(str(error), temporary=False)
    except EngineError as error:
        return Failed(str(error), temporary=error.temporary)
    except Unexpected as error:
        return Failed(f"the engine answered with {error}")
    except MemoryError:
        return Failed("the engine's answers do not fit into memory", temporary=False)


@contextlib.contextmanager
def reached(engine: str | TlsEngine, deadline: float, base: Path) -> Iterator[Engine]:
    """The engine, however it is reached; what ssh reports explains what fails behind it."""
    from cloudsync.sources.docker.client import Engine, EngineError

    way = way_to(engine, os.environ, base)
    if way.ssh is None:
        client = Engine(way.url, deadline, way.tls)
        with contextlib.closing(client):
            yield client
        return
    from cloudsync.sources.docker.ssh_tunnel import Tunnel

    with Tunnel(way.ssh, deadline) as tunnel:
        try:
            client = Engine(tunnel.url, deadline)
            with contextlib.closing(client):
                yield client
        except EngineError as error:
            raise (tunnel.why() if error.status is None else None) or error from None


@dataclass(slots=True)
class _Lacks:
    """Collects what could not be read; several threads may add."""

    reasons: list[str] = field(default_factory=list)
    lasting: bool = False

    def add(self, reason: str, *, temporary: bool = True) -> None:
        self.reasons.append(reason)
        self.lasting = self.lasting or not temporary


def _asked(name: str, engine: Engine, share: Share, known: OfEngine) -> Survey:
    lacks = _Lacks()
    info = table(engine.get("/info"))
    kind = kind_of(engine.about, info)
    id_ = _id(info, podman=kind.podman)
    known.begin("" if kind.podman else id_)
    membership = membership_of(info)
    cluster = _cluster(engine, lacks) if membership.role == "manager" else None
    networks = _Networks(engine, kind, lacks)
    containers = _containers(engine, share, _Inspection(engine, kind, lacks, known))
    if cluster is not None and any(_is_fresh_task(c, cluster) for c in containers):
        cluster = _cluster(engine, lacks)
    networks.check(containers)
    images = _images(engine, share, containers, lacks, known)
    return Survey(
        name,
        id_,
        tuple(c for c in containers if counts(c, images.get(c.image, {}))),
        networks.known,
        images,
        membership,
        cluster,
        tuple(dict.fromkeys(sorted(lacks.reasons))),
        lacks.lasting,
        kind,
    )


def _is_fresh_task(container: Container, cluster: Cluster) -> bool:
    """Whether it says to be a task that the manager did not list: it may have been started since,
    in place of another one, whose port it has."""
    return container.labels.get(SERVICE_LABEL) in cluster.services and not cluster.lists(container)


def id_of(engine: Engine) -> str:
    """As the engine calls itself; "" if it does not. Raises `EngineError` and `Unexpected`."""
    return _id(table(engine.get("/info")), podman=is_podman(engine.about))


def _id(info: Mapping[str, object], *, podman: bool) -> str:
    """Docker keeps an id; Podman makes a new one up for every answer, so its host's name and
    storage stand for it."""
    keys = ("Name", "DockerRootDir") if podman else ("ID",)
    words = [word for key in keys if isinstance(word := info.get(key), str) and word]
    if len(words) != len(keys):
        return ""
    return " ".join(("podman", *words) if podman else words)[:200]


def _cluster(engine: Engine, lacks: _Lacks) -> Cluster | None:
    from cloudsync.sources.docker.client import EngineError

    filters = json.dumps({"desired-state": dict.fromkeys(DESIRED, True)})
    try:
        return cluster_of(
            engine.get("/services"), engine.get("/tasks", filters=filters), engine.get("/nodes")
        )
    except EngineError as error:
        reason = f"the services of the Swarm could not be read: {error}"
        lacks.add(reason, temporary=error.temporary)
    except Unexpected as error:
        lacks.add(f"the engine described the services of the Swarm with {error}")
    return None


def _listed(engine: Engine) -> dict[str, Entry]:
    """What the engine's list says of every container, by its id."""
    answer = engine.get("/containers/json", all="1")
    if not isinstance(answer, list):
        raise Unexpected("something else instead of a list of containers")
    return {identifier(entry.get("Id")): entry for entry in map(table, answer)}


def _containers(engine: Engine, share: Share, inspect: _Inspection) -> tuple[Container, ...]:
    """Every container that may count. One that is gone by the time it is inspected is a normal
    race, unless the engine still lists it as running afterwards. Whatever came meanwhile is looked
    at too: it may publish the ports of the one that is gone (`docker compose up` after a pull)."""
    listed = _listed(engine)
    inspected = share.each(inspect, list(listed.items()))
    if inspect.missing or inspect.without_own:
        now = _listed(engine)
        still = [id_ for id_ in inspect.missing if now.get(id_, {}).get("State") in _THERE]
        if still:
            inspect.lacks.add(f"{_run(still)} by the engine's list, but cannot be inspected (404)")
        hidden = [id_ for id_ in inspect.without_own if id_ in now]
        if hidden:
            inspect.lacks.add(
                f"Podman's own API (/libpod) answers 404 about {len(hidden)} of the containers it"
                " lists: does a socket proxy keep that API back?",
                temporary=False,
            )
        fresh = {id_: entry for id_, entry in now.items() if id_ not in listed}
        inspected += share.each(inspect, list(fresh.items()))
        listed |= fresh
    inspect.known.keep_containers(zip(listed.values(), inspected, strict=True))
    return tuple(container for container in inspected if container and may_count(container))


def _run(ids: Sequence[str]) -> str:
    return count(len(ids), "container runs", "containers run")


class _Inspection:
    """Inspects containers, several at once, unless what an earlier read learnt still holds.
    `missing`: the ids that the engine did not know. `without_own`: those that Docker's API of
    Podman knows, and its own does not."""

    def __init__(self, engine: Engine, kind: EngineKind, lacks: _Lacks, known: OfEngine) -> None:
        self._engine, self._kind, self.lacks, self.known = engine, kind, lacks, known
        self.missing: list[str] = []
        self.without_own: list[str] = []

    def __call__(self, listed: tuple[str, Entry]) -> Container | None:
        return self.known.container(*listed) or self._inspected(listed[0])

    def _inspected(self, id_: str) -> Container | None:
        from cloudsync.sources.docker.client import EngineError

        name, missing = id_[:12], self.missing
        try:
            answer = self._engine.get(f"/containers/{id_}/json")
            name, missing = _name(answer) or name, self.without_own
            if self._kind.podman and may_restart(answer):
                answer = with_own_state(answer, self._own_answer(id_))
            container = container_of(answer)
            return self._as_commanded(container)
        except EngineError as error:
            if error.status == _NOT_FOUND:
                missing.append(id_)
            else:
                reason = f"a container could not be inspected: {error}"
                self.lacks.add(reason, temporary=error.temporary)
        except Unexpected as error:
            reason = f"the engine described the container {name} with {error}"
            self.lacks.add(reason, temporary=False)
        return None

    def _as_commanded(self, container: Container) -> Container:
        """As Podman's own API knows it better."""
        if not (self._kind.podman and may_count(container) and container.bound):
            return container
        return as_commanded(container, self._own_answer(container.id))

    def _own_answer(self, id_: str) -> object:
        """Of Podman's own API."""
        return self._engine.get(f"/libpod/containers/{id_}/json", api="v4.0.0")


def _name(answer: object) -> str:
    name = answer.get("Name") if isinstance(answer, dict) else None
    return name.removeprefix("/")[:100] if isinstance(name, str) else ""


class _Networks:
    """The networks of an engine, `known` by id and by name."""

    def __init__(self, engine: Engine, kind: EngineKind, lacks: _Lacks) -> None:
        self._engine, self._lacks = engine, lacks
        self._carrying = kind.carrying
        self.known = self._read()

    def check(self, containers: Sequence[Container]) -> None:
        """A network that a container is on exists: one that is not known was made since they were
        listed, or could not be read."""
        if not any(self._unknown(container) for container in containers):
            return
        self.known |= self._read()
        for container in containers:
            if self._unknown(container):
                reason = f"a network of the container {container.name} is not listed by the engine"
                self._lacks.add(reason)

    def _unknown(self, container: Container) -> bool:
        """Podman (5.4 and up) names networks for these modes, and lists no such networks."""
        if container.network_mode in ("host", "none"):
            return False
        return any(name not in self.known for name in container.networks)

    def _read(self) -> dict[str, Network]:
        networks, problems = networks_of(self._engine.get("/networks"), self._carrying)
        for problem in problems:
            self._lacks.add(problem, temporary=False)
        return networks


def _images(
    engine: Engine,
    share: Share,
    containers: Sequence[Container],
    lacks: _Lacks,
    known: OfEngine,
) -> dict[str, Mapping[str, str] | None]:
    """The labels of the images of containers whose labels matter: the engine merges both without a
    trace."""
    wanted = sorted({c.image for c in containers if _matters(c.labels)})

    def labels(image: str) -> Mapping[str, str] | None:
        remembered = known.image(image)
        return _image_labels(engine, image, lacks) if remembered is None else remembered

    images = dict(zip(wanted, share.each(labels, wanted), strict=True))
    known.keep_images(images)
    return images


def _matters(labels: Mapping[str, str]) -> bool:
    return bool(ours(labels) or labels.get(ONE_OFF) == "True" or REPLACES in labels)


def _image_labels(engine: Engine, image: str, lacks: _Lacks) -> Mapping[str, str] | None:
    """The labels an image carries; None if it cannot be inspected, and then every label counts as
    the image's. A container's image exists, so 404 is a failed read too: engines forget the image
    of a container when its tag moves (moby 46866)."""
    from cloudsync.sources.docker.client import EngineError

    try:
        answer = table(engine.get(f"/images/{image}/json")) if image else {}
        labels = table(table(answer.get("Config") or {}).get("Labels") or {})
        return {str(key): str(value) for key, value in labels.items()}
    except EngineError as error:
        reason = f"the image of a container could not be inspected: {error}"
        lacks.add(reason, temporary=error.temporary)
    except Unexpected as error:
        lacks.add(f"the engine described an image with {error}", temporary=False)
    return None
