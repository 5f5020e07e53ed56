"""Machines at a vendor, each with every firewall that acts on it: what a provider tells so that the
core can say what the Internet reaches.

A provider that can tell offers a `MachineReader` (see `cloudsync.provider.contract`) and fills
these values; `cloudsync.planning.exposure` evaluates them. The provider translates, it judges
nothing: no rule is left out because it looks harmless, and what was not looked at is said.

How a provider fills them:

- One `ObservedMachine` for each machine that a firewall of the configuration acts on or is to act
  on, or that bears the name of one of its hosts (`FirewallSpec.hosts`); `concerns` names those
  firewalls. A machine the configuration names and the vendor does not know is no machine but a line
  in `Fleet.not_evaluated`.
- One `Interface` for each network interface that firewalls act on separately; a vendor that knows
  firewalls of whole machines has one. `families`: in which address families the Internet can send
  packets to it. Without any it is not reached, whatever the rules say.
- `Interface.stages`: what a packet goes through, in order. Where every firewall only allows (AWS,
  DigitalOcean, Hetzner) that is `(union_stage(rules),)`. Where there are priorities, denials and
  levels (Google Cloud, by `ordered_fleet`) it is a stage for every level, in the network's order of
  enforcement, its rules with their priorities, the last stage with `otherwise = DENY`. **No stage
  at all means that no firewall acts on the interface: it is open.** A firewall that is being
  attached and not yet in effect protects nothing; beside one that is in effect its rules count all
  the same.
- `StageRule.matches` is what a rule is about, as a rule set: protocols, ports, sources. A rule that
  applies to other machines, by tag or account, is left out of this machine's stage; a disabled one
  may be given with `disabled`. Sources that are networks by another name (a prefix list, an address
  group) are resolved; those that stand for private addresses (a group, a tag) are no rule here but
  a text in `ObservedMachine.kept`. Where nobody can say which sources a rule matches (a domain
  name, a country), `matches` is all it could be and `certain` is False: such an allowance counts in
  full, such a denial not at all.
- `not_evaluated`: what else could let packets through or stop them and was not looked at, a short
  sentence each.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import field
from enum import StrEnum
from ipaddress import ip_address

from cloudsync.provider.marker import Marker
from cloudsync.rules import RuleSet
from cloudsync.rules.address_classes import classify
from cloudsync.rules.frozen import dataclass
from cloudsync.rules.networks import NOWHERE, Family, NetworkSet

BOTH_FAMILIES: frozenset[Family] = frozenset((4, 6))


def public_addresses(addresses: Iterable[str]) -> tuple[str, ...]:
    """Those that packets from the Internet can be sent to: nobody's private, link-local or loopback
    ones; each once."""
    return tuple(
        dict.fromkeys(address for address in addresses if classify(ip_address(address)) == "public")
    )


def families_of(addresses: Iterable[str]) -> frozenset[Family]:
    """The address families of some addresses."""
    return frozenset(4 if ip_address(address).version == 4 else 6 for address in addresses)


class Action(StrEnum):
    """What happens to a packet: it is let in, stopped, or looked at by the next stage."""

    ALLOW = "allow"
    DENY = "deny"
    NEXT = "next"


@dataclass(frozen=True, slots=True)
class ActingFirewall:
    """A firewall at the vendor, ours or another's."""

    id: str
    """The vendor's id."""
    name: str
    """The vendor's name of it."""
    kind: str = "firewall"
    """The vendor's word for such a firewall."""
    of: str | None = None
    """`FirewallSpec.name` of the firewall of the configuration that this is, by the same comparison
    as `Reader.read` makes; None for all others."""
    advice: str = field(default="", compare=False)
    """What to do about what it lets in and nothing requires, if that is not to take it off the
    machine: `delete or narrow VPC firewall rule default-allow-ssh`."""

    def __str__(self) -> str:
        return (
            f'{self.kind} "{self.name}" ({self.id})'
            if self.name != self.id
            else f"{self.kind} {self.id}"
        )


