"""The answers of Hetzner's API that this provider reads
(https://docs.hetzner.cloud/reference/cloud)."""

from __future__ import annotations

from functools import cached_property

from cloudsync.provider.answers import Answer, Echoed, Listed
from cloudsync.rules.networks import Family


class Rule(Echoed):
    """A rule of a firewall, in or out; it goes back as it was read."""

    direction: str
    protocol: str
    port: str | None = None
    source_ips: tuple[str, ...] = ()
    destination_ips: tuple[str, ...] = ()
    description: str | None = None

    @property
    def is_inbound(self) -> bool:
        return self.direction == "in"

    @property
    def title(self) -> str:
        """`tcp/443`, for people."""
        return f"{self.protocol}/{self.port}" if self.port else self.protocol


class Reference(Answer):
    """A server in another object."""

    id: int


class Selector(Answer):
    """A label selector."""

    selector: str


class Resource(Answer):
    """What a firewall is applied to."""

    type: str
    server: Reference | None = None
    label_selector: Selector | None = None
    applied_to_resources: Listed[Resource] = ()


class Firewall(Answer):
    """A firewall."""

    id: int
    name: str
    labels: dict[str, str]
    rules: tuple[Rule, ...]
    applied_to: tuple[Resource, ...]

    @property
    def inbound(self) -> tuple[Rule, ...]:
        return tuple(rule for rule in self.rules if rule.is_inbound)

    @property
    def outbound(self) -> tuple[Rule, ...]:
        return tuple(rule for rule in self.rules if not rule.is_inbound)

    @property
    def direct(self) -> frozenset[int]:
        """Ids of the servers it is applied to by id."""
        return frozenset(r.server.id for r in self.applied_to if r.server is not None)

    @cached_property
    def covered(self) -> frozenset[int]:
        """Ids of all servers it is applied to, by selectors too."""
        members = (member for r in self.applied_to for member in r.applied_to_resources)
        return self.direct | {member.server.id for member in members if member.server is not None}

    @property
    def selectors(self) -> frozenset[str]:
        """The selectors it is applied to."""
        selectors = (r.label_selector for r in self.applied_to)
        return frozenset(s.selector for s in selectors if s is not None)

    @cached_property
    def effective_rules(self) -> int:
        """Networks summed over all rules: how Hetzner's limit is taken to count."""
        return sum(len(rule.source_ips) + len(rule.destination_ips) for rule in self.rules)


class Acting(Answer):
    """A firewall on a server's public interface."""

    id: int
    status: str


class Address(Answer):
    """A public address."""

    ip: str


class PublicNet(Answer):
    """The public interface of a server, the only one that firewalls act on."""

    ipv4: Address | None = None
    ipv6: Address | None = None
    floating_ips: Listed[int] = ()
    firewalls: Listed[Acting] = ()

    @property
    def addresses(self) -> tuple[str, ...]:
        return tuple(address.ip for address in (self.ipv4, self.ipv6) if address is not None)

    @property
    def families(self) -> frozenset[Family]:
        """In which families it has an address; that of IPv6 is a network."""
        of_family: tuple[tuple[Family, Address | None], ...] = ((4, self.ipv4), (6, self.ipv6))
        return frozenset(family for family, address in of_family if address is not None)


class Datacenter(Answer):
    """Where a server is."""

    name: str = ""


class Server(Answer):
    """A server."""

    id: int
    name: str
    public_net: PublicNet
    datacenter: Datacenter | None = None


class ActionError(Answer):
    """Why an action failed."""

    code: str = "unknown"


class ActionResource(Answer):
    """What an action is about."""

    id: int
    type: str


class Action(Answer):
    """Something the vendor does after it accepted a write."""

    id: int
    status: str
    error: ActionError | None = None
    resources: tuple[ActionResource, ...] = ()


class Actions(Answer):
    """Actions: those of a write, and as they are asked for later."""

    actions: Listed[Action] = ()
