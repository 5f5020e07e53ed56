"""A reader of vendors that list a whole account in a few calls: lists once, and answers everything
from it.

A subclass lists and translates; what can go wrong on the way, and what the core asks, is here.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Generic, TypeVar

from cloudsync.provider.contract import (
    Absent,
    Description,
    FirewallSpec,
    Observation,
    Present,
    Unreadable,
    VendorRule,
)
from cloudsync.provider.errors import ProviderError
from cloudsync.provider.http import Rest
from cloudsync.provider.machines import Fleet, Marked
from cloudsync.provider.rule_list import keyed
from cloudsync.provider.simple_fleet import ListedFirewall, ListedMachine, fleet_of, marked_by
from cloudsync.rules import Rule, RuleSet

Listing = TypeVar("Listing")


class AccountReader(ABC, Generic[Listing]):
    """A `Reader` that is a `MachineReader` and a `MarkReader` too. `Listing`: what one look at the
    account gives."""

    lacks: ClassVar[str]
    """How to say that a machine is not there: `the project has no server`."""
    not_evaluated: ClassVar[tuple[str, ...]] = ()
    """What else could let packets through and is not looked at, a short sentence each."""

    def __init__(self, api: Rest) -> None:
        self.api = api
        self._listing: Listing | None = None

    @abstractmethod
    def list_account(self) -> Listing:
        """Every list that `observe` needs, in the fewest calls. Raises `ProviderError`."""

    @abstractmethod
    def observe(self, listing: Listing, spec: FirewallSpec) -> Present | Absent:
        """One firewall. Raises `ProviderError`: the firewall is then unreadable."""

    @abstractmethod
    def firewalls(
        self, listing: Listing, specs: Sequence[FirewallSpec]
    ) -> Mapping[str, ListedFirewall]:
        """All firewalls of the account, by id."""

    @abstractmethod
    def machines(self, listing: Listing, specs: Sequence[FirewallSpec]) -> Sequence[ListedMachine]:
        """All machines of the account. Raises `ProviderError`."""

    @abstractmethod
    def wanted(self, spec: FirewallSpec) -> Sequence[str | int]:
        """The machines that the firewall's table names."""

    def read(self, specs: Sequence[FirewallSpec]) -> Mapping[str, Observation]:
        """Every firewall asked for; if a list cannot be had, none of them is known."""
        try:
            listing = self._listed()
        except ProviderError as error:
            return {spec.name: Unreadable(error) for spec in specs}
        return {spec.name: self._observed(listing, spec) for spec in specs}

    def read_machines(self, specs: Sequence[FirewallSpec]) -> Fleet | Unreadable:
        """All machines the firewalls are about, out of the lists that `read` needs anyway."""
        try:
            listing = self._listed()
            machines = self.machines(listing, specs)
            firewalls = self.firewalls(listing, specs)
        except ProviderError as error:
            return Unreadable(error)
        wanted = {spec.name: self.wanted(spec) for spec in specs}
        return fleet_of(firewalls, machines, specs, wanted, self.lacks, self.not_evaluated)

    def read_marked(
        self,
        owner: str,
        specs: Sequence[FirewallSpec],
        *,
        ask: bool,  # noqa: ARG002 - no call is needed
    ) -> Sequence[Marked] | Unreadable | None:
        """Out of the list of firewalls."""
        try:
            firewalls = self.firewalls(self._listed(), specs)
        except ProviderError as error:
            return Unreadable(error)
        return marked_by(owner, firewalls.values())

    def _listed(self) -> Listing:
        if self._listing is None:
            self._listing = self.list_account()
        return self._listing

    def _observed(self, listing: Listing, spec: FirewallSpec) -> Observation:
        try:
            return self.observe(listing, spec)
        except ProviderError as error:
            return Unreadable(error)


@dataclass(frozen=True, slots=True)
class ListedRules:
    """The inbound rules of a vendor that gives them no ids, as `Present` wants them."""

    rules: RuleSet
    listed: tuple[Rule, ...]
    described: tuple[Description, ...]
    objects: tuple[VendorRule, ...]

    @classmethod
    def of(cls, spelled: Sequence[tuple[str, RuleSet, str]]) -> ListedRules:
        """Each rule as it is spelled at the vendor, what it lets in, and its description."""
        return cls(
            rules=RuleSet.of(rule for _, meaning, _ in spelled for rule in meaning),
            listed=tuple(rule for _, meaning, _ in spelled for rule in meaning),
            described=tuple(Description(meaning, text) for _, meaning, text in spelled if text),
            objects=keyed(spelled),
        )
