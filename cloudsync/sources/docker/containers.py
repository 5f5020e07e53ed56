"""From the engine's answers about one container to the ports it needs: pure, every row of the
semantics in one place.

| state      | ports are taken from                                                                     |
|------------|------------------------------------------------------------------------------------------|
| running, paused | what is bound now (`NetworkSettings.Ports`), where the container asked for that port |
| restarting | what it asked for (`HostConfig.PortBindings`): a crash loop shows no port most of the time |
| created, being recreated by Compose | the same                                                        |
| anything else | nothing                                                                               |

Podman has two states more: `stopping` still holds its ports, and `stopped` with a restart policy is
a moment of a crash loop.

| network mode                           | ports                                                               |
|----------------------------------------|---------------------------------------------------------------------|
| host                                   | only what a trusted label `cloudsync.ports` lists                   |
| container:…                            | none of its own: they belong to the other container                 |
| none; internal, macvlan, ipvlan, routed networks only | none                                                 |
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv6Address, ip_address

from cloudsync.model.ports import (
    LabelScope,
    Malformed,
    Origin,
    RequiredPort,
    UnopenedPort,
)
from cloudsync.rules.networks import (
    ANY,
    ANY4,
    ANY6,
    NOWHERE,
    NetworkSet,
)
from cloudsync.sources.docker.image_labels import narrower, narrowing, split
from cloudsync.sources.docker.proxies import Trait, traits_of
from cloudsync.sources.labels import ContainerLabels, LabelError, ours, parse_labels

Address = IPv4Address | IPv6Address
_WILDCARDS: tuple[Address, ...] = (IPv4Address(0), IPv6Address(0))
_UNREACHABLE_DRIVERS = ("macvlan", "ipvlan", "null", "host")
_GATEWAY_MODES = (
    "com.docker.network.bridge.gateway_mode_ipv4",
    "com.docker.network.bridge.gateway_mode_ipv6",
)


class Unexpected(ValueError):
    """The engine's answer has not the shape it should have; what it says is not known then."""


@dataclass(frozen=True, slots=True)
class Binding:
    """One published port. `host_port`: as asked for, text (`8080`, `7000-7005`, `""`), or what is
    bound now. `file`, `line`: where a file asks for it."""

    protocol: str
    container_port: int
    address: Address | None
    host_port: str
    file: str | None = None
    line: int | None = None


@dataclass(frozen=True, slots=True)
class Container:
    """What cloudsync keeps of `GET /containers/{id}/json`. Nothing else of it, and never the
    environment."""

    id: str
    name: str
    state: str
    image: str
    labels: Mapping[str, str]
    network_mode: str
    networks: tuple[str, ...]
    asked: tuple[Binding, ...]
    bound: tuple[Binding, ...]
    traits: frozenset[Trait] = frozenset()


@dataclass(frozen=True, slots=True)
class Network:
    """`publishes`: ports of a container on this network can be reached at the host's addresses.
    `inner`: the addresses of a bridge; the host's own one among them, the gateway, is reached by
    containers only. `only4`: nothing carries IPv6 into it (Podman as root has no proxy for the
    family that a network lacks)."""

    id: str
    name: str
    publishes: bool
    inner: NetworkSet = NOWHERE
    only4: bool = False


@dataclass(frozen=True, slots=True)
class Needs:
    """What one container needs."""

    required: tuple[RequiredPort, ...] = ()
    unopened: tuple[UnopenedPort, ...] = ()
    malformed: tuple[Malformed, ...] = ()
    remarks: tuple[str, ...] = ()
    local: tuple[RequiredPort, ...] = ()


def network_of(value: object, *, podman: bool = False) -> Network:
    """One entry of `GET /networks`. `podman`: of a Podman that runs as root. Raises
    `Unexpected`."""
    table = _table(value)
    options = _table(table.get("Options") or {})
    routed = all(options.get(mode) == "routed" for mode in _GATEWAY_MODES)
    publishes = (
        table.get("Driver") not in _UNREACHABLE_DRIVERS and not table.get("Internal") and not routed
    )
    inner = _subnets(table)
    only4 = podman and bool(inner.family(4)) and not inner.family(6)
    return Network(_text(table.get("Id")), _text(table.get("Name")), publishes, inner, only4)


