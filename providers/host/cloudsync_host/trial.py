"""A change on trial: in effect at once, and kept only if a new connection proves that the way in
still works. The kernel ends it by itself; a killed process, a lost session or a full disk does not
matter.

The session that the change was made in proves nothing: its packets belong to a connection that is
let in whatever the list says. Over ssh every call of ours is a new connection. On the machine
itself it is somebody else's: the counter of an SSH element in the list on trial, or `cloudsync
confirm` from another login.
"""

from __future__ import annotations

import contextlib
import os
import time
from dataclasses import replace

from cloudsync.provider.contract import Progress
from cloudsync.provider.errors import Conflict, ProviderError, Transient
from cloudsync.rules import RuleSet
from cloudsync.rules.frozen import dataclass
from cloudsync_host.kernel import Kernel
from cloudsync_host.listing import Table
from cloudsync_host.machine import look
from cloudsync_host.settings import HostFirewall
from cloudsync_host.transaction import Goal, confirm, start_trial, still_as_begun, withdraw

_POLL_SECONDS = 0.5
_LEAST_LEFT = 3.0
"""Seconds that a run must have beyond the trial, to end it in order."""


class Touched(Conflict):
    """Somebody else worked on the table while a trial ran."""


@dataclass(frozen=True, slots=True)
class Proving:
    """A change that is to be proved. `seconds`: how long the kernel waits. `ssh`: the declared SSH;
    an element of it that let a new connection in is a proof."""

    kernel: Kernel
    settings: HostFirewall
    goal: Goal
    seconds: int
    ssh: RuleSet
    progress: Progress

    def run(self, table: Table) -> None:
        """Start it, wait for the proof, keep it. Raises `ProviderError` if it was not confirmed:
        then everything is as it was."""
        left = self.kernel.deadline - time.monotonic()
        if left < self.seconds + _LEAST_LEFT:
            raise Transient(
                f"the run's deadline leaves {max(left, 0):.0f} s, too few for a trial of "
                f"{self.seconds} s: raise run.deadline"
            )
        self.kernel.write(start_trial(table, self.goal, self.seconds, login_of(os.environ)))
        ends = time.monotonic() + self.seconds
        self.progress(self._invitation())
        polling = replace(self, kernel=replace(self.kernel, deadline=ends + _LEAST_LEFT))
        while time.monotonic() < ends:
            if polling._is_over():
                return
            time.sleep(max(0.0, min(_POLL_SECONDS, ends - time.monotonic())))
        if self._settled():
            return
        raise ProviderError(
            f"no new connection confirmed it within {self.seconds} s: the kernel went back to the "
            "rules before, and nothing is changed. Is SSH reachable by what [ssh] declares?"
        )

    def _invitation(self) -> str:
        """One line of a terminal of 80 columns."""
        if self.kernel.destination is not None:
            return f"on trial for {self.seconds} s: a new ssh connection confirms it"
        return f"on trial for {self.seconds} s: log in by SSH again, or `cloudsync confirm` there"

    def _is_over(self) -> bool:
        """Whether it was confirmed. Raises `Conflict` where somebody else ended it."""
        try:
            table = look(self.kernel, self.settings).table
            if table is None or table.trial is None:
                return self._ended_by_others(table)
            if not table.trial.seconds:
                return self._was_kept(table)
            if not still_as_begun(table):
                self.kernel.write(withdraw(table))
                raise Touched(
                    "the list was changed by somebody else while the trial ran; the trial is over,"
                    " nothing is changed"
                )
            if self.kernel.destination is None and not proved(table, self.ssh):
                return False
            keep(self.kernel, table, self.goal)
        except Touched:
            raise
        except Conflict:
            # It ran out, or was confirmed, between the two calls: the next look says which.
            return False
        except Transient:
            # A lost connection is what the trial is for: the kernel counts on.
            return False
        return True

    def _was_kept(self, table: Table) -> bool:
        """Whether somebody confirmed it who did not come to cleaning up, rather than it ran out."""
        if not self._is_reached(table):
            return False
        _clean_up(self.kernel, table)
        return True

    def _ended_by_others(self, table: Table | None) -> bool:
        if table is not None and self._is_reached(table):
            return True
        raise Touched("the trial was withdrawn by somebody else; nothing is changed")

    def _settled(self) -> bool:
        """Whether it was confirmed after all, by a call whose answer was lost; what a trial that
        ran out left behind is removed. Raises `ProviderError` where the machine cannot be
        reached."""
        try:
            table = look(self.kernel, self.settings).table
            if table is not None and (text := withdraw(table)):
                self.kernel.write(text)
        except ProviderError as error:
            raise ProviderError(
                f"no new connection confirmed it within {self.seconds} s, so the kernel goes back"
                f" to the rules before; that could not be looked at: {error.message}",
                fate_unknown=True,
            ) from None
        return table is not None and self._is_reached(table)

    def _is_reached(self, table: Table) -> bool:
        return set(table.elements) == set(self.goal.elements) and not table.differs_from(
            self.goal.shape
        )


def keep(kernel: Kernel, table: Table, goal: Goal) -> None:
    """Confirm the trial, and clean up after it. Raises `ProviderError` if it was not confirmed."""
    kernel.write(confirm(table, goal))
    _clean_up(kernel, table)


def _clean_up(kernel: Kernel, table: Table) -> None:
    """What cannot be removed now is inert, and goes with the next change."""
    with contextlib.suppress(ProviderError):
        kernel.write(withdraw(table))


def proved(table: Table, ssh: RuleSet) -> bool:
    """Whether an SSH element of the list on trial has let a new connection in."""
    return any(element.packets and element.rules & ssh for element in table.next)


def login_of(environ: os._Environ[str] | dict[str, str]) -> str:
    """The ssh connection of whoever runs this, as the comment of a trial: `ssh=peer:port`."""
    words = environ.get("SSH_CONNECTION", "").split()
    if len(words) != 4 or any(c in '"\\' for c in "".join(words)):
        return ""
    return f"ssh={words[0]}:{words[1]}"[:90]
