"""What the answers of one engine come to: a discovery. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from cloudsync.model.ports import (
    Complete,
    Discovery,
    EngineSeen,
    LabelScope,
    RequiredPort,
    UnopenedPort,
    incomplete,
    name_of,
)
from cloudsync.provider.phrases import first_of
from cloudsync.sources.docker.containers import Container, origin_of
from cloudsync.sources.docker.engine import Survey
from cloudsync.sources.docker.image_labels import split
from cloudsync.sources.docker.joined import Judged, joined, narrowing_labels
from cloudsync.sources.docker.needs import Needs, needs_of, span
from cloudsync.sources.docker.podman import EngineKind
from cloudsync.sources.docker.proxies import Served, routed
from cloudsync.sources.docker.swarm import (
    SERVICE_LABEL,
    Cluster,
    Service,
    containers_of,
    peers_remark,
    with_service_labels,
)

_SHOWN = 5


def discovery_of(
    host: str, answers: Survey, scope: LabelScope, manager: Cluster | str | None = None
) -> Discovery:
    """What the engine's answers come to. `manager`: what a manager of the same Swarm knows, if this
    engine is a worker of it, or why it is not believed."""
    cluster = answers.cluster or (manager if isinstance(manager, Cluster) else None)
    judged = _judged(host, answers, scope, cluster)
    needs = joined(judged)
    behind, about_proxies = routed(
        Served(
            judgement.origin,
            judgement.container.traits,
            judgement.container.network_mode == "host",
            need.required,
        )
        for judgement, need in zip(judged, needs, strict=True)
    )
    local = tuple(port for need in needs for port in need.local)
    remarks = [remark for need in needs for remark in need.remarks]
    if cluster is not None and (peers := peers_remark(cluster, answers.membership.node)):
        remarks.append(peers)
    remarks += [*about_proxies, *_about_local(local, answers.kind)]
    discovery = Complete(
        required=tuple(dict.fromkeys(port for need in needs for port in need.required)),
        unopened=tuple(dict.fromkeys(port for need in needs for port in need.unopened)),
        malformed=tuple(bad for need in needs for bad in need.malformed),
        remarks=tuple(dict.fromkeys(remarks)),
        local=local,
        routed=behind,
        engines=(EngineSeen(answers.engine, answers.id),) if answers.id else (),
        unpublished=tuple(n.unpublished for n in needs if n.unpublished is not None),
        narrowed=tuple(dict.fromkeys(port for need in needs for port in need.narrowed)),
        uncertain=tuple(n.uncertain for n in needs if n.uncertain is not None),
        shut=tuple(dict.fromkeys(port for need in needs for port in need.shut)),
    )
    lacking = _lacking(answers, manager)
    lasting = answers.lasting or len(lacking) > len(answers.reasons)
    if answers.membership.role == "unsettled":
        lasting = answers.lasting
    return incomplete(discovery, lacking, temporary=not lasting)


def _lacking(answers: Survey, manager: Cluster | str | None) -> tuple[str, ...]:
    """Why the host is not known completely."""
    membership = answers.membership
    if membership.role == "unsettled":
        reason = (
            f"the engine's part in its Swarm is not settled ({membership.state}): "
            "its services are not known"
        )
        return (*answers.reasons, reason)
    if membership.role != "worker" or isinstance(manager, Cluster):
        return answers.reasons
    why = manager or "name a manager of this Swarm as a host too"
    reason = f"the engine is a Swarm worker: only a manager knows the ports of services; {why}"
    return (*answers.reasons, reason)


def _judged(host: str, answers: Survey, scope: LabelScope, cluster: Cluster | None) -> list[Judged]:
    """Every container, and whatever services need beyond their containers."""
    judged = [
        _of_container(host, answers, container, scope, cluster) for container in answers.containers
    ]
    if cluster is not None:
        present = [container.id for container in answers.containers]
        for service in containers_of(cluster, answers.membership.node, present):
            needs = needs_of(host, service, {}, {}, scope)
            judged.append(Judged(service, origin_of(host, service), needs))
    return judged


def _of_container(
    host: str,
    answers: Survey,
    container: Container,
    scope: LabelScope,
    cluster: Cluster | None,
) -> Judged:
    image = answers.images.get(container.image)
    origin = origin_of(host, container)
    claimed = container.labels.get(SERVICE_LABEL)
    if claimed is None or answers.membership.role == "none":
        needs = needs_of(host, container, answers.networks, image, scope)
        return Judged(container, origin, needs)
    service = None if cluster is None else cluster.services.get(claimed)
    listed = cluster is not None and cluster.lists(container)
    if service is None or not (listed or _adds_nothing(container, service)):
        needs = needs_of(host, container, answers.networks, image, scope)
        return Judged(container, origin, _service_unknown(needs, cluster))
    container, image = with_service_labels(container, service, image)
    needs = needs_of(host, container, answers.networks, image, scope)
    needs = replace(needs, remarks=(*needs.remarks, *_about_ingress(container, service, image)))
    return Judged(container, origin_of(host, container), needs if listed else _not_asked(needs))


def _about_ingress(
    container: Container, service: Service, image: Mapping[str, str] | None
) -> tuple[str, ...]:
    """A remark if the image would narrow: an ingress port is the service's, published on nodes that
    have no image of it, so only the service's own labels count there."""
    _, born = split(container.labels, image)
    narrows = narrowing_labels(born)
    if not narrows or not any(port.ingress for port in service.ports):
        return ()
    return (
        (
            f"{service.name}: {', '.join(narrows)} of its image does not narrow its ingress ports,"
            " which every node publishes; put the label on the service"
        ),
    )


def _adds_nothing(container: Container, service: Service) -> bool:
    """Whether no label of the container narrows beyond what the service's labels say."""
    own = {k: v for k, v in container.labels.items() if service.labels.get(k) != v}
    return not narrowing_labels(own)


def _not_asked(needs: Needs) -> Needs:
    """The labels of a service of which the manager does not list it as a task ask for nothing."""
    return replace(needs, required=tuple(replace(port, asked=False) for port in needs.required))


def _service_unknown(needs: Needs, cluster: Cluster | None) -> Needs:
    """Nothing of it opens: its service may keep it closed by a label."""
    why = (
        "its service may say otherwise by its labels, which only a manager of the Swarm knows"
        if cluster is None
        else "the manager of the Swarm does not list it as a task of the service it names"
    )
    unopened = tuple(
        UnopenedPort(p.protocol, span(p.first, p.last), p.origin, "service-unknown", why)
        for p in needs.required
    )
    return replace(needs, required=(), narrowed=(), unopened=(*needs.unopened, *unopened))


def _about_local(local: Sequence[RequiredPort], kind: EngineKind) -> tuple[str, ...]:
    """A remark if neighbours reach what is published on loopback."""
    if not local or not kind.neighbours:
        return ()
    ports = {f"{span(p.first, p.last)}/{p.protocol} of {name_of(p.origin)}" for p in local}
    remark = (
        f"published on loopback only: {first_of(sorted(ports), _SHOWN)}; with {kind}, machines on"
        " the same network can still reach these containers at their own addresses (Docker drops"
        " that from version 28 on)"
    )
    return (remark,)
