"""One container engine read: list plus inspect, side by side, and what could not be read said (law
1).

`survey` is all that asks the engine; `discovery_of` decides what its answers come to, and asks
nothing.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cloudsync.config.engines import TlsEngine
from cloudsync.model.ports import (
    Complete,
    Discovery,
    EngineSeen,
    Failed,
    LabelScope,
    Partial,
    UnopenedPort,
)
from cloudsync.sources.docker.containers import (
    Container,
    Needs,
    Network,
    Unexpected,
    container_of,
    counts,
    needs_of,
    networks_of,
    origin_of,
)
from cloudsync.sources.docker.endpoint import EndpointError, way_to
from cloudsync.sources.docker.podman import is_podman, is_rootless, without_picked
from cloudsync.sources.docker.proxies import Served, routed
from cloudsync.sources.docker.request_slots import Share
from cloudsync.sources.docker.swarm import (
    DESIRED,
    SERVICE_LABEL,
    Cluster,
    Membership,
    cluster_of,
    containers_of,
    membership_of,
    peers_remark,
    with_service_labels,
)
from cloudsync.sources.labels import ours

if TYPE_CHECKING:
    from cloudsync.sources.docker.client import Engine


@dataclass(frozen=True, slots=True)
class Survey:
    """What one engine answered. `engine`: as the configuration names it; `id`: as it calls itself.
    `images`: the labels of the images that matter, by image. `cluster`: a manager's view of its
    Swarm. `reasons`: what could not be read; `lasting`: trying again mends not all of it."""

    engine: str
    id: str
    containers: tuple[Container, ...]
    networks: Mapping[str, Network]
    images: Mapping[str, Mapping[str, str] | None]
    membership: Membership
    cluster: Cluster | None
    reasons: tuple[str, ...]
    lasting: bool


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
    with Share(threading.BoundedSemaphore(concurrency), concurrency) as share:
        found = survey(engine, timeout=timeout, share=share, base=base)
    return found if isinstance(found, Failed) else discovery_of(host, found, scope)


def survey(
    engine: str | TlsEngine, *, timeout: float, share: Share, base: Path | None = None
) -> Survey | Failed:
    """Ask one engine everything. `timeout`: seconds for all of it. `share`: how many requests at
    once. `base`: the folder that the paths of TLS files are relative to. Never raises for an
    engine."""
    from cloudsync.sources.docker.client import EngineError

    deadline = time.monotonic() + timeout
    try:
        with reached(engine, deadline, base or Path()) as client:
            return _asked(str(engine), client, share)
    except EndpointError as error:
        return Failed(str(error), temporary=False)
    except EngineError as error:
        return Failed(str(error), temporary=error.temporary)
    except Unexpected as error:
        return Failed(f"the engine answered with {error}")


@contextlib.contextmanager
def reached(engine: str | TlsEngine, deadline: float, base: Path) -> Iterator[Engine]:
    """The engine, however it is reached; what ssh says explains what fails behind it."""
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


def _asked(name: str, engine: Engine, share: Share) -> Survey:
    podman = is_podman(engine.about)
    lacks = _Lacks()
    info = engine.get("/info")
    membership = membership_of(info)
    cluster = _cluster(engine, lacks) if membership.role == "manager" else None
    networks = networks_of(engine.get("/networks"), podman=podman and not is_rootless(info))
    listed = _ids(engine.get("/containers/json", all="1"))
    inspected = share.each(lambda id_: _inspect(engine, id_, lacks, podman=podman), listed)
    containers = tuple(
        container for container in inspected if container is not None and counts(container)
    )
    images = sorted({container.image for container in containers if ours(container.labels)})
    labels = dict(
        zip(
            images,
            share.each(lambda image: _image_labels(engine, image, lacks), images),
            strict=True,
        )
    )
    reasons = tuple(dict.fromkeys(sorted(lacks.reasons)))
    return Survey(
        name,
        _id(info, podman=podman),
        containers,
        networks,
        labels,
        membership,
        cluster,
        reasons,
        lacks.lasting,
    )


def discovery_of(
    host: str, found: Survey, scope: LabelScope, cluster: Cluster | None = None
) -> Discovery:
    """What the engine's answers come to. `cluster`: what a manager of the same Swarm said, where
    this engine cannot."""
    cluster = found.cluster or cluster
    reasons, lasting = list(found.reasons), found.lasting
    if found.membership.role == "unsettled":
        reasons.append(
            f"the engine's part in its Swarm is not settled ({found.membership.state}): its services are not known"
        )
    elif found.membership.role == "worker" and cluster is None:
        reasons.append(
            "the engine is a Swarm worker: only a manager knows the ports of services; name a manager of this Swarm as a host too"
        )
        lasting = True
    needs = [_needs(host, found, container, scope, cluster) for container in found.containers]
    served = [_served(host, c, one) for c, one in zip(found.containers, needs, strict=True)]
    if cluster is not None:
        there = [container.id for container in found.containers]
        services = containers_of(cluster, found.membership.node, there)
        needs += [needs_of(host, service, {}, {}, scope) for service in services]
        served += [
            _served(host, c, one) for c, one in zip(services, needs[len(there) :], strict=True)
        ]
    behind, about_proxies = routed(served)
    remarks = [remark for one in needs for remark in one.remarks]
    peers = None if cluster is None else peers_remark(cluster, found.membership.node)
    remarks += [peers] if peers is not None else []
    parts = (
        tuple(dict.fromkeys(port for one in needs for port in one.required)),
        tuple(dict.fromkeys(port for one in needs for port in one.unopened)),
        tuple(bad for one in needs for bad in one.malformed),
        (*dict.fromkeys(remarks), *about_proxies),
    )
    local = tuple(port for one in needs for port in one.local)
    seen = (EngineSeen(found.engine, found.id),) if found.id else ()
    if not reasons:
        return Complete(*parts, local, behind, seen)
    return Partial(
        tuple(reasons), *parts, temporary=not lasting, local=local, routed=behind, engines=seen
    )


def _needs(
    host: str, found: Survey, container: Container, scope: LabelScope, cluster: Cluster | None
) -> Needs:
    image = found.images.get(container.image)
    if SERVICE_LABEL not in container.labels or found.membership.role == "none":
        return needs_of(host, container, found.networks, image, scope)
    if cluster is not None:
        labelled, image = with_service_labels(container, cluster, image)
        return needs_of(host, labelled, found.networks, image, scope)
    needs = needs_of(host, container, found.networks, image, scope)
    why = "its service may say otherwise by its labels, which only a manager of the Swarm knows"
    unknown = tuple(
        UnopenedPort(
            p.protocol,
            str(p.first) if p.first == p.last else f"{p.first}-{p.last}",
            p.origin,
            "service-unknown",
            why,
        )
        for p in needs.required
    )
    return Needs(
        unopened=(*needs.unopened, *unknown),
        malformed=needs.malformed,
        remarks=needs.remarks,
        local=needs.local,
    )


def _served(host: str, container: Container, needs: Needs) -> Served:
    return Served(
        origin_of(host, container),
        container.traits,
        container.network_mode == "host",
        needs.required,
    )


class _Lacks:
    """Collects what could not be read; `list.append` is safe from several threads."""

    def __init__(self) -> None:
        self.reasons: list[str] = []
        self.lasting = False

    def add(self, reason: str, *, temporary: bool = True) -> None:
        self.reasons.append(reason)
        self.lasting = self.lasting or not temporary


def _id(info: object, *, podman: bool) -> str:
    """Docker keeps an id; Podman makes a new one up for every answer, so its host's name and
    storage stand for it."""
    if not isinstance(info, dict):
        raise Unexpected("a description of itself that is none")
    parts = ("Name", "DockerRootDir") if podman else ("ID",)
    words = [word for part in parts if isinstance(word := info.get(part), str) and word]
    return (
        " ".join(("podman", *words) if podman else words)[:200] if len(words) == len(parts) else ""
    )


def _cluster(engine: Engine, lacks: _Lacks) -> Cluster | None:
    from cloudsync.sources.docker.client import EngineError

    try:
        return cluster_of(
            engine.get("/services"),
            engine.get(
                "/tasks", filters=json.dumps({"desired-state": dict.fromkeys(DESIRED, True)})
            ),
            engine.get("/nodes"),
        )
    except EngineError as error:
        lacks.add(
            f"the services of the Swarm could not be read: {error}", temporary=error.temporary
        )
    except Unexpected as error:
        lacks.add(f"the engine described the services of the Swarm with {error}")
    return None


def _ids(answer: object) -> list[str]:
    if not isinstance(answer, list):
        raise Unexpected("a list of containers that is no list")
    ids = [one.get("Id") if isinstance(one, dict) else None for one in answer]
    found = [id_ for id_ in ids if isinstance(id_, str) and id_.isalnum()]
    if len(found) != len(ids):
        raise Unexpected("a container without an id")
    return found


def _inspect(engine: Engine, container: str, lacks: _Lacks, *, podman: bool) -> Container | None:
    """One container; None where it is gone by now (a normal race) or could not be read (then the
    host is partial)."""
    from cloudsync.sources.docker.client import EngineError

    try:
        found = container_of(engine.get(f"/containers/{container}/json"), podman=podman)
        return _without_picked(engine, found) if podman and counts(found) and found.bound else found
    except EngineError as error:
        if error.status != 404:
            lacks.add(f"a container could not be inspected: {error}", temporary=error.temporary)
    except Unexpected as error:
        lacks.add(f"the engine described a container with {error}")
    return None


def _without_picked(engine: Engine, container: Container) -> Container:
    """As Podman's own API knows it better; where that cannot be had, as it is."""
    from cloudsync.sources.docker.client import EngineError

    try:
        return without_picked(
            container, engine.get(f"/libpod/containers/{container.id}/json", api="v4.0.0")
        )
    except EngineError:
        return container


def _image_labels(engine: Engine, image: str, lacks: _Lacks) -> Mapping[str, str] | None:
    """The labels an image carries; None where it cannot be inspected, and then every label counts
    as the image's."""
    from cloudsync.sources.docker.client import EngineError

    try:
        answer = engine.get(f"/images/{image}/json")
        config = answer.get("Config") if isinstance(answer, dict) else None
        labels = (config or {}).get("Labels") if isinstance(config or {}, dict) else None
        return (
            {str(key): str(value) for key, value in labels.items()}
            if isinstance(labels, dict)
            else {}
        )
    except EngineError as error:
        if error.status != 404:
            lacks.add(f"an image could not be inspected: {error}", temporary=error.temporary)
        return None
