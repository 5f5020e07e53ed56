"""What a source returns for one host: complete, partial or failed, never a bare list (law 1)."""

from __future__ import annotations

import dataclasses
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address
from typing import Literal

from cloudsync.rules import Rule, RuleSet
from cloudsync.rules.frozen import dataclass
from cloudsync.rules.networks import NetworkSet


@dataclasses.dataclass(frozen=True, slots=True, order=True)
class Origin:
    """Who needs a port: shown to people and written into rule descriptions (never container
    ids)."""

    host: str
    """Name in the configuration."""
    project: str | None = None
    """Compose project."""
    service: str | None = None
    """Compose or Swarm service."""
    container: str | None = None
    """Its name."""
    label: str | None = None
    """The label that asks, if one does."""
    file: str | None = None
    """The file that asks (Compose, or the configuration), as the user named it."""
    line: int | None = None
    """1-based line in `file`."""


@dataclass(frozen=True, slots=True)
class RequiredPort:
    """A port range of one host that somebody needs, as far as the source knows it, before policy.

    `first`..`last`: host ports, inclusive. `container_first`: the container port behind `first`
    (the ranges run in parallel); None where nothing is published (host network, static lists).
    `address`: what the port is bound to; None = every address of both families (static lists, host
    network). `sources`: what the labels ask for, already within the family of `address`. `asked`: a
    trusted label asked for it (`expose=true`, `ports=`): what `expose = "labelled"` wants to see.
    `firewalls`: names from `cloudsync.firewall`; None = every firewall of the host. `declared`: the
    user's own word (static list): warned about, never refused; closes without grace. `from_file`: a
    file says so (Compose, static list), nothing was observed at an engine: what a file does not ask
    for any more closes without grace. A port of a Compose file is `from_file` and not `declared`:
    it is judged like any published port.
    """

    protocol: str
    """As in `Rule.protocol`."""
    first: int
    last: int
    sources: NetworkSet
    origin: Origin
    """Who needs it."""
    address: IPv4Address | IPv6Address | None = None
    container_first: int | None = None
    asked: bool = False
    declared: bool = False
    from_file: bool = False
    firewalls: frozenset[str] | None = None
    description: str | None = None
    """The text for the vendor's rule, if labels or the file give one."""

    @property
    def observed(self) -> bool:
        """Whether an engine showed it, and no file declared it: what was observed may be missed for
        a moment only, and has grace."""
        return not (self.declared or self.from_file)


RefusalCode = Literal[
    "random-port",
    "not-published",
    "no-address",
    "loopback",
    "unsupported-network",
    "labelled-out",
    "denied",
    "sensitive",
    "private-address",
    "not-labelled",
    "unexpressible",
    "malformed",
    "unassigned",
    "service-unknown",
    "unread-network",
]


@dataclass(frozen=True, slots=True)
class UnopenedPort:
    """A required port that the source itself knows cannot be opened: a random host port, one that a
    label names and the container does not publish."""

    protocol: str
    """As in `Rule.protocol`."""
    ports: str
    """As in the plan document; `""` if the number is not known."""
    origin: Origin
    """Who asked for it."""
    code: RefusalCode
    """Why, for programs."""
    reason: str
    """Why, for people."""
    by_image: bool = False
    """A label of the image keeps it closed, not the user."""


@dataclass(frozen=True, slots=True)
class Malformed:
    """A container whose `cloudsync.*` labels, or the ports it asks for, cannot be understood:
    nothing of it opens, what is open of it stays."""

    origin: Origin
    """The container."""
    problem: str
    """What cannot be understood, with the label's name."""
    ports: tuple[RequiredPort, ...] | None
    """What it publishes; None if that is not known (host network): anything might be its own."""


@dataclass(frozen=True, slots=True)
class Uncertain:
    """A container whose labels name networks that could not be read: who may reach its ports is not
    known. What is open of it stays."""

    origin: Origin
    networks: tuple[str, ...]
    """Names in `[networks]`."""
    ports: tuple[RequiredPort, ...] | None
    """What it publishes; None if that is not known (host network)."""


UnpublishedNetwork = Literal["host", "container", "none", "macvlan", "ipvlan", "internal", "routed"]


@dataclass(frozen=True, slots=True)
class Unpublished:
    """A running container whose ports the engine cannot list, because of its network."""

    origin: Origin
    """The container."""
    network: UnpublishedNetwork
    """How it is connected."""
    reason: str
    """Why its ports are not known, and what to do about it."""
    exposed: tuple[str, ...] = ()
    """What it or its image exposes (`9100/tcp`): a hint at what it listens on, no more."""
    asks: bool = False
    """A label of its own asks in vain for its ports to be opened."""

    @property
    def listens_here(self) -> bool:
        """Whether it may listen at the machine's own addresses, on ports that are not known."""
        return self.network == "host"


@dataclass(frozen=True, slots=True)
class Routed:
    """A container that a reverse proxy of the same engine serves: it needs no port of its own.
    `by`: the proxy, for people. `published`: the ports that it publishes all the same, past the
    proxy (`8080/tcp`)."""

    origin: Origin
    """The container behind the proxy."""
    by: str
    published: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class EngineSeen:
    """An engine that answered: `engine` as the configuration names it, `id` as it calls itself."""

    engine: str
    id: str


