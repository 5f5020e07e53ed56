"""One Docker engine read: list plus inspect, side by side, and what could not be read said (law 1)."""

from __future__ import annotations

import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

from cloudsync.sources.containers import Container, Needs, Network, Unexpected, container_of, counts, needs_of, network_of
from cloudsync.sources.discovery import Complete, Discovery, Failed, LabelScope, Partial
from cloudsync.sources.labels import ours


def read_engine(host: str, endpoint: str, scope: LabelScope, *, timeout: float, concurrency: int) -> Discovery:
    """What the containers of one engine need. `timeout`: seconds for all of it. Never raises for an engine: `Failed` or `Partial` say why.

    `endpoint`: `unix:///path` or `tcp://127.0.0.1:port`. Nothing of the environment (DOCKER_HOST, contexts) is looked at.
    """
    from cloudsync.sources.engine_client import Engine, EngineError

    deadline = time.monotonic() + timeout
    try:
        engine = Engine(endpoint, deadline, concurrency)
    except EngineError as error:
        return Failed(str(error), temporary=error.temporary)
    reading = _Reading(host, scope)
    try:
        reasons = _swarm(engine.get("/info"))
        networks = _networks(engine.get("/networks"))
        listed = _ids(engine.get("/containers/json", all="1"))
        with ThreadPoolExecutor(max(1, concurrency), thread_name_prefix="inspect") as pool:
            containers = [one for one in pool.map(lambda id_: _inspect(engine, id_, reading), listed) if one is not None]
            containers = [container for container in containers if counts(container)]
            images = sorted({container.image for container in containers if ours(container.labels)})
            labels = dict(zip(images, pool.map(lambda image: _image_labels(engine, image, reading), images), strict=True))
    except EngineError as error:
        return Failed(str(error), temporary=error.temporary)
    except Unexpected as error:
        return Failed(f"the engine answered with {error}")
    finally:
        engine.close()
    needs = [reading.needs(container, networks, labels.get(container.image)) for container in containers]
    return reading.discovery(needs, reasons)


class _Reading:
    """Collects what could not be read; `list.append` is safe from several threads."""

    def __init__(self, host: str, scope: LabelScope) -> None:
        self.host, self.scope = host, scope
        self.reasons: list[str] = []
        self.lasting = False

    def lacks(self, reason: str, *, temporary: bool = True) -> None:
        self.reasons.append(reason)
        self.lasting = self.lasting or not temporary

    def needs(self, container: Container, networks: Mapping[str, Network], image: Mapping[str, str] | None) -> Needs:
        return needs_of(self.host, container, networks, image, self.scope)

    def discovery(self, needs: list[Needs], more: tuple[str, ...]) -> Discovery:
        required = tuple(port for one in needs for port in one.required)
        unopened = tuple(port for one in needs for port in one.unopened)
        malformed = tuple(bad for one in needs for bad in one.malformed)
        remarks = tuple(remark for one in needs for remark in one.remarks)
        reasons = tuple(dict.fromkeys((*more, *sorted(self.reasons))))
        if not reasons:
            return Complete(required, unopened, malformed, remarks)
        temporary = not self.lasting and not more
        return Partial(reasons, required, unopened, malformed, remarks, temporary=temporary)


def _swarm(info: object) -> tuple[str, ...]:
    """Ports of Swarm services stand in no container: a host that takes part in a Swarm is not known completely."""
    swarm = info.get("Swarm") if isinstance(info, dict) else None
    state = swarm.get("LocalNodeState") if isinstance(swarm, dict) else None
    return ("the engine takes part in a Swarm, whose services are not read yet",) if state not in (None, "", "inactive") else ()


def _networks(answer: object) -> dict[str, Network]:
    """By id and by name."""
    if not isinstance(answer, list):
        raise Unexpected("a list of networks that is no list")
    found = [network_of(one) for one in answer]
    return {network.name: network for network in found} | {network.id: network for network in found}


def _ids(answer: object) -> list[str]:
    if not isinstance(answer, list):
        raise Unexpected("a list of containers that is no list")
    ids = [one.get("Id") if isinstance(one, dict) else None for one in answer]
    found = [id_ for id_ in ids if isinstance(id_, str) and id_.isalnum()]
    if len(found) != len(ids):
        raise Unexpected("a container without an id")
    return found


def _inspect(engine: object, container: str, reading: _Reading) -> Container | None:
    """One container; None where it is gone by now (a normal race) or could not be read (then the host is partial)."""
    from cloudsync.sources.engine_client import Engine, EngineError

    assert isinstance(engine, Engine)  # noqa: S101 - tells the type without importing the client at the top
    try:
        return container_of(engine.get(f"/containers/{container}/json"))
    except EngineError as error:
        if error.status != 404:
            reading.lacks(f"a container could not be inspected: {error}", temporary=error.temporary)
    except Unexpected as error:
        reading.lacks(f"the engine described a container with {error}")
    return None


def _image_labels(engine: object, image: str, reading: _Reading) -> Mapping[str, str] | None:
    """The labels an image carries; None where it cannot be inspected, and then every label counts as the image's."""
    from cloudsync.sources.engine_client import Engine, EngineError

    assert isinstance(engine, Engine)  # noqa: S101 - as above
    try:
        answer = engine.get(f"/images/{image}/json")
        config = answer.get("Config") if isinstance(answer, dict) else None
        labels = (config or {}).get("Labels") if isinstance(config or {}, dict) else None
        return {str(key): str(value) for key, value in labels.items()} if isinstance(labels, dict) else {}
    except EngineError as error:
        if error.status != 404:
            reading.lacks(f"an image could not be inspected: {error}", temporary=error.temporary)
        return None