def networks_of(answer: object, *, podman: bool = False) -> dict[str, Network]:
    """`GET /networks`, by id and by name. Podman's default network is called `bridge` there and
    `podman` by its containers."""
    found = [network_of(one, podman=podman) for one in _list(answer)]
    known = {network.name: network for network in found} | {
        network.id: network for network in found
    }
    return {"podman": known["bridge"]} | known if podman and "bridge" in known else known


def _subnets(table: Mapping[str, object]) -> NetworkSet:
    if table.get("Driver") != "bridge":
        return NOWHERE
    entries = _table(table.get("IPAM") or {}).get("Config") or []
    found = [_table(one).get("Subnet") for one in entries] if isinstance(entries, list) else []
    try:
        return NetworkSet.of(one for one in found if isinstance(one, str) and one)
    except ValueError:
        raise Unexpected("a network whose subnet is none") from None


def container_of(value: object, *, podman: bool = False) -> Container:
    """One `GET /containers/{id}/json`. `podman`: an address left out is IPv4 there. Raises
    `Unexpected`."""
    table = _table(value)
    config, host = _table(table.get("Config")), _table(table.get("HostConfig"))
    settings = _table(table.get("NetworkSettings") or {})
    attached = _table(settings.get("Networks") or {})
    return Container(
        id=_text(table.get("Id")),
        name=_text(table.get("Name")).removeprefix("/"),
        state=_state(
            _text(_table(table.get("State")).get("Status")),
            _table(host.get("RestartPolicy") or {}).get("Name"),
        ),
        image=_text(table.get("Image") or ""),
        labels={
            _text(key): _text(label) for key, label in _table(config.get("Labels") or {}).items()
        },
        network_mode=_text(host.get("NetworkMode") or ""),
        networks=tuple(
            _text(_table(one or {}).get("NetworkID") or name) for name, one in attached.items()
        ),
        asked=_bindings(host.get("PortBindings"), ip_address("0.0.0.0") if podman else None),  # noqa: S104 - not bound here
        bound=_bindings(settings.get("Ports"), ip_address("0.0.0.0") if podman else None),  # noqa: S104 - as above
        traits=traits_of(config, table.get("Args")),
    )


