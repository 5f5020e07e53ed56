"""Reading a project: all firewalls and all servers, a call per 50 of each, and one more only for a
selector that is not applied yet."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from cloudsync.provider.account_reader import AccountReader, ListedRules
from cloudsync.provider.contract import Absent, Attachment, FirewallSpec, Pending, Present
from cloudsync.provider.errors import Unsupported
from cloudsync.provider.http import Rest
from cloudsync.provider.machines import BOTH_FAMILIES
from cloudsync.provider.owners import owners_of
from cloudsync.provider.simple_fleet import Acts, ListedFirewall, ListedMachine, attachment, named
from cloudsync_hetzner.answers import Firewall, Rule, Server
from cloudsync_hetzner.native import MARKER, Observed, Resource
from cloudsync_hetzner.rules import lets_in
from cloudsync_hetzner.settings import HetznerFirewall

if TYPE_CHECKING:
    from cloudsync_hetzner.plugin import HetznerProvider

MAX_FIREWALLS = 5
LACKS = "the project has no server"


class HetznerReader(AccountReader["Project"]):
    """Reads one project."""

    provider: HetznerProvider
    lacks = LACKS
    not_evaluated = (
        "load balancers in front of the servers, and firewalls inside them",
        "private networks, which Hetzner firewalls do not filter and the Internet does not reach",
    )

    def list_account(self) -> Project:
        """Firewalls and servers, at the same time."""
        with ThreadPoolExecutor(1, thread_name_prefix="servers") as pool:
            servers = pool.submit(self.api.pages, "/servers", "servers", Server)
            firewalls = self.api.pages("/firewalls", "firewalls", Firewall)
        return Project(self.api, firewalls, servers.result())

    def observe(self, listing: Project, spec: FirewallSpec) -> Present | Absent:
        """One firewall by its name."""
        return listing.observe(self.provider.identity(spec), self.provider.settings_of(spec))

    def firewalls(
        self, listing: Project, specs: Sequence[FirewallSpec]
    ) -> Mapping[str, ListedFirewall]:
        """All of the project."""
        return listing.listed({self.provider.identity(spec): spec.name for spec in specs})

    def machines(self, listing: Project, specs: Sequence[FirewallSpec]) -> Sequence[ListedMachine]:
        """All servers of the project."""
        selectors = {s.name: self.provider.settings_of(s).label_selector for s in specs}
        return [listing.machine(server, selectors) for server in listing.servers.values()]

    def wanted(self, spec: FirewallSpec) -> Sequence[str | int]:
        """The key `servers`."""
        return self.provider.settings_of(spec).servers


class Project:
    """A project's firewalls and servers, as they were listed."""

    def __init__(self, api: Rest, firewalls: list[Firewall], servers: list[Server]) -> None:
        self.api = api
        self.firewalls = {firewall.name: firewall for firewall in firewalls}
        self.servers = {server.id: server for server in servers}
        self._acting: dict[int, dict[str, Acts]] = {
            server.id: _acting(server, firewalls) for server in servers
        }
        self._selected: dict[str, frozenset[int]] = {}

    def observe(self, name: str, settings: HetznerFirewall) -> Present | Absent:
        """One firewall. Raises `ProviderError`."""
        firewall = self.firewalls.get(name)
        attachments = self._attachments(settings, firewall)
        if firewall is None:
            return Absent(attachments)
        inbound = firewall.inbound
        rules = ListedRules.read(name, inbound, _spelled, lets_in, lambda r: r.description or "")
        covered = sorted(firewall.covered)
        return Present(
            id=str(firewall.id),
            rules=rules.rules,
            marker=MARKER.read(firewall.labels),
            listed=rules.listed,
            attachments=attachments,
            pending=tuple(p for id_ in covered for p in self._pending(firewall, id_)),
            described=rules.described,
            objects=rules.objects,
            managed_by=owners_of(firewall.labels, firewall.name),
            native=Observed(
                firewall.id,
                firewall.labels,
                inbound,
                firewall.outbound,
                max((self._foreign_effective(firewall, id_) for id_ in covered), default=0),
            ),
        )

    def listed(self, names: Mapping[str, str]) -> dict[str, ListedFirewall]:
        """All firewalls by id. `names`: of the configuration, by their names at the vendor."""
        listed = (_listed(firewall, names) for firewall in self.firewalls.values())
        return {firewall.id: firewall for firewall in listed}

    def machine(
        self, server: Server, selectors: Mapping[str, str | None] | None = None
    ) -> ListedMachine:
        """A server with every firewall that acts on it. `selectors`: by firewall of the
        configuration."""
        net = server.public_net
        return ListedMachine(
            str(server.id),
            server.name,
            "server",
            # A floating address is of a family the server's answer does not name.
            BOTH_FAMILIES if net.floating_ips else net.families,
            net.addresses,
            self._acting.get(server.id) or _acting(server, self.firewalls.values()),
            frozenset(
                name
                for name, selector in (selectors or {}).items()
                if selector is not None and server.id in self._selected.get(selector, ())
            ),
        )

    def _attachments(
        self, settings: HetznerFirewall, firewall: Firewall | None
    ) -> tuple[Attachment, ...]:
        covered = firewall.covered if firewall is not None else frozenset()
        machines = [self.machine(server) for server in self.servers.values()]
        attachments = {}
        for wanted in dict.fromkeys(settings.servers):
            machine = named(machines, wanted, LACKS)
            if not machine.addresses:
                raise Unsupported(
                    f"the server {str(wanted)[:64]!r} has no public interface: a Hetzner firewall "
                    f"cannot act on it"
                )
            attached = int(machine.id) in covered
            fresh = [] if attached else [machine]
            body = {"type": "server", "server": {"id": int(machine.id)}}
            attachments[machine.target] = _attachment(machine.target, attached, fresh, body)
        if (selector := settings.label_selector) is not None:
            attachments[selector] = self._selecting(selector, firewall)
        return tuple(attachments.values())

    def _selecting(self, selector: str, firewall: Firewall | None) -> Attachment:
        """Only the vendor knows what a selector matches; asked only if it is not applied yet."""
        target = f"label selector {selector}"
        body = {"type": "label_selector", "label_selector": {"selector": selector}}
        if firewall is not None and selector in firewall.selectors:
            return _attachment(target, True, [], body)
        covered = firewall.covered if firewall is not None else frozenset()
        matched = self.api.pages("/servers", "servers", Server, {"label_selector": selector})
        self._selected[selector] = frozenset(server.id for server in matched)
        machines = [self.machine(server) for server in matched if server.id not in covered]
        return _attachment(target, False, [m for m in machines if m.addresses], body)

    def _pending(self, firewall: Firewall, id_: int) -> list[Pending]:
        """What the server itself says is not in effect."""
        if (server := self.servers.get(id_)) is None:
            return []
        statuses = {acting.id: acting.status for acting in server.public_net.firewalls}
        status = statuses.get(firewall.id)
        if status == "applied":
            return []
        reason = (
            "is still being applied, or failed to be"
            if status
            else "is not in effect, although the firewall is applied to it"
        )
        return [Pending(f"server {id_}", f"on {server.name} it {reason}")]

    def _foreign_effective(self, firewall: Firewall, id_: int) -> int:
        others = (other for other in self.firewalls.values() if other is not firewall)
        return sum(other.effective_rules for other in others if id_ in other.covered)


