"""Reading a project: all groups with their rules in one call, what the quota leaves in another; all
ports in a third if something is attached or exposure is asked for."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from cloudsync.provider.contract import (
    Absent,
    Attachment,
    Description,
    FirewallSpec,
    Machine,
    Observation,
    Present,
    Unreadable,
)
from cloudsync.provider.errors import AuthError, Conflict, NotFound, ProviderError, Unsupported
from cloudsync.provider.phrases import count
from cloudsync.rules import NetworkSet, RuleSet
from cloudsync_openstack import provider
from cloudsync_openstack.answers import (
    AddressGroup,
    FloatingIp,
    Group,
    Port,
    QuotaDetails,
    Quotas,
    Server,
)
from cloudsync_openstack.client import Api
from cloudsync_openstack.native import DEFAULT, Found, Place, marker_of, same_id
from cloudsync_openstack.rules import UnknownRule, from_vendor, networks_of, plain

if TYPE_CHECKING:
    from cloudsync.provider.machines import Fleet, Marked

Result = TypeVar("Result")
AT_ONCE = 4
LOOKS = 4
LOOK_SECONDS = 0.7
_ORCHESTRATED = ("kubernetes", "k8s", "cluster.x-k8s.io", "kube_service")


@dataclass(frozen=True, slots=True)
class Project:
    """What was read of one project, and how it ended."""

    groups: tuple[Group, ...]
    quotas: Quotas | None

    def named(self, name: str) -> list[Group]:
        return [group for group in self.groups if group.name == name]


@dataclass(slots=True)
class OpenStackReader:
    """Reads one login, every list once."""

    api: Api
    projects: dict[str, Project | ProviderError] = field(default_factory=dict)
    ports: dict[str, tuple[Port, ...] | ProviderError] = field(default_factory=dict)
    _servers: tuple[Server, ...] | ProviderError | None = None
    _addresses: tuple[AddressGroup, ...] | ProviderError | None = None

    def read(self, specs: Sequence[FirewallSpec]) -> Mapping[str, Observation]:
        """Every group asked for. By id, a group that is not there is an error; by name it is
        `Absent`."""
        try:
            own = self.api.project
        except ProviderError as error:
            return {spec.name: Unreadable(error) for spec in specs}
        places = {provider.settings_of(spec).project or own: spec for spec in specs}
        attaching = {
            provider.settings_of(spec).project or own
            for spec in specs
            if provider.settings_of(spec).ports or provider.settings_of(spec).servers
        }
        with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="openstack") as pool:
            ports = {project: pool.submit(self._ports_of, project) for project in attaching}
            quotas = {project: pool.submit(self._quotas_of, project) for project in places}
            for project in places:
                theirs = [s for s in specs if (provider.settings_of(s).project or own) == project]
                self.projects[project] = self._project(project, theirs, quotas[project])
            for project, future in ports.items():
                self.ports[project] = future.result()
        return {
            spec.name: self._observed(spec, provider.settings_of(spec).project or own)
            for spec in specs
        }

    def read_machines(self, specs: Sequence[FirewallSpec]) -> Fleet | Unreadable:
        """The servers and ports the firewalls are about: a call for all ports, one for floating
        addresses, one for servers' names, one for address groups if a rule has one."""
        from cloudsync_openstack.machines import Account, fleet, uses_address_groups

        try:
            own = self.api.project
            projects = sorted({provider.settings_of(spec).project or own for spec in specs})
            with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="openstack") as pool:
                missing = [name for name in projects if name not in self.ports]
                self.ports |= dict(zip(missing, pool.map(self._ports_of, missing), strict=True))
                floating = pool.submit(self.api.list, "floatingips", "floatingips", FloatingIp)
                servers = pool.submit(self._named_servers)
                groups = [_raised(self._known(project)) for project in projects]
                known = {group.id: group for read in groups for group in read.groups}
                addresses: tuple[AddressGroup, ...] = ()
                if uses_address_groups(known.values()):
                    addresses = self.address_groups()
                account = Account(
                    specs=specs,
                    project=own,
                    groups=known,
                    ports=[port for name in projects for port in _raised(self.ports[name])],
                    floating=_tolerated(floating),
                    servers=servers.result(),
                    addresses=addresses,
                )
            return fleet(account)
        except ProviderError as error:
            return Unreadable(error)

    def read_marked(
        self,
        owner: str,
        specs: Sequence[FirewallSpec],
        *,
        ask: bool,  # noqa: ARG002 - no call is needed
    ) -> Sequence[Marked] | Unreadable:
        """Out of the groups that were read."""
        from cloudsync_openstack.machines import Account, marked

        try:
            own = self.api.project
            projects = sorted(
                {provider.settings_of(spec).project or own for spec in specs} or {own}
            )
            groups = {g.id: g for name in projects for g in _raised(self._known(name)).groups}
            return marked(Account(specs, own, groups), owner)
        except ProviderError as error:
            return Unreadable(error)

    def address_groups(self) -> tuple[AddressGroup, ...]:
        """All that the login sees. Raises `ProviderError`."""
        if self._addresses is None:
            self._addresses = _caught(
                lambda: self.api.list("address-groups", "address_groups", AddressGroup)
            )
        return _raised(self._addresses)

    def _lists(self, spec: FirewallSpec) -> Mapping[str, NetworkSet]:
        """The networks of the address groups that the configuration names. Raises
        `ProviderError`."""
        if not spec.lists:
            return {}
        known = networks_of(self.address_groups())
        for list_id in spec.lists:
            if list_id not in known:
                raise NotFound(f"the login sees no address group {list_id}")
        return {list_id: known[list_id] for list_id in spec.lists}

    def _known_addresses(self, group: Group) -> Mapping[str, NetworkSet]:
        """The networks of address groups if a rule names one; nothing if they cannot be read."""
        if all(rule.remote_address_group_id is None for rule in group.security_group_rules):
            return {}
        try:
            return networks_of(self.address_groups())
        except ProviderError:
            return {}

    def _known(self, project: str) -> Project | ProviderError:
        if project not in self.projects:
            self.projects[project] = _caught(lambda: Project(self._groups_of(project), None))
        return self.projects[project]

    def _project(
        self, project: str, specs: Sequence[FirewallSpec], quotas: Future[Quotas | None]
    ) -> Project | ProviderError:
        names = {provider.name_of(spec) for spec in specs if provider.settings_of(spec).id is None}

        def settled() -> Project:
            read = Project(self._groups_of(project), quotas.result())
            for _ in range(LOOKS - 1):
                if all(len(read.named(name)) <= 1 for name in names):
                    break
                # Runs that created one group at once settle that among themselves in a second.
                time.sleep(LOOK_SECONDS)
                read = Project(self._groups_of(project), read.quotas)
            return read

        return _caught(settled)

    def _groups_of(self, project: str) -> tuple[Group, ...]:
        groups = self.api.list("security-groups", "security_groups", Group, project_id=project)
        groups = tuple(group for group in groups if same_id(group.project_id, project))
        # A login without the role of a reader is answered an empty list, not an error; and every
        # project has its group `default` from the first call on.
        if not any(group.name == DEFAULT for group in groups):
            raise AuthError(
                f"the cloud lists no group {DEFAULT!r} in the project {project}, which every "
                f"project has: the login may not read its groups (docs/providers/openstack.md has "
                f"the roles it needs)"
            )
        return groups

    def _quotas_of(self, project: str) -> Quotas | None:
        """None if the cloud does not report them to this login: Neutron itself then refuses what is
        too much, all of it or nothing."""
        try:
            return self.api.get(f"quotas/{project}/details.json", QuotaDetails).quota
        except ProviderError:
            return None

    def _ports_of(self, project: str) -> tuple[Port, ...] | ProviderError:
        return _caught(lambda: self.api.list("ports", "ports", Port, project_id=project))

    def _named_servers(self) -> tuple[Server, ...] | ProviderError:
        if self._servers is None:
            self._servers = _caught(self._listed_servers)
        return self._servers

    def _listed_servers(self) -> tuple[Server, ...]:
        if not self.api.has_compute:
            raise NotFound("the cloud has no compute service that knows servers by name")
        return self.api.servers(Server)

    def _observed(self, spec: FirewallSpec, project: str) -> Observation:
        name = provider.settings_of(spec).id or provider.name_of(spec)
        try:
            read = _raised(self.projects[project])
            group = self._group(spec, read, project)
            attachments = self._attachments(spec, project, group)
            lists = self._lists(spec)
            if group is None:
                return Absent(attachments, native=Found(project, read.quotas), lists=lists)
            objects, kept = from_vendor(
                group.security_group_rules, self._known_addresses(group), spec.lists
            )
            listed = tuple(rule for rule_object in objects for rule in rule_object.lets_in)
            return Present(
                id=group.id,
                rules=RuleSet.of(listed),
                marker=marker_of(group, spec.marker),
                listed=listed,
                attachments=attachments,
                kept=kept,
                described=tuple(
                    Description(rule_object.lets_in, rule_object.description)
                    for rule_object in objects
                    if rule_object.description
                ),
                objects=objects,
                managed_by=_managed_by(group),
                native=Found(project, read.quotas, group),
                lists=lists,
            )
        except UnknownRule as error:
            return Unreadable(Unsupported(f"the group {name!r} has {error}"))
        except ProviderError as error:
            return Unreadable(error)

    def _group(self, spec: FirewallSpec, read: Project, project: str) -> Group | None:
        id_ = provider.settings_of(spec).id
        if id_ is not None:
            for group in read.groups:
                if same_id(group.id, id_):
                    return group
            raise NotFound(f"the project {project} has no group {id_}")
        fitting = read.named(provider.name_of(spec))
        if len(fitting) > 1:
            ids = ", ".join(group.id for group in fitting)
            groups = count(len(fitting), "group of the project is", "groups of the project are")
            raise Conflict(
                f"{groups} named {provider.name_of(spec)!r} ({ids}): delete those that are not "
                "meant, or say which with id"
            )
        return fitting[0] if fitting else None

    def _attachments(
        self, spec: FirewallSpec, project: str, group: Group | None
    ) -> tuple[Attachment, ...]:
        settings = provider.settings_of(spec)
        if not settings.ports and not settings.servers:
            return ()
        ports = _raised(self.ports[project])
        attachments = [
            _attachment(f"port {port.id}", (port,), group) for port in self._ports(spec, ports)
        ]
        for wanted in dict.fromkeys(settings.servers):
            server, name = self._server(wanted, ports)
            theirs = tuple(port for port in ports if port.device_id == server and port.is_of_server)
            if not theirs:
                raise NotFound(
                    f"the server {wanted!r} has no port in the project: nothing to attach to"
                )
            attachments.append(_attachment(f"server {server}", theirs, group, name))
        return tuple({attachment.target: attachment for attachment in attachments}.values())

    def _ports(self, spec: FirewallSpec, ports: Sequence[Port]) -> list[Port]:
        chosen = []
        for wanted in dict.fromkeys(provider.settings_of(spec).ports):
            fitting = [port for port in ports if port.id == wanted] or [
                port for port in ports if port.name == wanted
            ]
            if len(fitting) != 1:
                many = count(len(fitting), "port") if fitting else "no port"
                raise NotFound(
                    f"the project has {many} {wanted!r}, which the configuration attaches the "
                    f"firewall to"
                )
            chosen += fitting
        return chosen

    def _server(self, wanted: str, ports: Sequence[Port]) -> tuple[str, str]:
        """Id and name. An id needs no compute service: ports say whose they are."""
        if any(port.device_id == wanted and port.is_of_server for port in ports):
            return wanted, wanted
        fitting = [server for server in _raised(self._named_servers()) if server.name == wanted]
        if len(fitting) != 1:
            many = count(len(fitting), "server") if fitting else "no server"
            raise NotFound(
                f"the project has {many} {wanted!r}, which the configuration attaches the firewall "
                f"to"
            )
        return fitting[0].id, fitting[0].name


