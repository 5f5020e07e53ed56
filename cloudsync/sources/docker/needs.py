"""What one container needs: its published ports as labels narrow them, its own and its image's.
Pure.

A label of the image only takes away, and what it takes away is kept apart (`narrowed`): whatever is
decided over everything that is asked for is decided as if the image had said nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from cloudsync.model.ports import (
    LabelScope,
    Malformed,
    Origin,
    RequiredPort,
    Uncertain,
    UnopenedPort,
    Unpublished,
    name_of,
)
from cloudsync.rules.frozen import dataclass
from cloudsync.rules.networks import ANY, ANY4, ANY6, NOWHERE, NetworkSet
from cloudsync.sources.docker.containers import Binding, Container, hidden_by_image, origin_of
from cloudsync.sources.docker.image_labels import narrowing, split
from cloudsync.sources.docker.networks import ANY_IPV4, ANY_IPV6, Network
from cloudsync.sources.docker.publishing import (
    Published,
    at,
    is_loopback,
    published,
    publishes,
    unpublished,
)
from cloudsync.sources.labels import (
    PREFIX,
    ContainerLabels,
    LabelError,
    PortSteps,
    Sources,
    ours,
    parse_labels,
    port_spans,
    spans,
)

Firewalls = frozenset[str] | None
_FALSE = "the label cloudsync.expose is false"
_UNLISTED = "the label cloudsync.ports does not list it"


@dataclass(frozen=True, slots=True)
class Needs:
    """What one container needs; the fields as in `cloudsync.model.ports.Complete`."""

    required: tuple[RequiredPort, ...] = ()
    unopened: tuple[UnopenedPort, ...] = ()
    malformed: tuple[Malformed, ...] = ()
    remarks: tuple[str, ...] = ()
    local: tuple[RequiredPort, ...] = ()
    narrowed: tuple[RequiredPort, ...] = ()
    unpublished: Unpublished | None = None
    uncertain: Uncertain | None = None
    shut: tuple[RequiredPort, ...] = ()


def needs_of(
    host: str,
    container: Container,
    networks: Mapping[str, Network],
    image: Mapping[str, str] | None,
    scope: LabelScope,
    origin: Origin | None = None,
) -> Needs:
    """What one container that `counts` needs. `image`: its image's labels, None if they are not
    known. `origin`: who it is, if its labels do not say."""
    origin = origin or origin_of(host, container)
    ports = published(container, networks, origin)
    trusted, born = split(container.labels, image)
    of_image = narrowing(born, scope)
    needs = Needs(
        remarks=tuple(
            f"{container.name}: {remark}"
            for remark in (*of_image.remarks, *_by_name(container, scope))
        ),
        local=_local(ports.fixed, origin),
        unpublished=unpublished(container, networks, origin),
        uncertain=_uncertain(container, image, ports, scope, origin),
    )
    try:
        labels = parse_labels(trusted, scope)
        _check_ports(labels, ports)
        if container.problem is not None and not container.runs:
            raise LabelError(f"a port it asks for makes no sense: {container.problem}")
    except LabelError as error:
        known = (
            None if container.network_mode == "host" else coalesced(_ports_of(ports.fixed, origin))
        )
        return replace(needs, malformed=(Malformed(origin, str(error), known),))
    rules = _Rules(labels, of_image.limits, scope, hidden=hidden_by_image(container, image))
    if container.network_mode == "host":
        needs = _on_host_network(rules, origin, needs)
    elif container.joined is not None:
        return _of_member(needs, trusted, rules)
    elif not publishes(container, networks):
        return replace(needs, unopened=_asked_in_vain(container, labels, origin))
    else:
        needs = _of_published(ports, rules, origin, needs)
    return _held_by_image(needs, of_image.problem, origin)


def _held_by_image(needs: Needs, problem: str | None, origin: Origin) -> Needs:
    """What would be opened is held instead if a label of the image does not parse. It still counts
    in whatever is decided over everything that is asked for."""
    if problem is None or not needs.required:
        return needs
    return replace(
        needs,
        required=(),
        malformed=(*needs.malformed, Malformed(origin, problem, needs.required)),
        narrowed=(*needs.narrowed, *needs.required),
    )


def _uncertain(
    container: Container,
    image: Mapping[str, str] | None,
    ports: Published,
    scope: LabelScope,
    origin: Origin,
) -> Uncertain | None:
    """Whether who may reach it hangs on a network that could not be read."""
    if not scope.unread:
        return None
    labels = (*ours(container.labels).items(), *ours(image or {}).items())
    if (f"{PREFIX}expose", "false") in labels:
        return None  # wins over everything
    words = {word for key, value in labels if key.endswith("sources") for word in value.split(",")}
    names = tuple(sorted(name for name in scope.unread if f"@{name}" in words))
    if not names:
        return None
    hidden = container.network_mode == "host" or container.joined is not None
    return Uncertain(origin, names, None if hidden else coalesced(_ports_of(ports.fixed, origin)))


def _by_name(container: Container, scope: LabelScope) -> tuple[str, ...]:
    """A remark if labels refer to a configuration that there is not."""
    if scope.lenient and any(
        "@" in value for key, value in ours(container.labels).items() if key.endswith("sources")
    ):
        return ("its labels name networks of a configuration that is not at hand: taken as anyone",)
    return ()


def _check_ports(labels: ContainerLabels, ports: Published) -> None:
    """Sources given to the container's port instead of the host's would narrow nothing, and the
    port would open to anyone. Raises `LabelError`."""
    hosts = {(b.protocol, int(b.host_port)) for b in ports.fixed}
    behind: dict[tuple[str, int], str] = {}
    for binding in ports.fixed:
        behind.setdefault((binding.protocol, binding.container_port), binding.host_port)
    for labelled, _ in labels.port_sources:
        inside = (labelled.protocol, labelled.first)
        if labelled.first == labelled.last and inside in behind and inside not in hosts:
            raise LabelError(
                f"{PREFIX}port.{labelled}.sources: {labelled.first} is the port inside the"
                f" container; name the host port, {behind[inside]}"
            )


class _Rules:
    """What a container's own labels ask for, and what its image's take away."""

    def __init__(
        self, labels: ContainerLabels, limits: ContainerLabels, scope: LabelScope, *, hidden: bool
    ) -> None:
        self.labels, self.limits, self._hidden = labels, limits, hidden
        self.asked = labels.expose is True or labels.ports is not None
        self.firewalls = _both(labels.firewalls, limits.firewalls)
        self._elsewhere = _without(labels.firewalls, limits.firewalls, scope.firewalls)
        self._steps: dict[str, _Steps] = {}

    def of(self, protocol: str) -> _Steps:
        """The steps in which the labels change over the ports of a protocol."""
        if protocol not in self._steps:
            self._steps[protocol] = _Steps(
                self.labels.sources_for(protocol),
                self.labels.lists(protocol),
                self.limits.limits_for(protocol),
                self.limits.lists(protocol),
            )
        return self._steps[protocol]

    def left_out(self, port: RequiredPort) -> str | None:
        """Why the container's own labels keep a port closed."""
        if self.labels.expose is False:
            return _FALSE
        return None if self.of(port.protocol).listed.at(port.first) else _UNLISTED

    def left_out_by_image(self, port: RequiredPort) -> str | None:
        """Why its image's labels do."""
        if self._hidden:
            return "its image calls it a one-off container (com.docker.compose.oneoff)"
        if self.limits.expose is False:
            return f"{_FALSE}, in its image"
        listed = self.of(port.protocol).image_listed.at(port.first)
        return None if listed else f"{_UNLISTED}, in its image"

    def sources(self, port: RequiredPort) -> NetworkSet:
        """Who may reach it by the container's own labels."""
        sources = self.of(port.protocol).sources.at(port.first)
        return port.sources if sources is None else port.sources & sources.networks

    def apply(self, port: RequiredPort) -> _Judged:
        """One port, whose ports are all within one step of every label."""
        port = replace(
            port,
            asked=self.asked,
            firewalls=self.labels.firewalls,
            description=self.labels.description,
            sources=self.sources(port),
        )
        why = self.left_out_by_image(port)
        limit = self.of(port.protocol).image_sources.at(port.first)
        final = NOWHERE if why is not None else port.sources & limit
        if port.sources and not final and why is None:
            why = "the label cloudsync.sources of its image lets nobody reach it"
        narrowed = []
        if taken := port.sources - final:
            narrowed.append(replace(port, sources=taken))
        if final and self._elsewhere:
            narrowed.append(replace(port, sources=final, firewalls=self._elsewhere))
        required = replace(port, sources=final, firewalls=self.firewalls) if final else None
        return _Judged(required, tuple(narrowed), why if port.sources else None)


