"""The form of an inventory: `inventories/OWNER/HOST.json`, strict, bounded, for a stranger to read.

It holds what `docker/engine.py` keeps of an engine's answers and nothing else of them: of the
labels only those that cloudsync reads, never the environment. Values are checked for shape and
range like an engine's own, since whoever may write the object may write anything.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from ipaddress import IPv4Address, IPv6Address
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field

from cloudsync.model.ports import Failed
from cloudsync.rules.networks import NetworkSet
from cloudsync.sources.docker.answers import host_port, identifier, image_reference
from cloudsync.sources.docker.containers import Binding, Container
from cloudsync.sources.docker.engine import Survey
from cloudsync.sources.docker.networks import Network
from cloudsync.sources.docker.podman import EngineKind
from cloudsync.sources.docker.proxies import Trait
from cloudsync.sources.docker.swarm import Cluster, Membership, PublishedPort, Role, Service, Task

FORMAT = "1.0"
MOST_BYTES = 8 * 1024 * 1024
_PUBLISHED = (
    "cloudsync.",
    "com.docker.compose.",
    "com.docker.swarm.",
    "com.docker.stack.namespace",
)
"""What labels begin with that are written down: those of others may hold secrets."""


class _Form(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, hide_input_in_errors=True)


Word = Annotated[str, Field(max_length=1024)]
Id = Annotated[str, AfterValidator(identifier)]
Image = Annotated[str, AfterValidator(lambda value: image_reference(value) if value else "")]
HostPort = Annotated[str, AfterValidator(host_port)]
PortNumber = Annotated[int, Field(ge=0, le=65535)]
Protocol = Literal["tcp", "udp", "sctp"]
Labels = Annotated[dict[Word, Annotated[str, Field(max_length=65536)]], Field(max_length=4096)]
Family = Literal[4, 6]


class BindingForm(_Form):
    """A published port."""

    protocol: Protocol
    container_port: PortNumber
    address: IPv4Address | IPv6Address | None
    host_port: HostPort


class ContainerForm(_Form):
    """A container."""

    id: Id
    name: Word
    state: Word
    image: Image
    labels: Labels
    network_mode: Word
    networks: list[Word]
    asked: list[BindingForm]
    bound: list[BindingForm]
    traits: list[Trait] = []
    problem: Word | None = None
    exposed: list[Annotated[str, Field(pattern=r"^[0-9]{1,5}/(tcp|udp|sctp)$")]] = []


class NetworkForm(_Form):
    """A network of the engine."""

    id: Id
    name: Word
    publishes: bool
    inner: list[Word] = []
    carried: list[Family] = [4, 6]
    kind: Word = ""
    host_binding: IPv4Address | IPv6Address | None = None
    families: list[Family] = [4, 6]
    routed: list[Family] = []


class PublishedPortForm(_Form):
    """A port of a Swarm service."""

    protocol: Protocol
    target: PortNumber
    asked: PortNumber | None
    now: PortNumber | None
    ingress: bool


class ServiceForm(_Form):
    """A Swarm service."""

    id: Id
    name: Word
    image: Word
    labels: Labels
    ports: list[PublishedPortForm]


class TaskForm(_Form):
    """A Swarm task."""

    service: Word
    node: Word
    container: Word
    state: Word


class ClusterForm(_Form):
    """What a Swarm manager knows."""

    services: list[ServiceForm]
    tasks: list[TaskForm]
    nodes: dict[Word, Word]
    contained: list[tuple[Word, Word]]


class MembershipForm(_Form):
    """The engine's part in a Swarm."""

    role: Role
    node: Word = ""
    state: Word = ""
    managers: list[Word] = []


class EngineForm(_Form):
    """What one engine answered."""

    engine: Word
    id: Word
    podman: bool = False
    rootless: bool = False
    version: Word = ""
    containers: list[ContainerForm]
    networks: list[NetworkForm]
    images: dict[Word, Labels | None]
    membership: MembershipForm
    cluster: ClusterForm | None = None
    reasons: list[Word] = []
    lasting: bool = False


class FailedForm(_Form):
    """An engine that could not be read."""

    engine: Word
    failed: Word
    temporary: bool = True


class SignatureForm(_Form):
    """Who signed everything else: `key` is an OpenSSH public key, `value` base64."""

    key: Word
    value: Word


class InventoryForm(_Form):
    """The whole document."""

    format_version: Annotated[str, Field(pattern=r"^1\.[0-9]{1,3}$")]
    tool_version: Word = ""
    owner: Word
    host: Word
    status: Literal["complete", "partial", "failed"]
    reasons: list[Word] = []
    machine: Word
    sequence: Annotated[int, Field(ge=1, lt=2**53)]
    time: AwareDatetime
    valid_seconds: Annotated[int, Field(ge=1, le=7 * 24 * 3600)]
    engines: Annotated[list[EngineForm | FailedForm], Field(max_length=64)]
    signature: SignatureForm | None = None


