"""Machines and attachments of a vendor whose firewalls only allow, and act on whole machines or on
their network interfaces (`cloudsync.provider.machines` has the general form). Pure.

A provider lists its firewalls and machines once, and gets exposure, orphans and attachments from
them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import field, replace
from typing import Protocol, TypeVar

from cloudsync.provider.answers import printable
from cloudsync.provider.contract import Attachment, FirewallSpec, Machine
from cloudsync.provider.errors import NotFound, ProviderError, Unsupported
from cloudsync.provider.machines import (
    ActingFirewall,
    Fleet,
    Interface,
    Marked,
    ObservedMachine,
    StageRule,
    families_of,
    union_stage,
)
from cloudsync.provider.marker import Marker
from cloudsync.rules import RuleSet
from cloudsync.rules.frozen import dataclass
from cloudsync.rules.networks import Family

VendorRuleModel = TypeVar("VendorRuleModel")


class Named(Protocol):
    """Something at the vendor that a configuration means by a name or an id."""

    @property
    def id(self) -> str: ...

    @property
    def name(self) -> str: ...

    @property
    def kind(self) -> str:
        """The vendor's word for it: `server`."""
        ...


NamedItem = TypeVar("NamedItem", bound=Named)


@dataclass(frozen=True, slots=True)
class ListedFirewall:
    """A firewall of the account, ours or another's."""

    id: str
    name: str
    of: str | None
    """The firewall of the configuration (`FirewallSpec.name`) that this is; None for others."""
    marker: Marker | None
    rules: tuple[tuple[RuleSet, str], ...] = ()
    """What each inbound rule lets in, and the rule for people."""
    unknown: tuple[str, ...] = ()
    """Rules that cannot be understood, a phrase each: `a rule of the protocol 'x'`."""
    kept: tuple[str, ...] = ()
    """What it lets in from sources that are no networks, for people."""
    kind: str = "firewall"
    """The vendor's word for such a firewall."""
    names_repeat: bool = False
    """Whether another may have the same name, so that its id is said too."""

    @property
    def acting(self) -> ActingFirewall:
        return ActingFirewall(self.id, self.name, self.kind, self.of)

    def letting(
        self,
        rules: Iterable[VendorRuleModel],
        lets_in: Callable[[VendorRuleModel], RuleSet | ProviderError | None],
        title: Callable[[VendorRuleModel], str],
    ) -> ListedFirewall:
        """The same firewall with the vendor's inbound rules, each with its `title` for people; of
        what is kept or unknown the same title comes once.

        `lets_in`: None for a rule by sources that are no networks, which is kept; the error for one
        by a list of networks that could not be read. A rule that it raises `Unsupported` for is
        unknown.
        """
        known: list[tuple[RuleSet, str]] = []
        unknown: dict[str, None] = {}
        kept: dict[str, None] = {}
        for rule in rules:
            try:
                networks, text = lets_in(rule), title(rule)
            except Unsupported as error:
                unknown[str(error)] = None
                continue
            if networks is None:
                kept[text] = None
            elif isinstance(networks, ProviderError):
                unknown[f"the rule {text}, whose list could not be read: {networks}"] = None
            elif networks:
                known.append((networks, text))
        return replace(
            self,
            rules=tuple(known),
            unknown=(*self.unknown, *unknown),
            kept=(*self.kept, *kept),
        )


@dataclass(frozen=True, slots=True)
class Acts:
    """How a firewall acts on a machine."""

    in_effect: bool = True
    """Whether the vendor has put it into effect there; until then it protects nothing."""
    problem: str = ""
    """What the vendor has not done yet, a phrase: `is being put into effect on it`."""


