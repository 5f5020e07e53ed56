"""Reading a project: all groups with their rules in one call, what the quota leaves in another; all
ports in a third if something is attached or exposure is asked for."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import TypeVar

from cloudsync.provider.answers import networks_of, printable
from cloudsync.provider.contract import Absent, Attachment, FirewallSpec, Present
from cloudsync.provider.errors import Conflict, Forbidden, NotFound, ProviderError, Unsupported
from cloudsync.provider.machines import Fleet, Marked
from cloudsync.provider.marker import of_several
from cloudsync.provider.once import once
from cloudsync.provider.phrases import count
from cloudsync.provider.reader import ReaderBase
from cloudsync.provider.rule_list import ListedRules
from cloudsync.provider.simple_fleet import attachment, named
from cloudsync.rules import NetworkSet
from cloudsync_openstack import provider
from cloudsync_openstack.answers import AddressGroup, FloatingIp, Group, Port, Quotas, Server
from cloudsync_openstack.client import Api
from cloudsync_openstack.machines import (
    NO_PORT,
    NO_SERVER,
    fleet,
    is_group,
    listed,
    machine_of,
    marked,
    with_rules,
)
from cloudsync_openstack.native import DEFAULT, Found, markers_of, same_id
from cloudsync_openstack.rules import from_vendor

Result = TypeVar("Result")
AT_ONCE = 4
LOOKS = 4
LOOK_SECONDS = 0.7
_ORCHESTRATED = ("kubernetes", "k8s", "cluster.x-k8s.io", "kube_service")


class OpenStackReader(ReaderBase):
    """Reads one login, every list once."""

    def __init__(self, api: Api) -> None:
        self.api = api
        # Functions of the login, not of this object: a circle would keep connections open.
        self._servers = once(partial(_list_servers, api))
        self._addresses = once(partial(_list_addresses, api))
        self._forget(())

    def prepare(self, specs: Sequence[FirewallSpec]) -> None:
        """All lists of the projects, at the same time. How one ends concerns the firewalls of its
        project."""
        self._forget(specs)
        projects = self._projects(specs)
        attaching = self._projects([s for s in specs if provider.settings_of(s).attaches])
        with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="openstack") as pool:
            for project in attaching:
                pool.submit(self._ports, project)
            for project in projects:
                pool.submit(self._quotas, project)
            for project in projects:
                pool.submit(self._groups, project)

    def observation(self, spec: FirewallSpec) -> Present | Absent:
        """A group. One that is named by id and is not there is an error; by name it is
        `Absent`."""
        project = self._project(spec)
        group = self._group(spec, project)
        attachments = self._attachments(spec, project, group)
        lists = self._lists(spec)
        native = Found(project, self._quotas(project), group)
        if group is None:
            return Absent(attachments, native=native, lists=lists)
        addresses = self._known_addresses(group)
        try:
            objects, kept = from_vendor(group.inbound, addresses, spec.lists)
        except Unsupported as error:
            name = provider.settings_of(spec).id or provider.name_of(spec)
            raise Unsupported(f"the group {name!r} has {error}") from None
        rules = ListedRules.of_objects(objects)
        return Present(
            id=group.id,
            rules=rules.rules,
            marker=of_several(markers_of(group), spec.marker),
            listed=rules.listed,
            attachments=attachments,
            kept=kept,
            described=rules.described,
            objects=rules.objects,
            managed_by=_managed_by(group),
            native=native,
            lists=lists,
        )

    def fleet(self, specs: Sequence[FirewallSpec]) -> Fleet:
        """The servers and ports the firewalls are about: a call for all ports, one for floating
        addresses, one for servers' names, one for address groups if a rule has one."""
        projects = self._projects(specs)
        with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="openstack") as pool:
            for project in projects:
                pool.submit(self._ports, project)
            named_servers = pool.submit(
                _tolerated,
                self._servers,
                "servers are known by id, not by name: {}; a server that only bears the name of a "
                "host was not recognized",
            )
            floating = pool.submit(
                _tolerated,
                partial(_list_floating, self.api),
                "floating addresses could not be read: {}; a port that has one counts as "
                "unreachable",
            )
            groups = self.groups(specs)
            named_by_rules = any(group.names_addresses for group in groups)
            addresses = self._addresses() if named_by_rules else {}
        (names, unnamed), (addressed, unaddressed) = named_servers.result(), floating.result()
        own = self.api.project
        firewalls = {g.id: with_rules(listed(g, specs, own), g, addresses) for g in groups}
        ports = [port for project in projects for port in self._ports(project)]
        by_id = {server.id: server.name for server in names}
        return fleet(specs, firewalls, ports, by_id, addressed, (*unnamed, *unaddressed))

    def marked(
        self,
        owner: str,
        specs: Sequence[FirewallSpec],
        *,
        ask: bool,  # noqa: ARG002 - no call is needed
    ) -> Sequence[Marked]:
        """Out of the groups that were read."""
        return marked(self.groups(specs), owner, specs, self.api.project)

    def groups(self, specs: Sequence[FirewallSpec]) -> list[Group]:
        """All groups of the firewalls' projects; without a firewall, of the login's. Raises
        `ProviderError`."""
        projects = self._projects(specs) or [self.api.project]
        return [group for project in projects for group in self._groups(project)]

    def _forget(self, specs: Sequence[FirewallSpec]) -> None:
        """What is read of projects is read anew, for these firewalls."""
        self._groups = once(partial(_list_settled, self.api, specs))
        self._quotas = once(partial(_ask_quotas, self.api))
        self._ports = once(partial(_list_ports, self.api))

    def _project(self, spec: FirewallSpec) -> str:
        return provider.settings_of(spec).project or self.api.project

    def _projects(self, specs: Sequence[FirewallSpec]) -> list[str]:
        """The projects of the firewalls. Logs in, before calls that run at the same time."""
        own = self.api.project
        return sorted({provider.settings_of(spec).project or own for spec in specs})

    def _lists(self, spec: FirewallSpec) -> Mapping[str, NetworkSet]:
        """The networks of the address groups that the configuration names. Raises
        `ProviderError`."""
        known = self._addresses() if spec.lists else {}
        for list_id in spec.lists:
            if list_id not in known:
                raise NotFound(f"the login sees no address group {list_id}")
        return {list_id: known[list_id] for list_id in spec.lists}

    def _known_addresses(self, group: Group) -> Mapping[str, NetworkSet]:
        """The networks of address groups if a rule names one; nothing if they cannot be read."""
        try:
            return self._addresses() if group.names_addresses else {}
        except ProviderError:
            return {}

    def _group(self, spec: FirewallSpec, project: str) -> Group | None:
        fitting = _fitting(self.api, spec, self._groups(project))
        id_ = provider.settings_of(spec).id
        if id_ is not None and not fitting:
            raise NotFound(f"the project {project} has no group {id_}")
        if len(fitting) > 1:
            ids = ", ".join(group.id for group in fitting)
            several = count(len(fitting), "group of the project is", "groups of the project are")
            raise Conflict(
                f"{several} named {provider.name_of(spec)!r} ({ids}): delete those that are not "
                "meant, or say which with id"
            )
        return fitting[0] if fitting else None

    def _attachments(
        self, spec: FirewallSpec, project: str, group: Group | None
    ) -> tuple[Attachment, ...]:
        settings = provider.settings_of(spec)
        if not settings.attaches:
            return ()
        ports = self._ports(project)
        chosen = [named(ports, wanted, NO_PORT) for wanted in dict.fromkeys(settings.ports)]
        attachments = [_attachment(f"port {port.id}", (port,), group, {}) for port in chosen]
        for wanted in dict.fromkeys(settings.servers):
            server, name = self._server(wanted, ports)
            theirs = tuple(port for port in ports if port.device_id == server and port.is_of_server)
            if not theirs:
                raise NotFound(
                    f"the server {wanted!r} has no port in the project: nothing to attach to"
                )
            attachments.append(_attachment(f"server {server}", theirs, group, {server: name}))
        return tuple({attachment.target: attachment for attachment in attachments}.values())

    def _server(self, wanted: str, ports: Sequence[Port]) -> tuple[str, str]:
        """Id and name. An id needs no compute service: ports say whose they are."""
        if any(port.device_id == wanted and port.is_of_server for port in ports):
            return wanted, wanted
        server = named(self._servers(), wanted, NO_SERVER)
        return server.id, server.name