@dataclass(frozen=True, slots=True)
class _Steps:
    """Of one protocol: the sources and the list of the container's own labels, and its image's."""

    sources: PortSteps[Sources | None]
    listed: PortSteps[bool]
    image_sources: PortSteps[NetworkSet]
    image_listed: PortSteps[bool]

    def cut(self, first: int, last: int) -> Iterable[tuple[int, int]]:
        """The ports `first`..`last` in pieces within which no label changes."""
        steps = (self.sources, self.listed, self.image_sources, self.image_listed)
        edges = {start for step in steps for start in step.starts if first < start <= last}
        firsts = [first, *sorted(edges)]
        return zip(firsts, [*(edge - 1 for edge in firsts[1:]), last], strict=True)


@dataclass(frozen=True, slots=True)
class _Judged:
    """`required`: what stays of a port. `narrowed`: what the image's labels take away. `why`: if
    nothing stays because of them."""

    required: RequiredPort | None
    narrowed: tuple[RequiredPort, ...]
    why: str | None


def _on_host_network(rules: _Rules, origin: Origin, needs: Needs) -> Needs:
    """Nothing is published there; the container's own label is the list."""
    labels = rules.labels
    listed = labels.ports or ()
    if labels.expose is False:
        out = (
            UnopenedPort(p.protocol, span(p.first, p.last), origin, "labelled-out", _FALSE)
            for p in listed
        )
        return replace(needs, unopened=tuple(out), unpublished=None)
    if not listed:
        if not labels.expose:
            return needs
        reason = "a container on the host network needs cloudsync.ports to say which"
        return replace(needs, unopened=(UnopenedPort("tcp", "", origin, "not-published", reason),))
    origin = replace(origin, label="cloudsync.ports")
    ports = (
        RequiredPort(protocol, first, last, ANY, origin)
        for protocol in dict.fromkeys(labelled.protocol for labelled in listed)
        for first, last in port_spans(p for p in listed if p.protocol == protocol)
    )
    return _collected(ports, rules, (), replace(needs, unpublished=None))