@dataclass(frozen=True, slots=True)
class ListedInterface:
    """A network interface that firewalls act on separately."""

    name: str
    addresses: tuple[str, ...]
    """Its public addresses; the Internet can send packets to it in their families."""
    acting: Mapping[str, Acts]
    """By id, every firewall that acts on it."""
    closed: bool = False
    """Whether the vendor lets nothing in if no firewall acts on it; otherwise it is open then."""


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
    """Names of firewalls of the configuration whose selectors, tags or network interfaces match
    it."""
    interfaces: tuple[ListedInterface, ...] | None = None
    """Its network interfaces, if firewalls act on them and not on the whole machine."""
    metadata: str = ""
    """As `ObservedMachine.metadata`."""

    @classmethod
    def of_interfaces(
        cls,
        id_: str,
        name: str,
        kind: str,
        interfaces: Sequence[ListedInterface],
        metadata: str = "",
    ) -> ListedMachine:
        """A machine whose firewalls act on its network interfaces."""
        addresses = tuple(dict.fromkeys(a for each in interfaces for a in each.addresses))
        acting = {id_: acts for each in interfaces for id_, acts in each.acting.items()}
        return cls(
            id_,
            name,
            kind,
            families_of(addresses),
            addresses,
            acting,
            interfaces=tuple(interfaces),
            metadata=metadata,
        )

    @property
    def target(self) -> str:
        return f"{self.kind} {self.id}"

    @property
    def machine(self) -> Machine:
        """The machine as an attachment names it."""
        closed = bool(self.interfaces) and all(each.closed for each in self.interfaces or ())
        return Machine(self.id, self.name, protected=closed or bool(self.acting), kind=self.kind)

    def is_called(self, wanted: str | int) -> bool:
        """Whether the configuration means this machine by a name or an id."""
        return is_called(self, wanted)


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
    ids = dict.fromkeys(id_ for machine in machines for id_ in machine.acting)
    acting = {id_: _Acting.of(id_, firewalls.get(id_)) for id_ in ids}
    observed = [_observed(machine, acting, specs, wanted) for machine in machines]
    idle = (firewall.of for firewall in firewalls.values() if firewall.id not in acting)
    return Fleet(
        tuple(machine for machine in observed if machine.concerns),
        frozenset(name for name in idle if name is not None),
        (*missing_from(machines, wanted, lacks), *not_evaluated),
    )


def marked_by(owner: str, firewalls: Iterable[ListedFirewall]) -> tuple[Marked, ...]:
    """The firewalls that carry the owner's marker."""
    return tuple(
        Marked(firewall.acting, firewall.marker)
        for firewall in firewalls
        if firewall.marker is not None and firewall.marker.owner == owner
    )


def is_called(item: Named, wanted: str | int) -> bool:
    """Whether the configuration means it by a name or an id."""
    return item.name == wanted or item.id == str(wanted)


def missing_from(items: Sequence[Named], wanted: Wanted, lacks: str) -> Iterator[str]:
    """What the configuration names and `items` do not have, a sentence each. `lacks`: as in
    `fleet_of`."""
    for firewall, names in wanted.items():
        for name in names:
            if not any(is_called(item, name) for item in items):
                yield f"{lacks} {_shown(name)}, which the firewall {firewall} names"


def named(items: Iterable[NamedItem], wanted: str | int, lacks: str) -> NamedItem:
    """What the configuration names, a machine for instance, by name and then by id. `lacks`: as in
    `fleet_of`. Raises `NotFound`, or `Unsupported` if several have the name."""
    listed = list(items)
    by_name = [item for item in listed if item.name == wanted]
    if len(by_name) > 1:
        raise Unsupported(f"several {by_name[0].kind}s are named {_shown(wanted)}; give the id")
    for item in by_name or listed:
        if is_called(item, wanted):
            return item
    raise NotFound(f"{lacks} {_shown(wanted)}, which the configuration attaches the firewall to")


def attachments_of(
    machines: Iterable[ListedMachine], firewall: ListedFirewall | None
) -> tuple[Attachment, ...]:
    """One attachment for each machine that the configuration names. `firewall`: None if it does
    not exist yet."""
    attachments = {}
    for machine in machines:
        attached = firewall is not None and firewall.id in machine.acting
        fresh = () if attached else (machine,)
        attachments[machine.target] = attachment(machine.target, fresh, machine.id, attached)
    return tuple(attachments.values())