def _list_settled(api: Api, specs: Sequence[FirewallSpec], project: str) -> tuple[Group, ...]:
    """The groups of a project. Runs that created one group at once settle that among themselves in
    a second."""
    groups = _list_groups(api, project)
    for _ in range(LOOKS - 1):
        if all(len(_fitting(api, spec, groups)) <= 1 for spec in specs):
            break
        time.sleep(LOOK_SECONDS)
        groups = _list_groups(api, project)
    return groups


def _fitting(api: Api, spec: FirewallSpec, groups: Sequence[Group]) -> list[Group]:
    own = api.project
    return [group for group in groups if is_group(spec, group, own)]


def _list_groups(api: Api, project: str) -> tuple[Group, ...]:
    groups = api.list("security-groups", Group, project_id=project)
    groups = tuple(group for group in groups if same_id(group.project_id, project))
    # A login without the role of a reader is answered an empty list, not an error; and every
    # project has its group `default` from the first call on.
    if not any(group.name == DEFAULT for group in groups):
        raise Forbidden(
            f"the cloud lists no group {DEFAULT!r} in the project {project}, which every project "
            f"has: the login may not read its groups (docs/providers/openstack.md has the roles it "
            f"needs)"
        )
    return groups


def _ask_quotas(api: Api, project: str) -> Quotas | None:
    """None if the cloud does not report them to this login: Neutron itself then refuses what is too
    much, all of it or nothing."""
    try:
        return api.get(f"quotas/{project}/details.json", "quota", Quotas)
    except ProviderError:
        return None


