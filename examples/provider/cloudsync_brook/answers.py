"""The answers of Brook's API that this provider reads."""

from __future__ import annotations

from cloudsync.provider.answers import Answer, Echoed


class Addresses(Echoed):
    """The sources of a rule: networks, or named lists."""

    ipv4: tuple[str, ...] = ()
    ipv6: tuple[str, ...] = ()
    lists: tuple[str, ...] = ()


class Rule(Echoed):
    """One rule; the first that matches decides."""

    action: str
    protocol: str
    ports: str | None = None
    addresses: Addresses
    label: str = ""

    @property
    def is_ours_to_change(self) -> bool:
        """Whether it lets networks in; denials and rules of named lists stay as they are."""
        return self.action == "ACCEPT" and not self.addresses.lists

    @property
    def networks(self) -> tuple[str, ...]:
        return (*self.addresses.ipv4, *self.addresses.ipv6)

    @property
    def title(self) -> str:
        """The rule for people."""
        sources = ", ".join((*self.networks, *(f"the list {n}" for n in self.addresses.lists)))
        ports = f"/{self.ports}" if self.ports else ""
        verb = "denies " if self.action != "ACCEPT" else ""
        return f"{verb}{self.protocol.lower()}{ports} from {sources}"


class Rules(Answer):
    """All rules of a firewall, which are replaced together."""

    inbound: tuple[Rule, ...]
    inbound_policy: str
    outbound: tuple[Rule, ...]
    outbound_policy: str


class OnMachine(Answer):
    """A machine under a firewall."""

    id: int
    status: str


class Firewall(Answer):
    """A firewall."""

    id: int
    label: str
    status: str
    tags: tuple[str, ...]
    fingerprint: str
    rules: Rules
    machines: tuple[OnMachine, ...]


class FirewallAnswer(Answer):
    """One firewall, asked for or written."""

    firewall: Firewall


class Machine(Answer):
    """A machine."""

    id: int
    label: str
    ipv4: tuple[str, ...] = ()
    ipv6: tuple[str, ...] = ()