def _attachment(
    target: str, attached: bool, fresh: Sequence[ListedMachine], body: Mapping[str, object]
) -> Attachment:
    full = next((machine.name for machine in fresh if len(machine.acting) >= MAX_FIREWALLS), "")
    return attachment(target, fresh, Resource(body, full), attached)


def _acting(server: Server, firewalls: Iterable[Firewall]) -> dict[str, Acts]:
    """What is applied to the server and not on its own list yet is as good as pending."""
    statuses = {acting.id: acting.status for acting in server.public_net.firewalls}
    applied = {firewall.id for firewall in firewalls if server.id in firewall.covered}
    pending = Acts(in_effect=False, problem="is not in effect on it yet, or failed to be")
    return {
        str(id_): Acts() if statuses.get(id_) == "applied" else pending
        for id_ in sorted(statuses.keys() | applied)
    }


def _listed(firewall: Firewall, names: Mapping[str, str]) -> ListedFirewall:
    marker, of = MARKER.read(firewall.labels), names.get(firewall.name)
    listed = ListedFirewall(str(firewall.id), firewall.name, of, marker)
    return listed.letting(firewall.inbound, lets_in, _titled)


def _titled(rule: Rule) -> str:
    return f'{rule.title} "{rule.description}"' if rule.description else rule.title


def _spelled(rule: Rule) -> str:
    """A rule as it stands at Hetzner: rules have no ids."""
    return f"{rule.protocol}/{rule.port or ''} from {', '.join(rule.source_ips)}"