def _list_ports(api: Api, project: str) -> tuple[Port, ...]:
    return api.list("ports", Port, project_id=project)


def _list_servers(api: Api) -> tuple[Server, ...]:
    servers = api.servers()
    if servers is None:
        raise NotFound("the cloud has no compute service that knows servers by name")
    return servers


def _list_floating(api: Api) -> tuple[FloatingIp, ...]:
    """A cloud without routers has no floating addresses, and answers 404."""
    try:
        return api.list("floatingips", FloatingIp)
    except NotFound:
        return ()


def _list_addresses(api: Api) -> Mapping[str, NetworkSet]:
    """The networks of all address groups that the login sees, by id."""
    groups = api.list("address-groups", AddressGroup)
    return {group.id: networks_of(group.addresses) for group in groups}


def _attachment(
    target: str, ports: tuple[Port, ...], group: Group | None, names: Mapping[str, str]
) -> Attachment:
    """What it takes that `group` acts on all of `ports`. `names`: of their servers, by id."""
    missing = tuple(
        port
        for port in ports
        if group is None or group.id not in port.security_groups or not port.port_security_enabled
    )
    open_ = [port for port in missing if not port.port_security_enabled]
    reason = None
    if open_:
        unsecured = ", ".join(printable(port.name) or port.id for port in open_)
        reason = (
            f"port security is off on {unsecured} and is turned on: besides the rules it also "
            f"drops packets with other addresses than the port's own (routers, VRRP, container "
            f"networks)"
        )
    fresh = [machine_of((port,), names) for port in missing]
    return replace(attachment(target, fresh, missing, attached=not missing), reason=reason)


def _managed_by(group: Group) -> tuple[str, ...]:
    words = " ".join((group.name, group.description or "", *(group.tags or ()))).lower()
    return ("a Kubernetes cluster",) if any(word in words for word in _ORCHESTRATED) else ()


def _tolerated(
    call: Callable[[], tuple[Result, ...]], unless: str
) -> tuple[tuple[Result, ...], tuple[str, ...]]:
    """What was listed; nothing if that failed, and the sentence `unless` with the reason in it."""
    try:
        return call(), ()
    except ProviderError as error:
        return (), (unless.format(error.message),)
