"""What a provider plugin may also be: what exposure, orphans, `check-access` and firewalls on the
machine itself ask for. A plugin that is none of it works."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from cloudsync.provider.contract.core import Account, FirewallSpec, Progress, Unreadable

if TYPE_CHECKING:
    from cloudsync.provider.access import Access
    from cloudsync.provider.machines import Fleet, Marked
    from cloudsync.provider.trace import Trace


@runtime_checkable
class MachineReader(Protocol):
    """What a `Reader` may also be, for exposure: it tells the machines with every firewall that
    acts on them.

    Asked of the reader that has just read the account, so that no list is fetched twice in one run;
    never with `policy.foreign = "ignore"`. `cloudsync.provider.machines` tells how to fill a
    `Fleet`.
    """

    def read_machines(self, specs: Sequence[FirewallSpec]) -> Fleet | Unreadable:
        """The machines that `specs` are about: every firewall of the account in the configuration,
        more than `read` may have been asked for, so that ours can be told from others'.

        Raises nothing but bugs. A part that could not be read is said in `Fleet.not_evaluated` or
        `ObservedMachine.unknown`.
        """
        ...


@runtime_checkable
class MarkReader(Protocol):
    """What a `Reader` may also be, for orphans: it finds the firewalls that carry an owner's
    marker."""

    def read_marked(
        self, owner: str, specs: Sequence[FirewallSpec], *, ask: bool
    ) -> Sequence[Marked] | Unreadable | None:
        """All of them in the account, those of `specs` told by `ActingFirewall.of`, out of the
        lists that were read. `ask`: a call of its own is allowed; None where it is not and would be
        needed."""
        ...


@runtime_checkable
class AccessChecker(Protocol):
    """What a `Provider` may also be: it tells what the account's credentials are good for
    (`cloudsync check-access`)."""

    def check_access(self, account: Account, specs: Sequence[FirewallSpec]) -> Sequence[Access]:
        """Every permission that `specs` need, one by one, and what of the quota is used; writes
        nothing at the vendor, and raises nothing but bugs: credentials that are not valid are a row
        too. `cloudsync.provider.access` tells how to fill one."""
        ...


class Keeper(Protocol):
    """Puts a firewall back that somebody removes from the machine, until it is stopped."""

    def stop(self) -> None:
        """Let go of the firewall; it stays as it is."""
        ...


@runtime_checkable
class OnMachine(Protocol):
    """What a `Provider` may also be: one whose firewalls act on the machine itself, not in front of
    it. What is let in on the way there must pass it too."""

    def is_here(self, spec: FirewallSpec) -> bool:
        """Whether the firewall is that of the machine that cloudsync runs on."""
        ...

    def confirm_trial(
        self, account: Account, spec: FirewallSpec, environ: Mapping[str, str]
    ) -> str | None:
        """Keep a change that is on trial, and say what was kept; None if none is. `environ` tells
        by which login this runs. Raises `ProviderError`, with the trial going on."""
        ...

    def read_trace(self, account: Account, specs: Sequence[FirewallSpec]) -> Mapping[str, Trace]:
        """What each firewall met so far, by `FirewallSpec.name`. Raises nothing but bugs."""
        ...

    def keep(self, spec: FirewallSpec, notice: Progress) -> Keeper | None:
        """Put the firewall back at once whenever it is removed, and tell `notice` so; None for a
        machine elsewhere. Raises nothing but bugs."""
        ...