def _attachment(
    target: str, ports: tuple[Port, ...], group: Group | None, name: str | None = None
) -> Attachment:
    """What it takes that `group` acts on all of `ports`."""
    missing = [
        port
        for port in ports
        if group is None or group.id not in port.security_groups or not port.port_security_enabled
    ]
    open_ = [port for port in missing if not port.port_security_enabled]
    reason = None
    if open_:
        names = ", ".join(plain(port.name) or port.id for port in open_)
        reason = (
            f"port security is off on {names} and is turned on: besides the rules it also drops "
            f"packets with other addresses than the port's own (routers, VRRP, container networks)"
        )
    return Attachment(
        target,
        attached=not missing,
        newly_covered=tuple(_machine(port, name) for port in missing),
        native=tuple(
            Place(
                port.id,
                tuple(port.security_groups),
                port.port_security_enabled,
                port.revision_number,
            )
            for port in missing
        ),
        reason=reason,
    )


def _machine(port: Port, name: str | None) -> Machine:
    if port.is_of_server:
        return Machine(
            port.device_id, plain(name or port.name or port.device_id), port.port_security_enabled
        )
    return Machine(port.id, plain(port.name or port.id), port.port_security_enabled, "port")


def _managed_by(group: Group) -> tuple[str, ...]:
    words = " ".join((group.name, group.description or "", *(group.tags or ()))).lower()
    return ("a Kubernetes cluster",) if any(word in words for word in _ORCHESTRATED) else ()


def _caught(call: Callable[[], Result]) -> Result | ProviderError:
    try:
        return call()
    except ProviderError as error:
        return error


def _raised(result: Result | ProviderError) -> Result:
    if isinstance(result, ProviderError):
        raise result
    return result


def _tolerated(future: Future[tuple[FloatingIp, ...]]) -> tuple[FloatingIp, ...] | ProviderError:
    """A cloud without routers has no floating addresses, and answers 404."""
    try:
        return future.result()
    except NotFound:
        return ()
    except ProviderError as error:
        return error