def _state(status: str, restart: object) -> str:
    """Podman's words in Docker's."""
    if status == "stopping":
        return "running"
    return (
        "restarting"
        if status == "stopped" and restart in ("always", "unless-stopped", "on-failure")
        else status
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


def counts(container: Container) -> bool:
    """Whether the container's ports are required at all in its state."""
    if container.labels.get("com.docker.compose.oneoff") == "True":
        return False
    recreated = container.state == "created" and "com.docker.compose.replace" in container.labels
    return container.state in ("running", "paused", "restarting") or recreated


def needs_of(
    host: str,
    container: Container,
    networks: Mapping[str, Network],
    image: Mapping[str, str] | None,
    scope: LabelScope,
    origin: Origin | None = None,
) -> Needs:
    """What one container that `counts` needs. `image`: its image's labels, None where they are not
    known. `origin`: who it is, where its labels do not say."""
    origin = origin or origin_of(host, container)
    needs = _needs_of(container, networks, image, scope, origin)
    fixed, _ = _published(container, networks, origin)
    remarks = needs.remarks
    if scope.lenient and any(
        "@" in value for key, value in ours(container.labels).items() if key.endswith("sources")
    ):
        remarks = (
            *remarks,
            f"{container.name}: its labels name networks of a configuration that is not at hand: taken as anyone",
        )
    return replace(needs, remarks=remarks, local=_local(fixed, origin))


def _local(bindings: Iterable[Binding], origin: Origin) -> tuple[RequiredPort, ...]:
    """What is published on loopback addresses."""
    return coalesced(
        RequiredPort(
            b.protocol,
            int(b.host_port),
            int(b.host_port),
            NOWHERE,
            origin,
            b.address,
            b.container_port,
        )
        for b in bindings
        if b.address is not None and _is_loopback(b.address)
    )


def _needs_of(
    container: Container,
    networks: Mapping[str, Network],
    image: Mapping[str, str] | None,
    scope: LabelScope,
    origin: Origin,
) -> Needs:
    trusted, born = split(container.labels, image)
    limits, remarks = narrowing(born, scope)
    remarks = tuple(f"{container.name}: {remark}" for remark in remarks)
    fixed, unopened = _published(container, networks, origin)
    try:
        labels = parse_labels(trusted, scope)
    except LabelError as error:
        known = None if container.network_mode == "host" else coalesced(_ports_of(fixed, origin))
        return Needs(malformed=(Malformed(origin, str(error), known),), remarks=remarks)
    asks = labels.expose is True or labels.ports is not None
    if container.network_mode.startswith("container:"):
        if trusted:
            remarks = (
                *remarks,
                f"{container.name}: its labels count for nothing, its ports belong to the container whose network it shares",
            )
        return Needs(remarks=remarks)
    if container.network_mode == "host":
        return _on_host_network(labels, limits, origin, remarks)
    if not _reachable(container, networks):
        if asks:
            reason = f"its network ({container.network_mode or 'none'}) does not publish ports at the host's addresses"
            listed = [
                (
                    part.protocol,
                    f"{part.first}-{part.last}" if part.first != part.last else str(part.first),
                )
                for part in labels.ports or ()
            ]
            unopened = tuple(
                UnopenedPort(protocol, text, origin, "unsupported-network", reason)
                for protocol, text in listed or [("tcp", "")]
            )
            return Needs(unopened=unopened, remarks=remarks)
        return Needs(remarks=remarks)
    return _labelled(fixed, unopened, labels, limits, origin, remarks, asked=asks)


def _published(
    container: Container, networks: Mapping[str, Network], origin: Origin
) -> tuple[tuple[Binding, ...], tuple[UnopenedPort, ...]]:
    """(bindings with a fixed host port, the ones whose port the engine picked)."""
    if container.network_mode == "host" or not _reachable(container, networks):
        return (), ()
    numbers: dict[tuple[str, int], set[str]] = {}
    for asked in container.asked:
        numbers.setdefault((asked.protocol, asked.container_port), set()).add(asked.host_port)
    runtime = container.state in ("running", "paused")
    fixed, picked = [], []
    inner = NetworkSet.union(network.inner for network in networks.values())
    only4 = bool(container.networks) and all(
        name in networks and networks[name].only4 for name in container.networks
    )
    for one in container.bound if runtime else container.asked:
        wanted = numbers.get((one.protocol, one.container_port), set())
        if one.address is not None and inner.covers(NetworkSet.of((str(one.address),))):
            reason = (
                f"bound to {one.address}, the gateway of a Docker network: only containers reach it"
            )
            picked.append(
                UnopenedPort(
                    one.protocol, one.host_port, _at(origin, one), "private-address", reason
                )
            )
        elif (
            only4
            and one.address is not None
            and one.address.version == 6
            and not _is_loopback(one.address)
        ):
            reason = f"bound to {one.address}, but its network has no IPv6: nothing answers there"
            picked.append(
                UnopenedPort(one.protocol, one.host_port, _at(origin, one), "no-address", reason)
            )
        elif one.host_port in wanted and one.host_port.isdecimal() and int(one.host_port) > 0:
            fixed.append(one)
        elif one.address is None or not _is_loopback(one.address):
            shown = one.host_port if runtime else ""
            among = f" among {one.host_port}" if "-" in one.host_port else ""
            reason = f"the engine picks the host port of {one.container_port}/{one.protocol}{among}: it changes; publish it on a fixed port"
            picked.append(
                UnopenedPort(one.protocol, shown, _at(origin, one), "random-port", reason)
            )
    return tuple(fixed), tuple(dict.fromkeys(picked))


def _reachable(container: Container, networks: Mapping[str, Network]) -> bool:
    if container.network_mode == "none" or container.network_mode.startswith("container:"):
        return False
    named = [networks.get(name) for name in container.networks]
    return not named or any(network is None or network.publishes for network in named)


def _on_host_network(
    labels: ContainerLabels, limits: ContainerLabels, origin: Origin, remarks: tuple[str, ...]
) -> Needs:
    """Nothing is published there; the container's own label is the list."""
    listed = labels.ports or ()
    if labels.expose is False or limits.expose is False:
        reason = "the label cloudsync.expose is false"
        return Needs(
            unopened=tuple(
                UnopenedPort(p.protocol, _span(p.first, p.last), origin, "labelled-out", reason)
                for p in listed
            ),
            remarks=remarks,
        )
    if not listed:
        if labels.expose:
            reason = "a container on the host network needs cloudsync.ports to say which"
            return Needs(
                unopened=(UnopenedPort("tcp", "", origin, "not-published", reason),),
                remarks=remarks,
            )
        return Needs(remarks=remarks)
    ports = []
    for part in listed:
        for number in range(part.first, part.last + 1):
            if limits.ports is not None and not any(
                (part.protocol, number) in limit for limit in limits.ports
            ):
                continue
            sources = narrower(
                labels.sources_for(part.protocol, number), limits.sources_for(part.protocol, number)
            )
            ports.append(
                RequiredPort(
                    part.protocol, number, number, ANY if sources is None else sources.networks, replace(origin, label="cloudsync.ports"),
                    asked=True, firewalls=_both(labels.firewalls, limits.firewalls), description=labels.description,
                )
            )  # fmt: skip
    return Needs(coalesced(ports), remarks=remarks)


def _labelled(
    fixed: Iterable[Binding],
    unopened: tuple[UnopenedPort, ...],
    labels: ContainerLabels,
    limits: ContainerLabels,
    origin: Origin,
    remarks: tuple[str, ...],
    *,
    asked: bool,
) -> Needs:
    """The published ports as the labels narrow them, and by name what the labels ask for in
    vain."""
    out: list[UnopenedPort] = list(unopened)
    ports: list[RequiredPort] = []
    families: dict[tuple[str, int], set[int]] = {}
    loopback: set[tuple[str, int]] = set()
    why_label = (
        "cloudsync.ports"
        if labels.ports is not None
        else "cloudsync.expose"
        if labels.expose
        else None
    )
    for port in _ports_of(fixed, replace(origin, label=why_label) if asked else origin, loopback):
        key = (port.protocol, port.first)
        families.setdefault(key, set()).add(port.address.version if port.address else 4)
        out_reason = _left_out(port, labels, limits)
        if out_reason is not None:
            unlabelled = replace(port.origin, label=None)
            out.append(
                UnopenedPort(port.protocol, str(port.first), unlabelled, "labelled-out", out_reason)
            )
            continue
        sources = narrower(labels.sources_for(*key), limits.sources_for(*key))
        networks = port.sources if sources is None else port.sources & sources.networks
        if networks:
            firewalls = _both(labels.firewalls, limits.firewalls)
            ports.append(
                replace(
                    port,
                    sources=networks,
                    asked=asked,
                    firewalls=firewalls,
                    description=labels.description,
                )
            )
    out.extend(_in_vain(labels, families, loopback, origin))
    return Needs(coalesced(ports), tuple(dict.fromkeys(out)), remarks=remarks)


def _left_out(port: RequiredPort, labels: ContainerLabels, limits: ContainerLabels) -> str | None:
    if labels.expose is False or limits.expose is False:
        return "the label cloudsync.expose is false"
    for said in (labels.ports, limits.ports):
        if said is not None and not any((port.protocol, port.first) in part for part in said):
            return "the label cloudsync.ports does not list it"
    return None


def _in_vain(
    labels: ContainerLabels,
    families: Mapping[tuple[str, int], set[int]],
    loopback: set[tuple[str, int]],
    origin: Origin,
) -> Iterable[UnopenedPort]:
    """Ports that a label names but nobody publishes, and families that a label names but the port
    has no address in."""
    if labels.expose is False:
        return
    for part in labels.ports or ():
        named = [(part.protocol, number) for number in range(part.first, part.last + 1)]
        for code, reason, missing in (
            ("loopback", "it is published on a loopback address only", [key for key in named if key not in families and key in loopback]),
            ("not-published", "the label cloudsync.ports names it, but the container does not publish it",
             [key for key in named if key not in families and key not in loopback]),
        ):  # fmt: skip
            for first, last in _spans(number for _, number in missing):
                yield UnopenedPort(
                    part.protocol,
                    _span(first, last),
                    origin,
                    "loopback" if code == "loopback" else "not-published",
                    reason,
                )
    for (protocol, number), published in families.items():
        wanted = labels.sources_for(protocol, number)
        if wanted is None or (
            labels.ports is not None
            and not any((protocol, number) in part for part in labels.ports)
        ):
            continue
        for family in sorted(wanted.families - published):
            reason = f"its sources name IPv{family} networks, but it is not published on an IPv{family} address"
            yield UnopenedPort(protocol, str(number), origin, "no-address", reason)


def _ports_of(
    bindings: Iterable[Binding], origin: Origin, loopback: set[tuple[str, int]] | None = None
) -> Iterable[RequiredPort]:
    """Every binding on an address that is not loopback, as a port of its own; an address left out
    is both wildcards."""
    for binding in bindings:
        number = int(binding.host_port)
        addresses = _WILDCARDS if binding.address is None else (binding.address,)
        for address in addresses:
            if _is_loopback(address):
                if loopback is not None:
                    loopback.add((binding.protocol, number))
                continue
            family: NetworkSet = ANY4 if address.version == 4 else ANY6
            yield RequiredPort(
                binding.protocol,
                number,
                number,
                family,
                _at(origin, binding),
                address=address,
                container_first=binding.container_port,
            )


def _at(origin: Origin, binding: Binding) -> Origin:
    """The origin of one port: where a file asks for it, that line."""
    return origin if binding.file is None else replace(origin, file=binding.file, line=binding.line)


def coalesced(ports: Iterable[RequiredPort]) -> tuple[RequiredPort, ...]:
    """Ports that differ only in their number, and are consecutive inside and outside, as ranges."""

    def key(port: RequiredPort) -> tuple[object, ...]:
        offset = None if port.container_first is None else port.container_first - port.first
        return (
            port.protocol,
            str(port.address),
            port.sources,
            port.origin,
            offset,
            port.asked,
            port.firewalls,
            port.description,
        )

    groups: dict[tuple[object, ...], dict[int, RequiredPort]] = {}
    for port in ports:
        groups.setdefault(key(port), {})[port.first] = port
    return tuple(
        replace(group[first], last=last)
        for group in groups.values()
        for first, last in _spans(group)
    )


def _spans(numbers: Iterable[int]) -> Iterable[tuple[int, int]]:
    """Consecutive numbers as (first, last)."""
    first = last = None
    for number in sorted(set(numbers)):
        if first is None or last is None:
            first = last = number
        elif number == last + 1:
            last = number
        else:
            yield first, last
            first = last = number
    if first is not None and last is not None:
        yield first, last


def _span(first: int, last: int) -> str:
    return str(first) if first == last else f"{first}-{last}"


def _both(one: frozenset[str] | None, other: frozenset[str] | None) -> frozenset[str] | None:
    if one is None or other is None:
        return other if one is None else one
    return one & other


def _is_loopback(address: Address) -> bool:
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return (mapped or address).is_loopback


def _bindings(value: object, left_out: Address | None) -> tuple[Binding, ...]:
    """`{"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8080"}], "443/tcp": null}`; exposed ports
    have null. `left_out`: the address where none is given."""
    found = []
    for name, entries in _table(value or {}).items():
        number, _, protocol = _text(name).partition("/")
        if not number.isdecimal() or not 1 <= int(number) <= 65535:
            raise Unexpected("a published port that is no number")
        for entry in _list(entries or []):
            table = _table(entry)
            found.append(
                Binding(
                    protocol or "tcp",
                    int(number),
                    _address(table.get("HostIp")) or left_out,
                    _text(table.get("HostPort") or ""),
                )
            )
    return tuple(found)


def _address(value: object) -> Address | None:
    text = _text(value or "")
    if not text:
        return None
    try:
        address = ip_address(text)
    except ValueError:
        raise Unexpected("a port bound to something that is no address") from None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def _table(value: object) -> Mapping[str, object]:
    if not isinstance(value, dict):
        raise Unexpected("a part that is no object")
    return value


def _list(value: object) -> list[object]:
    if not isinstance(value, list):
        raise Unexpected("a part that is no list")
    return value


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise Unexpected("a part that is no text")
    return value