@dataclass(frozen=True, slots=True)
class StageRule:
    """One rule of a stage."""

    firewall: ActingFirewall
    """The firewall that it belongs to."""
    matches: RuleSet
    """Protocols, ports and sources it is about."""
    text: str
    """The rule as the vendor's own people would know it."""
    action: Action = Action.ALLOW
    """What happens to a packet that it matches."""
    priority: int = 0
    """The lowest number is looked at first."""
    disabled: bool = False
    """It is there and does nothing."""
    certain: bool = True
    """False if it applies to an unknown part of `matches`."""


@dataclass(frozen=True, slots=True)
class Stage:
    """Rules that are looked at together, by priority; at the same priority denials come first,
    allowances last."""

    name: str
    """The stage, for people: `firewalls`, `network policy web`."""
    rules: tuple[StageRule, ...]
    """Its rules, in any order."""
    otherwise: Action = Action.NEXT
    """What happens to a packet that no rule matches."""


def union_stage(rules: Iterable[StageRule], name: str = "firewalls") -> Stage:
    """The one stage of a vendor whose firewalls only allow and add up: what no rule allows is
    stopped."""
    return Stage(name, tuple(rules), Action.DENY)


@dataclass(frozen=True, slots=True)
class Interface:
    """One network interface."""

    name: str
    """The vendor's name or number of it."""
    families: frozenset[Family]
    """In which address families the Internet can send packets to it."""
    stages: tuple[Stage, ...]
    """What a packet goes through, in order; none: nothing filters it."""
    addresses: tuple[str, ...] = ()
    """Its public addresses, for people."""
    firewalls: tuple[ActingFirewall, ...] = ()
    """All that act on it, those without rules too."""


@dataclass(frozen=True, slots=True)
class ObservedMachine:
    """A machine with everything that filters it."""

    id: str
    """The vendor's id, as text."""
    name: str
    """Its name, for people."""
    kind: str
    """The vendor's word for such a machine."""
    interfaces: tuple[Interface, ...]
    """Every one that the Internet could reach."""
    concerns: frozenset[str] = frozenset()
    """Names of the firewalls of the configuration that it is read for."""
    pending: tuple[str, ...] = ()
    """What the vendor has not put into effect, a sentence each."""
    unknown: tuple[str, ...] = ()
    """Rules on it that could not be understood, so that more may be open than is said."""
    kept: tuple[str, ...] = ()
    """What other machines of the account may reach (groups, tags, load balancers); not the
    Internet."""
    spared: NetworkSet = NOWHERE
    """Public addresses of the vendor's own services that a firewall of the configuration leaves to
    others' rules on purpose: reachable, and nothing beyond."""
    inside: bool = False
    """What filters it is on the machine itself: whatever is let in on the way there, by the cloud's
    firewalls for a machine of the same host, must pass it too."""
    listed: frozenset[str] = frozenset()
    """Names of firewalls of the configuration whose own keys name this very machine (`instances`,
    say), so that it is one of their hosts whatever it is called. Attachments need not be repeated
    here; a selector or a tag names no machine."""
    metadata: str = ""
    """Why containers on it reach the vendor's metadata service, and whose credentials they get
    there: a clause for people; empty if they do not, or if the vendor's API does not say."""

    @property
    def target(self) -> str:
        """Stable text, as in attachments: `server 7`."""
        return f"{self.kind} {self.id}"


@dataclass(frozen=True, slots=True)
class Fleet:
    """The machines of one account."""

    machines: tuple[ObservedMachine, ...]
    """Each one once."""
    unattached: frozenset[str] = frozenset()
    """Names of firewalls of the configuration that exist and act on no machine."""
    not_evaluated: tuple[str, ...] = ()
    """What else could let packets through or stop them and was not looked at, a sentence each."""


@dataclass(frozen=True, slots=True)
class Marked:
    """A firewall at the vendor that carries an owner's marker, whether the configuration names it
    or not."""

    firewall: ActingFirewall
    """The vendor's object."""
    marker: Marker
    """What the marker says."""
