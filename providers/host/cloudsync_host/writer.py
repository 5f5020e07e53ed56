"""Writing: one transaction a step, or a trial that is confirmed; then the file for the next
boot."""

from __future__ import annotations

from cloudsync.provider.contract import Account, Step
from cloudsync.provider.errors import (
    Conflict,
    ProviderError,
    RateLimited,
    Transient,
    Unsupported,
)
from cloudsync.provider.retry import retried
from cloudsync.rules.frozen import dataclass
from cloudsync_host.elements import rules_of
from cloudsync_host.kernel import TOO_OLD, Kernel
from cloudsync_host.listing import Table
from cloudsync_host.machine import look, read_ways_in
from cloudsync_host.native import Change
from cloudsync_host.settings import HostFirewall
from cloudsync_host.transaction import change, install, saved
from cloudsync_host.trial import Proving
from cloudsync_host.ways_in import no_server


@dataclass(frozen=True, slots=True)
class HostWriter:
    """Writes tables."""

    account: Account

    def run(self, step: Step) -> None:
        """One step, in effect when this returns. Raises `ProviderError`."""
        wanted = step.native
        if not isinstance(wanted, Change):
            raise ProviderError("this step was not made by the provider host")
        kernel = Kernel(wanted.destination, self.account.deadline)
        if wanted.before is None:
            self._install(kernel, wanted)
        else:
            self._change(kernel, wanted, _as_planned(kernel, wanted))
        if wanted.save is not None and not wanted.rules_only:
            kernel.save(wanted.save, saved(wanted.goal))

    def _install(self, kernel: Kernel, wanted: Change) -> None:
        """A kernel that lacks something answers as one where somebody else was faster."""
        try:
            self._write(kernel, install(wanted.goal))
        except Conflict:
            if look(kernel, HostFirewall(enforce="observe", save="off")).table is None:
                raise Unsupported(f"{kernel.where}: {TOO_OLD}") from None
            raise

    def _change(self, kernel: Kernel, wanted: Change, table: Table) -> None:
        self._refuse_without_server(kernel, wanted, table)
        if wanted.trial is not None:
            settings = HostFirewall(enforce="enforce", save="off")
            Proving(
                kernel, settings, wanted.goal, wanted.trial, wanted.ssh, self.account.progress
            ).run(table)
            return
        text = change(table, wanted.goal, rules_only=wanted.rules_only)
        if text:
            self._write(kernel, text)

    def _refuse_without_server(self, kernel: Kernel, wanted: Change, table: Table) -> None:
        """Before dropping begins, and before the declared SSH becomes another: a server listens.
        Raises `ProviderError`."""
        fresh = wanted.ssh - rules_of(table.elements)
        if wanted.rules_only or not wanted.goal.shape.enforced or not (table.observes or fresh):
            return
        ways = retried(
            lambda: read_ways_in(kernel),
            deadline=kernel.deadline,
            safe=lambda error: error.temporary,
        )
        if (problem := no_server(ways, wanted.ssh)) is not None:
            raise ProviderError(
                f"{problem}, on {kernel.where}: nobody could log in any more; nothing was changed. "
                "Let [ssh] name the port that the SSH server listens on, or start it"
            )

    def _write(self, kernel: Kernel, text: str) -> None:
        retried(lambda: kernel.write(text), deadline=self.account.deadline, safe=_took_no_effect)


def _took_no_effect(error: ProviderError) -> bool:
    return isinstance(error, Transient | RateLimited) and not error.fate_unknown


def _as_planned(kernel: Kernel, wanted: Change) -> Table:
    """The table now. Raises `Conflict` where it is not the one that the plan saw."""
    settings = HostFirewall(enforce="enforce", save="off")
    table = retried(
        lambda: look(kernel, settings),
        deadline=kernel.deadline,
        safe=lambda error: error.temporary,
    ).table
    if table is None:
        raise Conflict(f"the table inet cloudsync on {kernel.where} is gone")
    if set(table.elements) != set(wanted.before or ()) or table.marker != wanted.owner:
        raise Conflict(
            f"the table inet cloudsync on {kernel.where} is not the one that was planned for; "
            "nothing was changed"
        )
    return table
