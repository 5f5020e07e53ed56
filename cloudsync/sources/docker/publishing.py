"""Which ports a container publishes at the machine's addresses, and why the others are not opened.
Pure.

| network mode                            | ports                                               |
|-----------------------------------------|-----------------------------------------------------|
| host                                    | only what a trusted label `cloudsync.ports` lists   |
| container:…                             | none of its own: they belong to the other container |
| none; internal, macvlan, ipvlan, routed | none                                                |
| networks only                           |                                                     |

What is bound now is the engine's own word. What a container asks for stands for it only while
nothing is bound (a crash loop, a file), and an address that is left out then means what the engine
would make of it on the container's networks.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import cached_property

from cloudsync.model.ports import Origin, UnopenedPort, Unpublished, UnpublishedNetwork
from cloudsync.rules.address_classes import classify
from cloudsync.rules.frozen import dataclass
from cloudsync.rules.networks import NetworkSet
from cloudsync.sources.docker.answers import Address
from cloudsync.sources.docker.containers import Binding, Container
from cloudsync.sources.docker.networks import ANY_IPV4, ANY_IPV6, Network, of_names


@dataclass(frozen=True, slots=True)
class Published:
    """What a container publishes. `fixed`: on host ports that it asked for, loopback addresses
    among them. `unopened`: the rest, with why."""

    fixed: tuple[Binding, ...] = ()
    unopened: tuple[UnopenedPort, ...] = ()


def publishes(container: Container, networks: Mapping[str, Network]) -> bool:
    """Whether its ports can be reached at the machine's addresses at all."""
    if container.network_mode in ("host", "none") or container.joined is not None:
        return False
    attached = of_names(container.networks, networks)
    return not attached or any(network is None or network.publishes for network in attached)


def published(container: Container, networks: Mapping[str, Network], origin: Origin) -> Published:
    """The ports of one container. `networks`: those of its engine, by id and by name."""
    if not publishes(container, networks):
        return Published()
    view = _View(container, networks, origin)
    fixed: list[Binding] = []
    unopened: list[UnopenedPort] = []
    for binding in view.settled(container.bound if container.runs else container.asked):
        reason = view.unopened(binding)
        if reason is None:
            fixed.append(binding)
        elif reason.code != "loopback":
            unopened.append(reason)
    return Published(tuple(fixed), tuple(dict.fromkeys(unopened)))


def unpublished(
    container: Container, networks: Mapping[str, Network], origin: Origin
) -> Unpublished | None:
    """Why the engine does not know what this container listens on; None if it publishes ports the
    usual way, or wants nothing from outside."""
    if container.network_mode == "host":
        return Unpublished(origin, "host", _ON_HOST, container.exposed)
    if container.joined is not None:
        return Unpublished(origin, "container", _JOINED)
    kinds = {network.kind for network in of_names(container.networks, networks) if network}
    if container.network_mode == "none" or kinds == {"none"}:
        return Unpublished(origin, "none", "it has no network: nothing reaches it")
    if publishes(container, networks):
        return None
    for kind in _OWN_ADDRESS:
        if kind in kinds:
            reason = _LISTENS_ELSEWHERE.format(kind=kind)
            return Unpublished(origin, kind, reason, container.exposed)
    if "routed" in kinds:
        return Unpublished(origin, "routed", _ROUTED, container.exposed)
    if container.asked:
        reason = "its networks are internal: the ports it publishes are bound nowhere"
        return Unpublished(origin, "internal", reason)
    return None


_ON_HOST = "it uses the machine's own network: what it listens on is not known"
_JOINED = "it shares the network of another container, whose ports are listed there"
_OWN_ADDRESS: tuple[UnpublishedNetwork, ...] = ("macvlan", "ipvlan")
_LISTENS_ELSEWHERE = (
    "it has an address of its own on a {kind} network: what it listens on is not known, and it is "
    "not reached at this machine's addresses"
)
_ROUTED = (
    "its network is routed: it is reached at its own address, on every port the engine lets through"
)


