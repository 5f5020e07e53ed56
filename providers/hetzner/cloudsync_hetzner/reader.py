"""Reading a project: all firewalls and all servers, a call per 50 of each, and one more only for a
selector that is not applied yet."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from cloudsync.provider.contract import (
    Absent,
    Attachment,
    Description,
    FirewallSpec,
    Machine,
    Observation,
    Pending,
    Present,
    Unreadable,
)
from cloudsync.provider.errors import NotFound, ProviderError, Transient, Unsupported
from cloudsync.provider.machines import Fleet, Marked
from cloudsync.provider.owners import owners_of
from cloudsync.provider.rule_list import keyed
from cloudsync.rules import RuleSet
from cloudsync_hetzner.client import Api
from cloudsync_hetzner.machines import covered_by, firewalls_on, fleet, is_public, marked
from cloudsync_hetzner.native import Found, marker_of
from cloudsync_hetzner.rules import UnknownRule, from_vendor
from cloudsync_hetzner.settings import settings_of

MAX_FIREWALLS = 5


@dataclass(slots=True)
class HetznerReader:
    """Reads one project, its lists once. `identity`: a firewall's name at the vendor."""

    api: Api
    identity: Callable[[FirewallSpec], str]
    _project: Project | None = None

    def read(self, specs: Sequence[FirewallSpec]) -> Mapping[str, Observation]:
        """Every firewall asked for; where a list cannot be had, none of them is known."""
        project = self._listed()
        if isinstance(project, Unreadable):
            return {spec.name: project for spec in specs}
        return {spec.name: self._one(project, spec) for spec in specs}

    def read_machines(self, specs: Sequence[FirewallSpec]) -> Fleet | Unreadable:
        """All servers the firewalls are about, out of the two lists that `read` needs anyway."""
        project = self._listed()
        if isinstance(project, Unreadable):
            return project
        try:
            return fleet(project, {self.identity(spec): spec for spec in specs})
        except (KeyError, TypeError, AttributeError, ValueError):
            return Unreadable(Transient("the servers of Hetzner cannot be understood"))

    def read_marked(
        self,
        owner: str,
        specs: Sequence[FirewallSpec],
        *,
        ask: bool,  # noqa: ARG002 - no call is needed
    ) -> Sequence[Marked] | Unreadable:
        """Out of the list of firewalls."""
        project = self._listed()
        if isinstance(project, Unreadable):
            return project
        return marked(project, owner, {self.identity(spec): spec for spec in specs})

    def _listed(self) -> Project | Unreadable:
        if self._project is None:
            try:
                with ThreadPoolExecutor(1, thread_name_prefix="servers") as beside:
                    servers = beside.submit(self.api.pages, "/servers", "servers")
                    firewalls = self.api.pages("/firewalls", "firewalls")
                self._project = Project(self.api, firewalls, servers.result())
            except ProviderError as error:
                return Unreadable(error)
            except (KeyError, TypeError, AttributeError, ValueError):
                return Unreadable(
                    Transient("Hetzner answered with lists that cannot be understood")
                )
        return self._project

    def _one(self, project: Project, spec: FirewallSpec) -> Observation:
        try:
            return project.observe(spec, self.identity(spec))
        except ProviderError as error:
            return Unreadable(error)
        except UnknownRule as error:
            return Unreadable(Unsupported(f'the firewall "{self.identity(spec)}" has {error}'))
        except (KeyError, TypeError, AttributeError):
            return Unreadable(
                Transient(f'the firewall "{self.identity(spec)}" cannot be understood')
            )


