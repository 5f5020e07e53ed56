"""The networks of an engine: whether a container on one can be reached at the machine's addresses,
and at which of them if it names none.

| network                                  | a port published without an address is bound to            |
|------------------------------------------|------------------------------------------------------------|
| bridge                                   | 0.0.0.0 and ::                                             |
| bridge with `host_binding_ipv4`          | that address only; 0.0.0.0 means both wildcards            |
| bridge without IPv4 (`EnableIPv4: false`) | ::                                                        |
| bridge that routes a family (`gateway_mode_ipv4=routed`) | nothing in that family: the container's own address is reached |
| macvlan, ipvlan, none, host, internal    | nothing                                                    |

The daemon's `"ip"` is the `host_binding_ipv4` of the default bridge, and of no other network
(moby `libnetwork/drivers/bridge/port_mapping.go`; seen on 20.10 and 26.1).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from cloudsync.rules.networks import NOWHERE, NetworkSet
from cloudsync.sources.docker.answers import (
    Address,
    Unexpected,
    address,
    identifier,
    items,
    table,
    table_at,
    text,
)

ANY_IPV4, ANY_IPV6 = IPv4Address(0), IPv6Address(0)
_BOTH: frozenset[int] = frozenset((4, 6))
_NO_PUBLISHING = ("macvlan", "ipvlan", "null", "host")
_OPTION = "com.docker.network.bridge."


@dataclass(frozen=True, slots=True)
class Network:
    """A network as far as published ports depend on it."""

    id: str
    name: str
    publishes: bool
    """Ports of a container on it can be reached at the machine's addresses."""
    inner: NetworkSet = NOWHERE
    """The addresses of a bridge. The machine's own one among them, the gateway, is reached by
    containers only."""
    only4: bool = False
    """Nothing carries IPv6 into it: Podman as root has no proxy for the family a network lacks."""
    kind: str = ""
    """Why it does not publish: its driver, `internal` or `routed`."""
    host_binding: Address | None = None
    """What a port is bound to that names no address; None is every address."""
    families: frozenset[int] = _BOTH
    """The address families that the network has."""
    routed: frozenset[int] = frozenset()
    """The families in which containers are reached at their own addresses, by routing."""

    def left_out(self) -> frozenset[Address]:
        """The addresses that a port without an address is bound to, as the engine does it."""
        default = self.host_binding or ANY_IPV4
        if default != ANY_IPV4:
            return frozenset({default} if default.version in self.bound else ())
        return frozenset(
            wildcard for wildcard in (ANY_IPV4, ANY_IPV6) if wildcard.version in self.bound
        )

    @property
    def bound(self) -> frozenset[int]:
        """The families in which ports are bound at the machine's addresses. A network without IPv6
        has them too: the engine's proxy carries it."""
        return _BOTH - self.routed - (frozenset() if 4 in self.families else {4})


def network_of(value: object, *, podman: bool = False) -> Network:
    """One entry of `GET /networks`. `podman`: of a Podman that runs as root. Raises
    `Unexpected`."""
    entry = table(value)
    options = table_at(entry, "Options")
    driver = str(entry.get("Driver"))
    routed = frozenset(
        number for number in (4, 6) if options.get(f"{_OPTION}gateway_mode_ipv{number}") == "routed"
    )
    kind = ""
    if driver in _NO_PUBLISHING:
        kind = "none" if driver == "null" else driver
    elif entry.get("Internal"):
        kind = "internal"
    elif routed == _BOTH:
        kind = "routed"
    inner = _subnets(entry)
    return Network(
        id=identifier(entry.get("Id")),
        name=text(entry.get("Name")),
        publishes=not kind,
        inner=inner,
        only4=podman and bool(inner.family(4)) and not inner.family(6),
        kind=kind,
        host_binding=address(options.get(f"{_OPTION}host_binding_ipv4")),
        families=_BOTH if entry.get("EnableIPv4") is not False else frozenset((6,)),
        routed=routed,
    )


def networks_of(
    answer: object, *, podman: bool = False
) -> tuple[dict[str, Network], tuple[str, ...]]:
    """`GET /networks` by id and by name, and what is wrong with those that cannot be understood.
    Podman's default network is called `bridge` there and `podman` by its containers. Raises
    `Unexpected` if the answer is not a list."""
    networks, problems = [], []
    for entry in items(answer):
        try:
            networks.append(network_of(entry, podman=podman))
        except Unexpected as error:
            problems.append(f"the engine described a network with {error}")
    known = {network.name: network for network in networks}
    known |= {network.id: network for network in networks}
    if podman and "bridge" in known:
        known.setdefault("podman", known["bridge"])
    return known, tuple(dict.fromkeys(problems))


def of_names(names: Iterable[str], networks: Mapping[str, Network]) -> tuple[Network | None, ...]:
    """The networks of a container; None for one that the engine did not list."""
    return tuple(networks.get(name) for name in names)


def _subnets(entry: Mapping[str, object]) -> NetworkSet:
    if entry.get("Driver") != "bridge":
        return NOWHERE
    configured = table_at(entry, "IPAM").get("Config") or []
    subnets = [table(item).get("Subnet") for item in items(configured)]
    try:
        return NetworkSet.of(subnet for subnet in subnets if isinstance(subnet, str) and subnet)
    except ValueError:
        raise Unexpected("a subnet that is not a network") from None
