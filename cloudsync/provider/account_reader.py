"""A reader of vendors that list a whole account in a few calls: lists once, and answers everything
from it.

A subclass lists and translates; what the core asks is here, and in `reader.py` what can go wrong on
the way.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Generic, TypeVar

from cloudsync.provider.contract import Absent, FirewallSpec, Present
from cloudsync.provider.http import Rest
from cloudsync.provider.machines import Fleet, Marked
from cloudsync.provider.reader import ReaderBase
from cloudsync.provider.rule_list import ListedRules as ListedRules
from cloudsync.provider.simple_fleet import ListedFirewall, ListedMachine, fleet_of, marked_by

Listing = TypeVar("Listing")


class AccountReader(ReaderBase, Generic[Listing]):
    """A `Reader` that is a `MachineReader` and a `MarkReader` too. `Listing`: what one look at the
    account gives."""

    lacks: ClassVar[str]
    """How to say that a machine is not there: `the project has no server`."""
    not_evaluated: ClassVar[tuple[str, ...]] = ()
    """What else could let packets through and is not looked at, a short sentence each."""

    provider: Any
    """The plugin, which knows the settings of a firewall's table; a subclass says its class."""

    def __init__(self, api: Rest, provider: object) -> None:
        self.api = api
        self.provider = provider
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

    def prepare(self, specs: Sequence[FirewallSpec]) -> None:  # noqa: ARG002 - the whole account
        """List the account, once."""
        self._listed()

    def observation(self, spec: FirewallSpec) -> Present | Absent:
        """Out of the listing."""
        return self.observe(self._listed(), spec)

    def fleet(self, specs: Sequence[FirewallSpec]) -> Fleet:
        """All machines the firewalls are about, out of the lists that `read` needs anyway."""
        listing = self._listed()
        machines = self.machines(listing, specs)
        firewalls = self.firewalls(listing, specs)
        wanted = {spec.name: self.wanted(spec) for spec in specs}
        return fleet_of(firewalls, machines, specs, wanted, self.lacks, self.not_evaluated)

    def marked(
        self,
        owner: str,
        specs: Sequence[FirewallSpec],
        *,
        ask: bool,  # noqa: ARG002 - no call is needed
    ) -> Sequence[Marked]:
        """Out of the list of firewalls."""
        return marked_by(owner, self.firewalls(self._listed(), specs).values())

    def _listed(self) -> Listing:
        if self._listing is None:
            self._listing = self.list_account()
        return self._listing
