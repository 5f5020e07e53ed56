"""A container as its engine describes it, and whether it counts.

| state                               | ports are taken from                                   |
|-------------------------------------|--------------------------------------------------------|
| running, paused                     | what is bound now (`NetworkSettings.Ports`), where the |
|                                     | container asked for that port                          |
| restarting                          | what it asked for (`HostConfig.PortBindings`): a crash |
|                                     | loop shows no port most of the time                    |
| created, being recreated by Compose | the same                                               |
| anything else                       | nothing                                                |

Podman has two states more: `stopping` still holds its ports, and `stopped` with a restart policy is
a moment of a crash loop.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from cloudsync.model.ports import Origin
from cloudsync.rules.frozen import dataclass
from cloudsync.sources.docker.answers import (
    Address,
    Unexpected,
    address,
    asked_address,
    host_port,
    identifier,
    image_reference,
    items,
    published,
    table,
    table_at,
    text,
)
from cloudsync.sources.docker.proxies import Trait, traits_of

ONE_OFF, REPLACES = "com.docker.compose.oneoff", "com.docker.compose.replace"
_RUNS = ("running", "paused")
_NONE: Mapping[str, str] = MappingProxyType({})
RESTARTS = ("always", "unless-stopped", "on-failure")


@dataclass(frozen=True, slots=True)
class Binding:
    """One published port."""

    protocol: str
    """`tcp`, `udp`, `sctp`."""
    container_port: int
    """1 to 65535."""
    address: Address | None
    """None if it is left out."""
    host_port: str
    """As asked for (`8080`, `7000-7005`, `""` for one that the engine chooses), or what is bound
    now."""
    file: str | None = None
    line: int | None = None
    """Where a file asks for it."""


@dataclass(frozen=True, slots=True)
class Container:
    """What cloudsync keeps of `GET /containers/{id}/json`: nothing else of it, and never the
    environment."""

    id: str
    """In full."""
    name: str
    """Without the slash."""
    state: str
    """`running`, `restarting`, …"""
    image: str
    """As asked for."""
    labels: Mapping[str, str]
    """Of the image and of the container, which wins."""
    network_mode: str
    """`bridge`, `host`, `container:…`, …"""
    networks: tuple[str, ...]
    """Names of the networks it is attached to."""
    asked: tuple[Binding, ...]
    """What it was started with, bound or not."""
    bound: tuple[Binding, ...]
    """What the engine publishes now."""
    traits: frozenset[Trait] = frozenset()
    """What else bears on its ports."""
    problem: str | None = None
    """What of the ports it asks for cannot be understood. It matters only while they stand for what
    is bound."""
    exposed: tuple[str, ...] = ()
    """What it or its image exposes (`9100/tcp`): a hint at what it listens on."""

    @property
    def runs(self) -> bool:
        """Whether its ports are bound now, so that what is bound is what counts."""
        return self.state in _RUNS

    @property
    def joined(self) -> str | None:
        """The container whose network it shares, by id (in a file: by name)."""
        return (
            self.network_mode.removeprefix("container:")
            if self.network_mode.startswith("container:")
            else None
        )


def container_of(value: object) -> Container:
    """One `GET /containers/{id}/json`. Raises `Unexpected`."""
    answer = table(value)
    config, host = table(answer.get("Config")), table(answer.get("HostConfig"))
    settings = table_at(answer, "NetworkSettings")
    asked, problem = _asked(host.get("PortBindings"))
    labels = table_at(config, "Labels")
    return Container(
        id=identifier(answer.get("Id")),
        name=text(answer.get("Name")).removeprefix("/"),
        state=_state(
            text(table(answer.get("State")).get("Status")),
            table_at(host, "RestartPolicy").get("Name"),
        ),
        image=image_reference(answer["Image"]) if answer.get("Image") else "",
        labels={text(key): text(label) for key, label in labels.items()},
        network_mode=text(host.get("NetworkMode") or ""),
        networks=tuple(
            text(table(endpoint or {}).get("NetworkID") or name)
            for name, endpoint in table_at(settings, "Networks").items()
        ),
        asked=asked,
        bound=_bound(settings.get("Ports")),
        traits=traits_of(config, answer.get("Args")),
        problem=problem,
        exposed=_exposed(config.get("ExposedPorts")),
    )


def origin_of(host: str, container: Container) -> Origin:
    """Who it is, for people: Swarm tasks by their service, whose name lasts. These labels are for
    display only: anyone can set them."""
    labels = container.labels
    if service := labels.get("com.docker.swarm.service.name"):
        stack = labels.get("com.docker.stack.namespace")
        return Origin(host, stack, service.removeprefix(f"{stack}_") if stack else None, service)
    return Origin(
        host,
        labels.get("com.docker.compose.project"),
        labels.get("com.docker.compose.service"),
        container.name,
    )


def counts(container: Container, image: Mapping[str, str] | None = _NONE) -> bool:
    """Whether the container's ports are looked at in its state. `image`: the labels of its image,
    None if they are not known: an image that says its containers replace others is not believed."""
    labels = container.labels
    if labels.get(ONE_OFF) == "True" and not hidden_by_image(container, image):
        return False
    if container.state in (*_RUNS, "restarting"):
        return True
    recreated = container.state == "created" and REPLACES in labels
    return recreated and image is not None and image.get(REPLACES) != labels[REPLACES]


def hidden_by_image(container: Container, image: Mapping[str, str] | None) -> bool:
    """Whether its image calls it a one-off container: then its ports are listed, and not opened."""
    return container.labels.get(ONE_OFF) == "True" and (image or {}).get(ONE_OFF) == "True"


def may_count(container: Container) -> bool:
    """Whether its ports may be required, whatever its image's labels are."""
    return container.state in (*_RUNS, "restarting") or (
        container.state == "created" and REPLACES in container.labels
    )


def _state(status: str, restart: object) -> str:
    """Podman's words in Docker's."""
    if status == "stopping":
        return "running"
    return "restarting" if status == "stopped" and restart in RESTARTS else status


def _bound(value: object) -> tuple[Binding, ...]:
    """`{"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8080"}], "443/tcp": null}`; exposed ports
    have null."""
    bindings = []
    for name, entries in table(value or {}).items():
        if not entries:
            continue
        number, protocol = published(name)
        for entry in map(table, items(entries)):
            where = address(entry.get("HostIp"))
            bindings.append(Binding(protocol, number, where, host_port(entry.get("HostPort"))))
    return tuple(bindings)


def _asked(value: object) -> tuple[tuple[Binding, ...], str | None]:
    """The ports that the container asks for, and what of them cannot be understood: whoever starts
    a container may write anything there, and the engine keeps it. A port whose address makes no
    sense is among them, without one."""
    bindings, problem = [], None
    for name, entries in table(value or {}).items():
        for entry in map(table, items(entries or [])):
            try:
                number, protocol = published(name)
                fixed = host_port(entry.get("HostPort"))
            except Unexpected as error:
                problem = str(error)
                continue
            try:
                where = asked_address(entry.get("HostIp"))
            except Unexpected as error:
                problem, where = str(error), None
            bindings.append(Binding(protocol, number, where, fixed))
    return tuple(bindings), problem


def _exposed(value: object) -> tuple[str, ...]:
    ports = []
    for name in value if isinstance(value, dict) else ():
        try:
            number, protocol = published(text(name))
        except Unexpected:
            continue  # a hint only
        ports.append((number, protocol))
    return tuple(f"{number}/{protocol}" for number, protocol in sorted(set(ports)))