class _View:
    """One container's bindings against its networks."""

    def __init__(
        self, container: Container, networks: Mapping[str, Network], origin: Origin
    ) -> None:
        self._container, self._origin = container, origin
        attached = of_names(container.networks, networks)
        self._publishing = [network for network in attached if network and network.publishes]
        self._unknown = None in attached
        reached = [network.carried if network else frozenset({4, 6}) for network in attached]
        self._carried = frozenset[int]().union(*reached) if reached else frozenset({4, 6})
        self._inner = NetworkSet.union(network.inner for network in set(networks.values()))
        self._inner_addresses: dict[Address, bool] = {}
        self._asked: dict[tuple[str, int], set[str]] = {}
        for binding in container.asked:
            key = binding.protocol, binding.container_port
            self._asked.setdefault(key, set()).add(binding.host_port)

    def settled(self, bindings: Iterable[Binding]) -> Iterable[Binding]:
        """Each at the address that the engine binds: a port that names none (which Podman leaves
        out of what is bound, too) is bound to what all of the container's networks agree on, since
        the engine takes one of them."""
        for binding in bindings:
            if binding.address is not None or not self._publishing:
                yield binding
            else:
                yield from (replace(binding, address=where) for where in self._left_out)

    @cached_property
    def _left_out(self) -> tuple[Address, ...]:
        """What stands for an address left out: the families to be reported as routed, and then what
        the networks that publish agree on."""
        agreed = frozenset.intersection(*(network.left_out() for network in self._publishing))
        routed = (wildcard for wildcard in (ANY_IPV4, ANY_IPV6) if self._routes(wildcard))
        return (*routed, *sorted(agreed, key=int))

    def unopened(self, binding: Binding) -> UnopenedPort | None:
        """Why the port is not to be opened; None for one on a fixed host port. The code `loopback`:
        nothing to report."""
        where = binding.address
        if self._unknown and not self._container.runs:
            reason = "one of its networks is not known, and so what it would be bound to"
            return self._refused(binding, binding.host_port, "unsupported-network", reason)
        if where is not None and self._routes(where):
            return self._routed(binding, where)
        if where is not None and self._is_inner(where):
            reason = f"bound to {where}, the gateway of a Docker network: only containers reach it"
            return self._refused(binding, binding.host_port, "private-address", reason)
        if where is not None and where.version not in self._carried and not is_loopback(where):
            reason = (
                f"bound to {where}, but its network has no IPv{where.version}: "
                "nothing answers there"
            )
            return self._refused(binding, binding.host_port, "no-address", reason)
        if self._is_fixed(binding):
            return None
        if where is not None and is_loopback(where):
            return self._refused(binding, binding.host_port, "loopback", "")
        among = f" among {binding.host_port}" if "-" in binding.host_port else ""
        reason = (
            f"the engine picks the host port of {binding.container_port}/{binding.protocol}"
            f"{among}: it changes; publish it on a fixed port"
        )
        shown = binding.host_port if self._container.runs else ""
        return self._refused(binding, shown, "random-port", reason)

    def _is_fixed(self, binding: Binding) -> bool:
        asked = self._asked.get((binding.protocol, binding.container_port), ())
        return (
            binding.host_port in asked
            and binding.host_port.isdecimal()
            and int(binding.host_port) > 0
        )

    def _is_inner(self, where: Address) -> bool:
        """Whether it is an engine's own address on one of its networks. A container's thousands of
        ports are bound to a few addresses."""
        if where not in self._inner_addresses:
            self._inner_addresses[where] = self._inner.covers(NetworkSet.of((str(where),)))
        return self._inner_addresses[where]

    def _routes(self, where: Address) -> bool:
        """Whether this family is routed on all of the container's networks."""
        return bool(self._publishing) and all(
            where.version in network.routed for network in self._publishing
        )

    def _routed(self, binding: Binding, where: Address) -> UnopenedPort:
        number = str(binding.container_port)
        reason = (
            f"its network routes IPv{where.version}: it is reached at the container's own address, "
            f"port {number}, and a published host port changes nothing in that family"
        )
        return self._refused(binding, number, "unsupported-network", reason)

    def _refused(self, binding: Binding, ports: str, code: str, reason: str) -> UnopenedPort:
        return UnopenedPort(binding.protocol, ports, at(self._origin, binding), code, reason)  # type: ignore[arg-type]  # one of RefusalCode, above


def is_loopback(where: Address) -> bool:
    """Whether only this machine reaches the address."""
    return classify(where) == "loopback"


def at(origin: Origin, binding: Binding) -> Origin:
    """The origin of one port: if a file asks for it, that line."""
    return origin if binding.file is None else replace(origin, file=binding.file, line=binding.line)