def _of_published(ports: Published, rules: _Rules, origin: Origin, needs: Needs) -> Needs:
    """The published ports as the labels narrow them, and by name what the labels ask for in
    vain."""
    labels = rules.labels
    label = "cloudsync.ports" if labels.ports is not None else "cloudsync.expose"
    named = replace(origin, label=label) if rules.asked else origin
    listed = list(_ports_of(ports.fixed, named))
    loopback = {
        (binding.protocol, int(binding.host_port))
        for binding in ports.fixed
        if binding.address is not None and is_loopback(binding.address)
    }
    vain = [] if labels.expose is False else list(_in_vain(rules, listed, loopback, origin))
    return _collected(listed, rules, (*ports.unopened, *vain), needs)


def _pieces(ports: Iterable[RequiredPort], rules: _Rules) -> Iterable[RequiredPort]:
    """The same ports, as few as can be judged as a whole: a range within which no label changes,
    instead of thousands of ports one by one."""
    for port in coalesced(ports):
        for first, last in rules.of(port.protocol).cut(port.first, port.last):
            inside = port.container_first
            behind = None if inside is None else inside + first - port.first
            yield replace(port, first=first, last=last, container_first=behind)


def _collected(
    ports: Iterable[RequiredPort],
    rules: _Rules,
    unopened: tuple[UnopenedPort, ...],
    needs: Needs,
) -> Needs:
    required: list[RequiredPort] = []
    narrowed: list[RequiredPort] = []
    shut: list[RequiredPort] = []
    out: list[_Out] = []
    for port in _pieces(ports, rules):
        if (reason := rules.left_out(port)) is not None:
            out.append(_Out(port, reason))
            continue
        judged = rules.apply(port)
        narrowed += judged.narrowed
        if judged.required is not None:
            required.append(judged.required)
        elif judged.why is not None:
            out.append(_Out(port, judged.why, by_image=True))
        else:
            shut.append(port)
    return replace(
        needs,
        required=coalesced(required),
        unopened=tuple(dict.fromkeys((*unopened, *_unopened(out)))),
        narrowed=coalesced(narrowed),
        shut=coalesced(shut),
    )