@dataclass(frozen=True, slots=True)
class Complete:
    """Everything of the host was read."""

    required: tuple[RequiredPort, ...] = ()
    """Ports that the host needs."""
    unopened: tuple[UnopenedPort, ...] = ()
    """Ports that are asked for and cannot be opened."""
    malformed: tuple[Malformed, ...] = ()
    """Containers that cannot be understood."""
    remarks: tuple[str, ...] = ()
    """Sentences for people."""
    local: tuple[RequiredPort, ...] = ()
    """Ports on loopback addresses, never opened, for people who want to see everything."""
    routed: tuple[Routed, ...] = ()
    """Containers behind a reverse proxy."""
    engines: tuple[EngineSeen, ...] = ()
    """The engines that answered."""
    unpublished: tuple[Unpublished, ...] = ()
    """Containers whose ports no engine knows."""
    narrowed: tuple[RequiredPort, ...] = ()
    """What labels of images take away from `required`. It is never opened, and counts wherever
    something is decided over everything that is asked for: an image cannot make room for others."""
    uncertain: tuple[Uncertain, ...] = ()
    shut: tuple[RequiredPort, ...] = ()
    """Published ports that the container's own labels let nobody of their address family reach,
    though they may open them to the other one: closed on purpose, so without grace."""
    sequence: int = 0
    """Of the inventory it was read from; 0 if the engines themselves were asked."""


@dataclass(frozen=True, slots=True)
class Partial:
    """Some of the host was read; `reasons` say what was not. Openings of what was read go on,
    nothing closes."""

    reasons: tuple[str, ...]
    required: tuple[RequiredPort, ...] = ()
    """As in `Complete`, like the rest."""
    unopened: tuple[UnopenedPort, ...] = ()
    malformed: tuple[Malformed, ...] = ()
    remarks: tuple[str, ...] = ()
    temporary: bool = True
    """Trying again may help: exit 75 rather than 1."""
    local: tuple[RequiredPort, ...] = ()
    routed: tuple[Routed, ...] = ()
    engines: tuple[EngineSeen, ...] = ()
    unpublished: tuple[Unpublished, ...] = ()
    narrowed: tuple[RequiredPort, ...] = ()
    uncertain: tuple[Uncertain, ...] = ()
    shut: tuple[RequiredPort, ...] = ()
    sequence: int = 0
    """As of `Complete`."""


@dataclass(frozen=True, slots=True)
class Failed:
    """Nothing of the host was read. `temporary`: trying again may help (exit 75 rather than 1)."""

    reason: str
    """What failed, in words."""
    temporary: bool = True
    skipped: bool = False
    """Whether nobody tried: the run's time was over before it was the host's turn."""


Discovery = Complete | Partial | Failed


@dataclass(frozen=True, slots=True)
class LabelScope:
    """What labels of one host's containers may refer to. `lenient`: there is no configuration to
    refer to, so a network that is only a name is taken as anyone, and names of firewalls count for
    nothing."""

    networks: dict[str, NetworkSet]
    """`[networks]` by name."""
    firewalls: frozenset[str]
    """The names that `cloudsync.firewall` may give."""
    lenient: bool = False
    unread: frozenset[str] = frozenset()
    """Names of `networks` that could not be read now."""


def name_of(origin: Origin) -> str:
    """`shop/web`, else the container's name, else `config.toml:12`: who needs a port, for people
    and for rule descriptions."""
    if origin.project and origin.service:
        return f"{origin.project}/{origin.service}"
    if origin.container:
        return origin.container
    if origin.file:
        return f"{origin.file}:{origin.line}" if origin.line else origin.file
    return origin.host or "configuration"


def incomplete(
    discovery: Complete | Partial, reasons: tuple[str, ...], *, temporary: bool
) -> Complete | Partial:
    """The same discovery, for these further reasons not complete."""
    if not reasons:
        return discovery
    before: tuple[str, ...] = ()
    if isinstance(discovery, Partial):
        before, temporary = discovery.reasons, temporary and discovery.temporary
    return Partial(
        (*before, *reasons),
        discovery.required,
        discovery.unopened,
        discovery.malformed,
        discovery.remarks,
        temporary,
        discovery.local,
        discovery.routed,
        discovery.engines,
        discovery.unpublished,
        discovery.narrowed,
        discovery.uncertain,
        discovery.shut,
        discovery.sequence,
    )


def port_rules(port: RequiredPort) -> RuleSet:
    """The rules a required port asks for."""
    return _rules(port.protocol, port.first, port.last, port.sources, port.sources.spelled)


@lru_cache(maxsize=16384)
def _rules(
    protocol: str, first: int, last: int, sources: NetworkSet, _spelled: tuple[str, ...]
) -> RuleSet:
    """Asked for by every stage of a plan, and by the next plan of `watch`. `_spelled`: two source
    sets that are equal are not the same if they were spelled differently."""
    return RuleSet.of((Rule(protocol, first, last, sources),))