@dataclass(frozen=True, slots=True)
class _Acting:
    """A firewall as it acts on every machine that has it, understood once."""

    listed: ListedFirewall
    acting: ActingFirewall
    rules: tuple[StageRule, ...]
    unknown: tuple[str, ...]
    """What of it is not known, a sentence each."""

    @classmethod
    def of(cls, id_: str, listed: ListedFirewall | None) -> _Acting:
        """`listed`: None if the list of firewalls lacks it; it may let in anything then."""
        if listed is None:
            problem = f"the firewall {id_} acts on it, and the list of firewalls does not have it"
            listed = ListedFirewall(id_, id_, None, None, ())
            return cls(listed, listed.acting, (), (problem,))
        acting = listed.acting
        return cls(
            listed,
            acting,
            tuple(StageRule(acting, lets_in, text) for lets_in, text in listed.rules),
            tuple(f"{_called(listed)} has {problem}" for problem in listed.unknown),
        )


def attachment(
    target: str, fresh: Iterable[ListedMachine], native: object, attached: bool
) -> Attachment:
    """What the configuration asks for by a name or a selector. `fresh`: the machines that newly
    come under the firewall by it."""
    return Attachment(target, attached, tuple(machine.machine for machine in fresh), native)


def _observed(
    machine: ListedMachine,
    acting: Mapping[str, _Acting],
    specs: Sequence[FirewallSpec],
    wanted: Wanted,
) -> ObservedMachine:
    on_it = [acting[id_] for id_ in machine.acting]
    ours = {firewall.listed.of for firewall in on_it}
    listed = frozenset(
        spec.name
        for spec in specs
        if any(machine.is_called(name) for name in wanted.get(spec.name, ()))
    )
    return ObservedMachine(
        id=machine.id,
        name=machine.name,
        kind=machine.kind,
        interfaces=tuple(_interfaces(machine, acting)),
        concerns=listed.union(
            spec.name
            for spec in specs
            if spec.name in machine.selected or machine.name in spec.hosts or spec.name in ours
        ),
        pending=tuple(
            f"{_called(acting[id_].listed)} {acts.problem}"
            for id_, acts in machine.acting.items()
            if acts.problem
        ),
        unknown=tuple(sentence for firewall in on_it for sentence in firewall.unknown),
        kept=tuple(
            f"{text} ({printable(firewall.listed.name)})"
            for firewall in on_it
            for text in firewall.listed.kept
        ),
        listed=listed,
        metadata=machine.metadata,
    )


def _interfaces(machine: ListedMachine, acting: Mapping[str, _Acting]) -> Iterator[Interface]:
    """Its network interfaces, each with what acts on it; one that stands for all of them if
    firewalls act on whole machines."""
    if machine.interfaces is None:
        whole = ListedInterface("public", machine.addresses, machine.acting)
        yield _interface(whole, machine.families, acting)
        return
    for interface in machine.interfaces:
        yield _interface(interface, families_of(interface.addresses), acting)


def _interface(
    interface: ListedInterface, families: frozenset[Family], acting: Mapping[str, _Acting]
) -> Interface:
    on_it = [acting[id_] for id_ in interface.acting]
    in_effect = any(acts.in_effect for acts in interface.acting.values())
    stage = union_stage(rule for firewall in on_it for rule in firewall.rules)
    return Interface(
        interface.name,
        families,
        (stage,) if in_effect or interface.closed else (),
        interface.addresses,
        tuple(firewall.acting for firewall in on_it),
    )


def _called(firewall: ListedFirewall) -> str:
    id_ = f" ({firewall.id})" if firewall.names_repeat else ""
    return f'the {firewall.kind} "{printable(firewall.name)}"{id_}'


def _shown(wanted: str | int) -> str:
    return repr(printable(str(wanted))[:64])
