"""The networks of an engine: whether a container on one can be reached at the machine's addresses,
and at which of them if it names none.

| network                                   | a port published without an address is bound to |
|-------------------------------------------|-------------------------------------------------|
| bridge                                    | 0.0.0.0 and ::                                  |
| bridge with `host_binding_ipv4`           | that address only; 0.0.0.0 means both wildcards |
| bridge without IPv4 (`EnableIPv4: false`) | ::                                              |
| bridge that routes a family               | nothing in that family: the container's own     |
| (`gateway_mode_ipv4=routed`)              | address is reached                              |
| macvlan, ipvlan, none, host, internal     | nothing                                         |

Podman as root lacks the proxy for a family that the network lacks: there a bridge without IPv6 is
bound to 0.0.0.0 only. A user's Podman listens itself, and publishes on internal and macvlan
networks too (4.3 to 6.1 seen). Docker before 27 knows no `gateway_mode` and does not heed it.

The daemon's `"ip"` is the `host_binding_ipv4` of the default bridge, and of no other network
(moby `libnetwork/drivers/bridge/port_mapping.go`; seen on 20.10 and 26.1).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from ipaddress import IPv4Address, IPv6Address

from cloudsync.rules.frozen import dataclass
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
_NO_NETWORK = ("null", "host")
_OWN_ADDRESSES = ("macvlan", "ipvlan")
_OPTION = "com.docker.network.bridge."


@dataclass(frozen=True, slots=True)
class Carrying:
    """How an engine brings packets into its networks."""

    across_families: bool = True
    """A network without IPv6 is reached by IPv6 all the same: a proxy carries it."""
    into_every_network: bool = False
    """Ports are published on internal, macvlan and ipvlan networks too."""
    by_routing: bool = True
    """It heeds `gateway_mode`."""
    says_ipv4: bool = True
    """Its answers say whether a network has IPv4. (Podman's say `EnableIPv4: false` of each from
    5.8 on.)"""


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
    carried: frozenset[int] = _BOTH
    """The families that reach it: Podman as root has no proxy for the family a network lacks."""
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
        has them too if the engine's proxy carries it."""
        return self.carried - self.routed - (frozenset() if 4 in self.families else {4})


def network_of(value: object, carrying: Carrying = Carrying()) -> Network:
    """One entry of `GET /networks`. Raises `Unexpected`."""
    entry = table(value)
    options = table_at(entry, "Options")
    driver = str(entry.get("Driver"))
    routed = frozenset(
        number
        for number in (4, 6)
        if carrying.by_routing and options.get(f"{_OPTION}gateway_mode_ipv{number}") == "routed"
    )
    kind = ""
    if driver in _NO_NETWORK or (driver in _OWN_ADDRESSES and not carrying.into_every_network):
        kind = "none" if driver == "null" else driver
    elif entry.get("Internal") and not carrying.into_every_network:
        kind = "internal"
    elif routed == _BOTH:
        kind = "routed"
    inner = _subnets(entry)
    return Network(
        id=identifier(entry.get("Id")),
        name=text(entry.get("Name")),
        publishes=not kind,
        inner=inner,
        carried=_BOTH if carrying.across_families or not inner else _families(inner),
        kind=kind,
        host_binding=address(options.get(f"{_OPTION}host_binding_ipv4")),
        families=(
            frozenset((6,)) if carrying.says_ipv4 and entry.get("EnableIPv4") is False else _BOTH
        ),
        routed=routed,
    )


def networks_of(
    answer: object, carrying: Carrying = Carrying()
) -> tuple[dict[str, Network], tuple[str, ...]]:
    """`GET /networks` by id and by name, and what is wrong with those that cannot be understood.
    Podman's default network is called `bridge` there and `podman` by its containers. Raises
    `Unexpected` if the answer is not a list."""
    networks, problems = [], []
    for entry in items(answer):
        try:
            networks.append(network_of(entry, carrying))
        except Unexpected as error:
            problems.append(f"the engine described a network with {error}")
    known = {network.name: network for network in networks}
    known |= {network.id: network for network in networks}
    if "bridge" in known:
        known.setdefault("podman", known["bridge"])
    return known, tuple(dict.fromkeys(problems))


def of_names(names: Iterable[str], networks: Mapping[str, Network]) -> tuple[Network | None, ...]:
    """The networks of a container; None for one that the engine did not list."""
    return tuple(networks.get(name) for name in names)


def _families(inner: NetworkSet) -> frozenset[int]:
    return frozenset(number for number in (4, 6) if inner.family(number))


def _subnets(entry: Mapping[str, object]) -> NetworkSet:
    if entry.get("Driver") != "bridge":
        return NOWHERE
    configured = table_at(entry, "IPAM").get("Config") or []
    subnets = [table(item).get("Subnet") for item in items(configured)]
    try:
        return NetworkSet.of(subnet for subnet in subnets if isinstance(subnet, str) and subnet)
    except ValueError:
        raise Unexpected("a subnet that is not a network") from None
