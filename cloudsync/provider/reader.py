"""The shell of a reader: what fails while an account is read is reported for whom it concerns, and
nothing is raised.

A subclass reads; each of its methods may raise `ProviderError`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from cloudsync.provider.contract import Absent, FirewallSpec, Observation, Present, Unreadable
from cloudsync.provider.errors import ProviderError

if TYPE_CHECKING:
    from cloudsync.provider.machines import Fleet, Marked

Result = TypeVar("Result")


class ReaderBase(ABC):
    """A `Reader` that is a `MachineReader` and a `MarkReader` too."""

    @abstractmethod
    def prepare(self, specs: Sequence[FirewallSpec]) -> None:
        """Read what `observation` needs for all of `specs`, in the fewest calls; if it fails, none
        of them is known."""

    @abstractmethod
    def observation(self, spec: FirewallSpec) -> Present | Absent:
        """One firewall, after `prepare`; if it fails, this one is not known."""

    @abstractmethod
    def fleet(self, specs: Sequence[FirewallSpec]) -> Fleet:
        """The machines that `specs` are about."""

    @abstractmethod
    def marked(
        self, owner: str, specs: Sequence[FirewallSpec], *, ask: bool
    ) -> Sequence[Marked] | None:
        """The firewalls that carry the owner's marker, as `MarkReader.read_marked` has it."""

    def read(self, specs: Sequence[FirewallSpec]) -> Mapping[str, Observation]:
        """Every firewall asked for."""
        try:
            self.prepare(specs)
        except ProviderError as error:
            return {spec.name: Unreadable(error) for spec in specs}
        return {spec.name: _attempted(partial(self.observation, spec)) for spec in specs}

    def read_machines(self, specs: Sequence[FirewallSpec]) -> Fleet | Unreadable:
        """As `fleet`."""
        return _attempted(lambda: self.fleet(specs))

    def read_marked(
        self, owner: str, specs: Sequence[FirewallSpec], *, ask: bool
    ) -> Sequence[Marked] | Unreadable | None:
        """As `marked`."""
        return _attempted(lambda: self.marked(owner, specs, ask=ask))


def _attempted(call: Callable[[], Result]) -> Result | Unreadable:
    try:
        return call()
    except ProviderError as error:
        return Unreadable(error)
