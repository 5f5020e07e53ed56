"""Machines and attachments of a vendor whose firewalls only allow and act on whole machines
(`cloudsync.provider.machines` has the general form). Pure.

A provider lists its firewalls and machines once, and gets exposure, orphans and attachments from
them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from cloudsync.provider.answers import printable
from cloudsync.provider.contract import Attachment, FirewallSpec, Machine
from cloudsync.provider.errors import NotFound, Unsupported
from cloudsync.provider.machines import (
    ActingFirewall,
    Fleet,
    Interface,
    Marked,
    ObservedMachine,
    StageRule,
    union_stage,
)
from cloudsync.provider.marker import Marker
from cloudsync.rules import RuleSet
from cloudsync.rules.networks import Family


@dataclass(frozen=True, slots=True)
class ListedFirewall:
    """A firewall of the account, ours or another's."""

    id: str
    name: str
    of: str | None
    """The firewall of the configuration (`FirewallSpec.name`) that this is; None for others."""
    marker: Marker | None
    rules: tuple[tuple[RuleSet, str], ...]
    """What each inbound rule lets in, and the rule for people."""
    unknown: tuple[str, ...] = ()
    """Rules that cannot be understood, a phrase each: `a rule of the protocol 'x'`."""
    kept: tuple[str, ...] = ()
    """What it lets in from sources that are no networks, for people."""

    @property
    def acting(self) -> ActingFirewall:
        return ActingFirewall(self.id, self.name, of=self.of)


@dataclass(frozen=True, slots=True)
class Acts:
    """How a firewall acts on a machine."""

    in_effect: bool = True
    """Whether the vendor has put it into effect there; until then it protects nothing."""
    problem: str = ""
    """What the vendor has not done yet, a phrase: `is being put into effect on it`."""


@dataclass(frozen=True, slots=True)
class ListedMachine:
    """A machine of the account."""

    id: str
    name: str
    kind: str
    """The vendor's word: `server`, `droplet`."""
    families: frozenset[Family]
    """In which address families the Internet can send packets to it."""
    addresses: tuple[str, ...]
    """Its public addresses, for people."""
    acting: Mapping[str, Acts] = field(default_factory=dict)
    """By id, every firewall that acts on it."""
    selected: frozenset[str] = frozenset()
    """Names of firewalls of the configuration whose selectors or tags match it."""

    @property
    def target(self) -> str:
        return f"{self.kind} {self.id}"

    @property
    def machine(self) -> Machine:
        """The machine as an attachment names it."""
        return Machine(self.id, self.name, protected=bool(self.acting), kind=self.kind)

    def is_called(self, wanted: str | int) -> bool:
        """Whether the configuration means this machine by a name or an id."""
        return self.name == wanted or self.id == str(wanted)


Wanted = Mapping[str, Sequence[str | int]]
"""By firewall of the configuration, the machines its table names."""


def fleet_of(
    firewalls: Mapping[str, ListedFirewall],
    machines: Sequence[ListedMachine],
    specs: Sequence[FirewallSpec],
    wanted: Wanted,
    lacks: str,
    not_evaluated: Sequence[str],
) -> Fleet:
    """All machines that `specs` are about. `lacks`: how to say that one is not there (`the project
    has no server`); `not_evaluated`: what else could let packets through and was not looked at."""
    observed = [_observed(machine, firewalls, specs, wanted) for machine in machines]
    missing = (
        f"{lacks} {_shown(name)}, which the firewall {spec.name} names"
        for spec in specs
        for name in wanted.get(spec.name, ())
        if not any(machine.is_called(name) for machine in machines)
    )
    acting = {id_ for machine in machines for id_ in machine.acting}
    idle = (firewall.of for firewall in firewalls.values() if firewall.id not in acting)
    return Fleet(
        tuple(machine for machine in observed if machine.concerns),
        frozenset(name for name in idle if name is not None),
        (*missing, *not_evaluated),
    )