@dataclass(frozen=True, slots=True)
class _Out:
    """A published port that a label keeps closed."""

    port: RequiredPort
    reason: str
    by_image: bool = False


def _unopened(out: Iterable[_Out]) -> Iterable[UnopenedPort]:
    """Consecutive ports that are kept closed for the same reason, as ranges."""
    groups: dict[tuple[str, Origin, str, bool], list[RequiredPort]] = {}
    for candidate in out:
        origin = replace(candidate.port.origin, label=None)
        key = candidate.port.protocol, origin, candidate.reason, candidate.by_image
        groups.setdefault(key, []).append(candidate.port)
    for (protocol, origin, reason, by_image), ports in groups.items():
        for first, last in spans((port.first, port.last) for port in ports):
            yield UnopenedPort(
                protocol, span(first, last), origin, "labelled-out", reason, by_image
            )


def _of_member(needs: Needs, trusted: Mapping[str, str], rules: _Rules) -> Needs:
    """A container that shares the network of another one has no ports of its own; `joined.py` looks
    at what its labels mean for that one."""
    if not trusted or needs.unpublished is None:
        return needs
    name = needs.unpublished.origin.container or name_of(needs.unpublished.origin)
    remark = f"{name}: {_VOID}"
    asking = replace(needs.unpublished, asks=rules.asked)
    return replace(needs, remarks=(*needs.remarks, remark), unpublished=asking)


def without_void_remark(needs: Needs) -> Needs:
    """The needs of a container whose labels do mean something for the one that it joins."""
    remarks = tuple(remark for remark in needs.remarks if not remark.endswith(_VOID))
    return replace(needs, remarks=remarks)


_VOID = "its labels count for nothing, its ports belong to the container whose network it shares"


def _asked_in_vain(
    container: Container, labels: ContainerLabels, origin: Origin
) -> tuple[UnopenedPort, ...]:
    """What labels ask for on a container that publishes nothing."""
    if labels.expose is not True and labels.ports is None:
        return ()
    network = container.network_mode or "none"
    reason = f"its network ({network}) does not publish ports at the host's addresses"
    listed = [(port.protocol, span(port.first, port.last)) for port in labels.ports or ()]
    return tuple(
        UnopenedPort(protocol, ports, origin, "unsupported-network", reason)
        for protocol, ports in listed or [("tcp", "")]
    )


