"""Machines of a vendor whose firewalls are evaluated one after the other, with priorities and
denials (`cloudsync.provider.machines` has the general form; `simple_fleet` is for vendors whose
firewalls only allow).

A provider puts what acts on an interface into layers, in the vendor's order. A rule names the
machines that it is for, by tag or account; here every machine gets its own.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TypeVar

from cloudsync.provider.answers import NotUnderstood
from cloudsync.provider.contract import FirewallSpec
from cloudsync.provider.errors import AuthError, NotFound, Unsupported
from cloudsync.provider.machines import (
    ActingFirewall,
    Action,
    Fleet,
    Interface,
    ObservedMachine,
    Stage,
    StageRule,
    families_of,
)
from cloudsync.rules.frozen import dataclass
from cloudsync.rules.networks import NOWHERE, NetworkSet

Result = TypeVar("Result")
Party = frozenset[str]
"""By what rules name machines: tags, accounts, groups."""


@dataclass(frozen=True, slots=True)
class Layer:
    """Rules that are looked at together, by priority: a policy, the rules of a network."""

    name: str
    rules: Sequence[tuple[StageRule, Party]] = ()
    """Each with those it is for; without any it is for everybody."""
    kept: Sequence[str] = ()
    """What other machines may reach through it, for people."""
    unknown: Sequence[str] = ()
    """What of it could not be understood, a sentence each."""

    def stage(self, party: Party) -> Stage:
        """As it is on one machine; what no rule matches is for the next layer to decide."""
        on_it = (rule for rule, targets in self.rules if not targets or targets & party)
        return Stage(self.name, tuple(on_it))


@dataclass(frozen=True, slots=True)
class Layers:
    """Everything that acts at one place (a network, or a region of it), in the vendor's order."""

    layers: Sequence[Layer]
    unread: Sequence[str] = ()
    """What else acts there and could not be read, a sentence each."""

    @property
    def unknown(self) -> tuple[str, ...]:
        """Why more may be open than the layers say."""
        return (*self.unread, *(text for layer in self.layers for text in layer.unknown))

    def stages(self, party: Party) -> tuple[Stage, ...]:
        """As they are on one machine; what is left after them is denied. Without layers nothing
        acts there: it is open."""
        stages = [layer.stage(party) for layer in self.layers]
        return (*stages[:-1], replace(stages[-1], otherwise=Action.DENY)) if stages else ()


@dataclass(frozen=True, slots=True)
class LayeredInterface:
    """A network interface and what a packet to it goes through."""

    name: str
    addresses: tuple[str, ...]
    """Its public addresses; the Internet can send packets to it in their families."""
    layers: Layers
    firewalls: Sequence[ActingFirewall] = ()
    """Those of the configuration that act on it, whether they have rules yet or not."""

    def observed(self, party: Party) -> Interface:
        """As exposure wants it, on the machine that is `party`."""
        stages = self.layers.stages(party)
        acting = (*(rule.firewall for rule in _in_effect(stages)), *self.firewalls)
        firewalls = tuple(dict.fromkeys(acting))
        return Interface(self.name, families_of(self.addresses), stages, self.addresses, firewalls)


@dataclass(frozen=True, slots=True)
class LayeredMachine:
    """A machine of the account."""

    id: str
    name: str
    kind: str
    """The vendor's word: `instance`."""
    party: Party
    """By what rules name it."""
    acting: frozenset[str]
    """Names of the firewalls of the configuration that act on it."""
    interfaces: Callable[[], Sequence[LayeredInterface]]
    """Reads them; called only if a firewall of the configuration is about the machine, since it may
    take calls. Raises `ProviderError`."""
    metadata: str = ""
    """As `ObservedMachine.metadata`."""


def fleet_of(
    machines: Sequence[LayeredMachine],
    specs: Sequence[FirewallSpec],
    exist: Collection[str],
    not_evaluated: tuple[str, ...],
    spared: NetworkSet = NOWHERE,
) -> Fleet:
    """All machines that `specs` are about. `exist`: names of the firewalls of the configuration
    that are there; `not_evaluated`: what else could let packets through and was not looked at;
    `spared`: public addresses that denials of the configuration's firewalls leave to others' rules.
    Raises `ProviderError`."""
    observed = []
    for machine in machines:
        hosts = {spec.name for spec in specs if machine.name in spec.hosts}
        if concerns := machine.acting | hosts:
            observed.append(_observed(machine, concerns, spared))
    used = {name for machine in machines for name in machine.acting}
    return Fleet(tuple(observed), frozenset(exist) - used, not_evaluated)


def read_or_said(what: str, look: Callable[[], Result]) -> tuple[Result | None, tuple[str, ...]]:
    """What `look` reads of what acts on machines; if the vendor refuses for good, None and a
    sentence for `Layers.unread`. `what`: for people (`the policies on default`). Raises
    `ProviderError` if trying again may help."""
    try:
        return look(), ()
    except (AuthError, NotFound, Unsupported, NotUnderstood) as error:
        return None, (f"{what} could not be read, and may let in more: {error.message}",)


def _observed(
    machine: LayeredMachine, concerns: frozenset[str], spared: NetworkSet
) -> ObservedMachine:
    listed = machine.interfaces()
    interfaces = tuple(each.observed(machine.party) for each in listed)
    rules = (rule for interface in interfaces for rule in _in_effect(interface.stages))
    denies = any(rule.firewall.of and rule.action is Action.DENY for rule in rules)
    unknown = (f"{each.name}: {text}" for each in listed for text in each.layers.unknown)
    kept = (text for each in listed for layer in each.layers.layers for text in layer.kept)
    return ObservedMachine(
        machine.id,
        machine.name,
        machine.kind,
        interfaces,
        concerns,
        unknown=tuple(dict.fromkeys(unknown)),
        kept=tuple(dict.fromkeys(kept)),
        spared=spared if denies else NOWHERE,
        metadata=machine.metadata,
    )


def _in_effect(stages: Iterable[Stage]) -> Iterator[StageRule]:
    """Rules that let something in or stop it; those that hand everything on act as little as
    disabled ones."""
    rules = (rule for stage in stages for rule in stage.rules)
    return (rule for rule in rules if not rule.disabled and rule.action is not Action.NEXT)