def marked_by(owner: str, firewalls: Iterable[ListedFirewall]) -> tuple[Marked, ...]:
    """The firewalls that carry the owner's marker."""
    return tuple(
        Marked(firewall.acting, firewall.marker)
        for firewall in firewalls
        if firewall.marker is not None and firewall.marker.owner == owner
    )


def named(machines: Iterable[ListedMachine], wanted: str | int, lacks: str) -> ListedMachine:
    """The machine that the configuration names, by name and then by id. `lacks`: as in `fleet_of`.
    Raises `NotFound`, or `Unsupported` if several have the name."""
    listed = list(machines)
    by_name = [machine for machine in listed if machine.name == wanted]
    if len(by_name) > 1:
        raise Unsupported(f"several {by_name[0].kind}s are named {_shown(wanted)}; give the id")
    for machine in by_name or listed:
        if machine.is_called(wanted):
            return machine
    raise NotFound(f"{lacks} {_shown(wanted)}, which the configuration attaches the firewall to")


def attachments_of(
    machines: Iterable[ListedMachine], firewall: ListedFirewall | None
) -> tuple[Attachment, ...]:
    """One attachment for each machine that the configuration names. `firewall`: None if it does
    not exist yet."""
    attachments = {}
    for machine in machines:
        attached = firewall is not None and firewall.id in machine.acting
        fresh = () if attached else (machine.machine,)
        attachments[machine.target] = Attachment(machine.target, attached, fresh, machine.id)
    return tuple(attachments.values())


def _observed(
    machine: ListedMachine,
    firewalls: Mapping[str, ListedFirewall],
    specs: Sequence[FirewallSpec],
    wanted: Wanted,
) -> ObservedMachine:
    acting = [_acting(id_, firewalls) for id_ in machine.acting]
    rules = [
        StageRule(firewall.acting, lets_in, text)
        for firewall in acting
        for lets_in, text in firewall.rules
    ]
    in_effect = any(acts.in_effect for acts in machine.acting.values())
    interface = Interface(
        "public",
        machine.families,
        (union_stage(rules),) if in_effect else (),
        machine.addresses,
        tuple(firewall.acting for firewall in acting),
    )
    return ObservedMachine(
        id=machine.id,
        name=machine.name,
        kind=machine.kind,
        interfaces=(interface,),
        concerns=frozenset(
            spec.name
            for spec in specs
            if spec.name in machine.selected
            or machine.name in spec.hosts
            or any(firewall.of == spec.name for firewall in acting)
            or any(machine.is_called(name) for name in wanted.get(spec.name, ()))
        ),
        pending=tuple(_pending(machine, acting)),
        unknown=tuple(
            f"the firewall {_quoted(firewall)} has {problem}"
            if firewall.id in firewalls
            else f"the firewall {firewall.id} {problem}"
            for firewall in acting
            for problem in firewall.unknown
        ),
        kept=tuple(
            f"{text} ({printable(firewall.name)})" for firewall in acting for text in firewall.kept
        ),
    )


def _acting(id_: str, firewalls: Mapping[str, ListedFirewall]) -> ListedFirewall:
    """The firewall of that id; one that the list lacks may let in anything."""
    if (firewall := firewalls.get(id_)) is not None:
        return firewall
    problem = "acts on it, and the list of firewalls does not have it"
    return ListedFirewall(id_, id_, None, None, (), (problem,))


def _pending(machine: ListedMachine, acting: Sequence[ListedFirewall]) -> Iterator[str]:
    for firewall, acts in zip(acting, machine.acting.values(), strict=True):
        if acts.problem:
            yield f"the firewall {_quoted(firewall)} {acts.problem}"


def _quoted(firewall: ListedFirewall) -> str:
    return f'"{printable(firewall.name)}"'


def _shown(wanted: str | int) -> str:
    return repr(printable(str(wanted))[:64])