def _in_vain(
    rules: _Rules,
    ports: Iterable[RequiredPort],
    loopback: set[tuple[str, int]],
    origin: Origin,
) -> Iterable[UnopenedPort]:
    """Ports that a label names but the container does not publish, and families that a label names
    but the port has no address in."""
    families: dict[tuple[str, int], set[int]] = {}
    for port in ports:
        version = port.address.version if port.address else 4
        families.setdefault((port.protocol, port.first), set()).add(version)
    for labelled in rules.labels.ports or ():
        missing = [
            n
            for n in range(labelled.first, labelled.last + 1)
            if (labelled.protocol, n) not in families
        ]
        here = [n for n in missing if (labelled.protocol, n) in loopback]
        reason = "it is published on a loopback address only"
        for first, last in spans((n, n) for n in here):
            yield UnopenedPort(labelled.protocol, span(first, last), origin, "loopback", reason)
        nowhere = [n for n in missing if (labelled.protocol, n) not in loopback]
        reason = "the label cloudsync.ports names it, but the container does not publish it"
        for first, last in spans((n, n) for n in nowhere):
            yield UnopenedPort(
                labelled.protocol, span(first, last), origin, "not-published", reason
            )
    lacking: dict[tuple[str, int], list[int]] = {}
    for (protocol, number), versions in families.items():
        steps = rules.of(protocol)
        wanted = steps.sources.at(number)
        if wanted is not None and steps.listed.at(number):
            for missed in wanted.families - versions:
                lacking.setdefault((protocol, missed), []).append(number)
    for (protocol, missed), numbers in sorted(lacking.items()):
        reason = (
            f"its sources name IPv{missed} networks, but it is not published on an IPv{missed}"
            " address"
        )
        for first, last in spans((n, n) for n in numbers):
            yield UnopenedPort(protocol, span(first, last), origin, "no-address", reason)


def _local(bindings: Iterable[Binding], origin: Origin) -> tuple[RequiredPort, ...]:
    """What is published on loopback addresses."""
    return coalesced(
        RequiredPort(
            binding.protocol,
            int(binding.host_port),
            int(binding.host_port),
            NOWHERE,
            origin,
            binding.address,
            binding.container_port,
        )
        for binding in bindings
        if binding.address is not None and is_loopback(binding.address)
    )


def _ports_of(bindings: Iterable[Binding], origin: Origin) -> Iterable[RequiredPort]:
    """Every binding on an address that is not loopback, as a port of its own; an address left out
    is both wildcards."""
    for binding in bindings:
        number = int(binding.host_port)
        addresses = (ANY_IPV4, ANY_IPV6) if binding.address is None else (binding.address,)
        for address in addresses:
            if not is_loopback(address):
                yield RequiredPort(
                    binding.protocol,
                    number,
                    number,
                    ANY4 if address.version == 4 else ANY6,
                    at(origin, binding),
                    address=address,
                    container_first=binding.container_port,
                )


def coalesced(ports: Iterable[RequiredPort]) -> tuple[RequiredPort, ...]:
    """Ports that differ only in their number, and are consecutive inside and outside, as ranges."""
    groups: dict[tuple[object, ...], list[RequiredPort]] = {}
    for port in ports:
        offset = None if port.container_first is None else port.container_first - port.first
        key = (
            port.protocol,
            port.address,
            port.sources,
            port.origin,
            offset,
            port.asked,
            port.firewalls,
            port.description,
        )
        groups.setdefault(key, []).append(port)
    ranges = []
    for group in groups.values():
        by_first = {port.first: port for port in group}
        for first, last in spans((port.first, port.last) for port in group):
            ranges.append(replace(by_first[first], last=last))
    return tuple(ranges)


def span(first: int, last: int) -> str:
    """`443`, `8000-8010`."""
    return str(first) if first == last else f"{first}-{last}"


def _both(own: Firewalls, image: Firewalls) -> Firewalls:
    if own is None or image is None:
        return image if own is None else own
    return own & image


def _without(own: Firewalls, image: Firewalls, every: frozenset[str]) -> frozenset[str]:
    """The firewalls that the container asks for and its image takes away."""
    return frozenset() if image is None else (every if own is None else own) - image