def engine_written(engine: str, answer: Survey | Failed) -> dict[str, Any]:
    """What one engine answered, or why it did not, as it is written."""
    if isinstance(answer, Failed):
        return {
            "engine": engine,
            "failed": answer.reason[:1000],
            "temporary": answer.temporary,
        }
    form = EngineForm.model_construct(
        engine=answer.engine,
        id=answer.id,
        podman=answer.kind.podman,
        rootless=answer.kind.rootless,
        version=answer.kind.version,
        containers=[_container(container) for container in answer.containers],
        networks=[_network(network) for network in answer.networks.values()],
        images={
            image: None if labels is None else _ours(labels)
            for image, labels in answer.images.items()
        },
        membership=MembershipForm.model_construct(
            role=answer.membership.role,
            node=answer.membership.node,
            state=answer.membership.state,
            managers=sorted(answer.membership.managers),
        ),
        cluster=None if answer.cluster is None else _cluster(answer.cluster),
        reasons=[reason[:1000] for reason in answer.reasons],
        lasting=answer.lasting,
    )
    written: dict[str, Any] = form.model_dump(mode="json")
    return written


def status_of(answers: Iterable[Survey | Failed]) -> tuple[str, list[str]]:
    """`complete`, `partial` or `failed`, and why."""
    several = list(answers)
    reasons = [
        reason
        for answer in several
        for reason in ([answer.reason] if isinstance(answer, Failed) else answer.reasons)
    ]
    if all(isinstance(answer, Failed) for answer in several):
        return "failed", reasons
    return ("partial", reasons) if reasons else ("complete", [])


def survey_of(form: EngineForm) -> Survey:
    """What the engine answered, for `discovery_of`. Raises `ValueError`."""
    return Survey(
        engine=form.engine,
        id=form.id,
        containers=tuple(_container_of(container) for container in form.containers),
        networks={network.id: _network_of(network) for network in form.networks},
        images=dict(form.images),
        membership=Membership(
            form.membership.role,
            form.membership.node,
            form.membership.state,
            frozenset(form.membership.managers),
        ),
        cluster=None if form.cluster is None else _cluster_of(form.cluster),
        reasons=tuple(form.reasons),
        lasting=form.lasting,
        kind=EngineKind(form.podman, form.rootless, form.version),
    )


def moment(value: datetime) -> str:
    """As times are written: UTC, whole seconds."""
    return value.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _ours(labels: Mapping[str, str]) -> dict[str, str]:
    return {key: value for key, value in labels.items() if key.startswith(_PUBLISHED)}


def _container(container: Container) -> ContainerForm:
    return ContainerForm.model_construct(
        id=container.id,
        name=container.name,
        state=container.state,
        image=container.image,
        labels=_ours(container.labels),
        network_mode=container.network_mode,
        networks=list(container.networks),
        asked=[_binding(binding) for binding in container.asked],
        bound=[_binding(binding) for binding in container.bound],
        traits=sorted(container.traits),
        problem=container.problem,
        exposed=list(container.exposed),
    )


def _container_of(form: ContainerForm) -> Container:
    return Container(
        id=form.id,
        name=form.name,
        state=form.state,
        image=form.image,
        labels=form.labels,
        network_mode=form.network_mode,
        networks=tuple(form.networks),
        asked=tuple(_binding_of(binding) for binding in form.asked),
        bound=tuple(_binding_of(binding) for binding in form.bound),
        traits=frozenset(form.traits),
        problem=form.problem,
        exposed=tuple(form.exposed),
    )


def _binding(binding: Binding) -> BindingForm:
    return BindingForm.model_construct(
        protocol=binding.protocol,
        container_port=binding.container_port,
        address=binding.address,
        host_port=binding.host_port,
    )


def _binding_of(form: BindingForm) -> Binding:
    return Binding(form.protocol, form.container_port, form.address, form.host_port)


def _network(network: Network) -> NetworkForm:
    return NetworkForm.model_construct(
        id=network.id,
        name=network.name,
        publishes=network.publishes,
        inner=list(network.inner.cidrs()),
        carried=sorted(network.carried),
        kind=network.kind,
        host_binding=network.host_binding,
        families=sorted(network.families),
        routed=sorted(network.routed),
    )


def _network_of(form: NetworkForm) -> Network:
    return Network(
        id=form.id,
        name=form.name,
        publishes=form.publishes,
        inner=NetworkSet.of(form.inner),
        carried=frozenset(form.carried),
        kind=form.kind,
        host_binding=form.host_binding,
        families=frozenset(form.families),
        routed=frozenset(form.routed),
    )


def _cluster(cluster: Cluster) -> ClusterForm:
    return ClusterForm.model_construct(
        services=[
            ServiceForm.model_construct(
                id=service.id,
                name=service.name,
                image=service.image,
                labels=_ours(service.labels),
                ports=[
                    PublishedPortForm.model_construct(
                        protocol=port.protocol,
                        target=port.target,
                        asked=port.asked,
                        now=port.now,
                        ingress=port.ingress,
                    )
                    for port in service.ports
                ],
            )
            for service in cluster.services.values()
        ],
        tasks=[
            TaskForm.model_construct(
                service=task.service, node=task.node, container=task.container, state=task.state
            )
            for task in cluster.tasks
        ],
        nodes=dict(cluster.nodes),
        contained=sorted(cluster.contained),
    )


def _cluster_of(form: ClusterForm) -> Cluster:
    return Cluster(
        services={
            service.id: Service(
                service.id,
                service.name,
                service.image,
                service.labels,
                tuple(
                    PublishedPort(port.protocol, port.target, port.asked, port.now, port.ingress)
                    for port in service.ports
                ),
            )
            for service in form.services
        },
        tasks=tuple(
            Task(task.service, task.node, task.container, task.state) for task in form.tasks
        ),
        nodes=dict(form.nodes),
        contained=frozenset(form.contained),
    )