class Project:
    """A project's firewalls and servers, as they were listed. `selected`: ids of the servers that
    selectors match which were asked for."""

    def __init__(
        self, api: Api, firewalls: list[dict[str, Any]], servers: list[dict[str, Any]]
    ) -> None:
        self.api = api
        self.firewalls = {str(firewall["name"]): firewall for firewall in firewalls}
        self.by_id = {int(firewall["id"]): firewall for firewall in firewalls}
        self.servers = {int(server["id"]): server for server in servers}
        self.names = {str(server["name"]): server for server in servers}
        self.selected: dict[str, frozenset[int]] = {}

    def observe(self, spec: FirewallSpec, name: str) -> Observation:
        firewall = self.firewalls.get(name)
        attachments = self._attachments(spec, firewall)
        if firewall is None:
            return Absent(attachments)
        inbound = [rule for rule in firewall["rules"] if rule["direction"] == "in"]
        understood = [(from_vendor(one), str(one.get("description") or "")) for one in inbound]
        rules = tuple(rule for meant, _ in understood for rule in meant)
        covered = covered_by(firewall)
        return Present(
            id=str(firewall["id"]),
            rules=RuleSet.of(rules),
            marker=marker_of(firewall["labels"]),
            listed=rules,
            attachments=attachments,
            pending=tuple(
                pending for id_ in sorted(covered) for pending in self._pending(firewall, id_)
            ),
            described=tuple(
                Description(RuleSet.of(meant), text) for meant, text in understood if text
            ),
            objects=keyed(
                [
                    (_spelled(native), RuleSet.of(meant), text)
                    for native, (meant, text) in zip(inbound, understood, strict=True)
                ]
            ),
            managed_by=owners_of(dict(firewall["labels"]), str(firewall["name"])),
            native=Found(
                inbound=tuple(inbound),
                id=int(firewall["id"]),
                labels=dict(firewall["labels"]),
                outbound=tuple(rule for rule in firewall["rules"] if rule["direction"] != "in"),
                foreign_effective=max(
                    (self._foreign_effective(firewall, id_) for id_ in covered), default=0
                ),
            ),
        )

    def _attachments(
        self, spec: FirewallSpec, firewall: dict[str, Any] | None
    ) -> tuple[Attachment, ...]:
        settings = settings_of(spec)
        covered = covered_by(firewall) if firewall else set()
        direct = {
            int(one["server"]["id"])
            for one in (firewall or {"applied_to": []})["applied_to"]
            if one["type"] == "server"
        }
        attachments = []
        for wanted in dict.fromkeys(settings.servers):
            server = self._server(wanted)
            id_ = int(server["id"])
            machines = () if id_ in covered else (self._machine(server),)
            native = {"type": "server", "server": {"id": id_}} | self._full(
                [server] if machines else []
            )
            attachments.append(
                Attachment(f"server {id_}", id_ in direct or id_ in covered, machines, native)
            )
        if (selector := settings.label_selector) is not None:
            attachments.append(self._selected(selector, firewall, covered))
        return tuple({one.target: one for one in attachments}.values())

    def _selected(
        self, selector: str, firewall: dict[str, Any] | None, covered: set[int]
    ) -> Attachment:
        """What a selector matches only the vendor says; asked only where it is not applied yet."""
        applied = [
            one["label_selector"]["selector"]
            for one in (firewall or {"applied_to": []})["applied_to"]
            if one["type"] == "label_selector"
        ]
        native = {"type": "label_selector", "label_selector": {"selector": selector}}
        if selector in applied:
            return Attachment(f"label selector {selector}", attached=True, native=native)
        matched = self.api.pages("/servers", "servers", {"label_selector": selector})
        self.selected[selector] = frozenset(int(one["id"]) for one in matched)
        fresh = [one for one in matched if int(one["id"]) not in covered and is_public(one)]
        machines = tuple(self._machine(one) for one in fresh)
        return Attachment(
            f"label selector {selector}",
            attached=False,
            newly_covered=machines,
            native=native | self._full(fresh),
        )

    def _server(self, wanted: str | int) -> dict[str, Any]:
        server = self.servers.get(wanted) if isinstance(wanted, int) else self.names.get(wanted)
        if server is None and isinstance(wanted, str) and wanted.isdecimal():
            server = self.servers.get(int(wanted))
        if server is None:
            raise NotFound(
                f"the project has no server {str(wanted)[:64]!r}, which the configuration attaches the firewall to"
            )
        if not is_public(server):
            raise Unsupported(
                f"the server {str(wanted)[:64]!r} has no public interface: a Hetzner firewall cannot act on it"
            )
        return server

    def _machine(self, server: dict[str, Any]) -> Machine:
        return Machine(str(server["id"]), str(server["name"]), protected=bool(firewalls_on(server)))

    def _full(self, servers: list[dict[str, Any]]) -> dict[str, Any]:
        full = next(
            (
                str(server["name"])
                for server in servers
                if len(firewalls_on(server)) >= MAX_FIREWALLS
            ),
            None,
        )
        return {"_full": full} if full else {}

    def _pending(self, firewall: dict[str, Any], id_: int) -> list[Pending]:
        """What the server itself says is not in effect."""
        server = self.servers.get(id_)
        if server is None:
            return []
        status = {int(one["id"]): one["status"] for one in firewalls_on(server)}.get(
            int(firewall["id"])
        )
        if status == "applied":
            return []
        reason = (
            "is still being applied, or failed to be"
            if status
            else "is not in effect, although the firewall is applied to it"
        )
        return [Pending(f"server {id_}", f"on {server['name']} it {reason}")]

    def _foreign_effective(self, firewall: dict[str, Any], id_: int) -> int:
        others = [
            one for one in self.by_id.values() if one is not firewall and id_ in covered_by(one)
        ]
        return sum(
            len(rule["source_ips"]) + len(rule["destination_ips"])
            for other in others
            for rule in other["rules"]
        )


def _spelled(rule: Mapping[str, Any]) -> str:
    """A rule as it stands at Hetzner: rules have no ids."""
    return f"{rule['protocol']}/{rule.get('port') or ''} from {', '.join(rule['source_ips'])}"
