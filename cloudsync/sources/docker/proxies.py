"""Reverse proxies that read containers: where one publishes 80 and 443, the containers behind it
need no port of their own.

| proxy              | known by                         | what it routes to             |
|--------------------|----------------------------------|-------------------------------|
| Traefik            | its image's name, or             | labels `traefik.enable=true`, |
|                    | `--providers.docker` / `.swarm`  | `traefik.….routers`           |
| Caddy-docker-proxy | its image's name, or the command | labels `caddy`, `caddy.…`,    |
|                    | `docker-proxy`                   | `caddy_0.…`                   |
| nginx-proxy        | its image's name                 | the variable `VIRTUAL_HOST`   |

Names, labels and commands are other people's words: they make remarks here, and never open or close
anything.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Literal

from cloudsync.model.ports import Origin, RequiredPort, Routed
from cloudsync.rules.frozen import dataclass

Trait = Literal[
    "is-traefik", "is-caddy", "is-nginx-proxy", "by-traefik", "by-caddy", "by-nginx-proxy", "http3"
]
_NAMES: dict[str, str] = {"traefik": "Traefik", "caddy": "Caddy", "nginx-proxy": "nginx-proxy"}
_IMAGES: tuple[tuple[Trait, re.Pattern[str]], ...] = (
    ("is-traefik", re.compile(r"(^|/)traefik([:@]|$)")),
    ("is-caddy", re.compile(r"(^|/)caddy-docker-proxy([:@]|$)")),
    ("is-nginx-proxy", re.compile(r"(^|/)nginx-proxy([:@]|$)")),
)
_TRAEFIK_ROUTER = re.compile(r"traefik\.(http|tcp|udp)\.(routers|services)\..+", re.IGNORECASE)
_CADDY = re.compile(r"caddy(_\d+)?(\..+)?")
_FRONT = (80, 443)


@dataclass(frozen=True, slots=True)
class Served:
    """One container as seen from here: what it is, what it published, and the ports it needs."""

    origin: Origin
    """Which container."""
    traits: frozenset[Trait]
    """What else bears on its ports."""
    host_network: bool
    """Whether it has the machine's own network."""
    required: tuple[RequiredPort, ...]
    """What it needs by itself."""


def traits_of(config: Mapping[str, object], arguments: object) -> frozenset[Trait]:
    """What of a container's settings speaks of proxies. Of the environment only whether
    `VIRTUAL_HOST` is there is kept."""
    traits: set[Trait] = set()
    image = config.get("Image")
    traits |= {
        trait for trait, pattern in _IMAGES if isinstance(image, str) and pattern.search(image)
    }
    words = [
        word for word in (arguments if isinstance(arguments, list) else []) if isinstance(word, str)
    ]
    if any(word.lower().startswith(("--providers.docker", "--providers.swarm")) for word in words):
        traits.add("is-traefik")
    if any(
        word.lower().startswith("--entrypoints.") and ".http3" in word.lower() for word in words
    ):
        traits.add("http3")
    if "docker-proxy" in words:
        traits.add("is-caddy")
    environment = config.get("Env")
    if any(
        isinstance(variable, str) and variable.startswith("VIRTUAL_HOST=")
        for variable in (environment if isinstance(environment, list) else [])
    ):
        traits.add("by-nginx-proxy")
    return frozenset(traits | routed_by_labels(config.get("Labels")))


def routed_by_labels(labels: object) -> set[Trait]:
    """The proxies that these labels speak to."""
    traits: set[Trait] = set()
    known = (
        {str(key): str(value) for key, value in labels.items()} if isinstance(labels, dict) else {}
    )
    enable = next(
        (value.lower() for key, value in known.items() if key.lower() == "traefik.enable"), None
    )
    if enable in ("true", "1") or (
        enable is None and any(_TRAEFIK_ROUTER.fullmatch(key) for key in known)
    ):
        traits.add("by-traefik")
    if any(_CADDY.fullmatch(key) for key in known):
        traits.add("by-caddy")
    return traits


def routed(containers: Iterable[Served]) -> tuple[tuple[Routed, ...], tuple[str, ...]]:
    """The containers behind a proxy of the same engine that is open to others, and remarks for
    people."""
    seen = list(containers)
    behind: list[Routed] = []
    remarks: list[str] = []
    for kind, name in _NAMES.items():
        proxies = [
            container
            for container in seen
            if f"is-{kind}" in container.traits and _in_front(container)
        ]
        if not proxies:
            continue
        label = f"{name} ({_who(proxies[0].origin)})"
        backends = [
            container
            for container in seen
            if f"by-{kind}" in container.traits
            and container not in proxies
            and f"is-{kind}" not in container.traits
        ]
        backends_here = [
            Routed(backend.origin, label, _ports(backend.required)) for backend in backends
        ]
        behind += backends_here
        if quiet := sorted(
            {_who(backend.origin) for backend in backends_here if not backend.published}
        ):
            remarks.append(f"{label} serves {', '.join(quiet)}: they need no port of their own")
        remarks += [
            f"{_who(backend.origin)} publishes {', '.join(backend.published)} although {label}"
            " serves it: clients that know the port bypass the proxy; do not publish it, or"
            " publish it on 127.0.0.1"
            for backend in backends_here
            if backend.published
        ]
        remarks += [
            f"{label} speaks HTTP/3, but does not publish 443/udp: it stays closed"
            for proxy in proxies
            if "http3" in proxy.traits
            and not proxy.host_network
            and not any(_covers(port, "udp", 443) for port in proxy.required)
        ]
    return tuple(behind), tuple(remarks)


def _in_front(served: Served) -> bool:
    return served.host_network or any(
        _covers(port, "tcp", number) for port in served.required for number in _FRONT
    )


def _covers(port: RequiredPort, protocol: str, number: int) -> bool:
    return port.protocol == protocol and port.first <= number <= port.last


def _ports(required: Iterable[RequiredPort]) -> tuple[str, ...]:
    ports = sorted({(port.first, port.last, port.protocol) for port in required})
    return tuple(
        f"{first if first == last else f'{first}-{last}'}/{protocol}"
        for first, last, protocol in ports
    )


def _who(origin: Origin) -> str:
    return (
        f"{origin.project}/{origin.service}"
        if origin.project and origin.service
        else origin.container or origin.host
    )
