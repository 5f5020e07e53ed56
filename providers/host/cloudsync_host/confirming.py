"""`cloudsync confirm`: keep a change that is on trial, from a login that the trial let in."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from cloudsync.provider.contract import Account, FirewallSpec
from cloudsync.provider.errors import Conflict, ProviderError
from cloudsync.provider.phrases import count
from cloudsync_host.address import destination_of
from cloudsync_host.elements import NEXT
from cloudsync_host.kernel import Kernel
from cloudsync_host.layout import STAGED, tags_of
from cloudsync_host.listing import Table, Trial
from cloudsync_host.native import Observed
from cloudsync_host.reader import look_at
from cloudsync_host.settings import address_of, settings_of
from cloudsync_host.transaction import Goal, saved, still_as_begun
from cloudsync_host.trial import keep, login_of

_OTHER_LOGIN = (
    "open a new SSH connection to this machine and run `cloudsync confirm` there: only a connection"
    " that began after the change proves that the way in works"
)


def confirm_trial(account: Account, spec: FirewallSpec, environ: Mapping[str, str]) -> str | None:
    """What was kept; None where no trial runs. Raises `ProviderError`, with the trial going on."""
    seen = look_at(spec, account.deadline)
    table = seen.table
    if table is None or table.trial is None:
        return None
    if not table.trial.seconds:
        if _was_kept(table):
            return None
        raise ProviderError(
            "the trial ran out: the kernel went back to the rules before; apply again"
        )
    if not still_as_begun(table):
        raise ProviderError(
            "the list was changed by somebody else since the trial began; let it run out, apply"
            " again"
        )
    kernel = Kernel(destination_of(address_of(spec)), account.deadline)
    if kernel.destination is None and (problem := _no_proof(table.trial, spec, environ)):
        raise ProviderError(problem)
    observed = Observed(seen, settings_of(spec))
    shape = observed.shape(enforced=_drops(table))
    if any(table.tags(name) != tags_of(rules) for name, rules in shape.chains(NEXT).items()):
        raise ProviderError(
            "the configuration, or the machine's default route, is not what the trial was made "
            "from; let it run out and apply again"
        )
    goal = Goal(table.next, shape, spec.marker)
    try:
        keep(kernel, table, goal)
    except Conflict:
        raise ProviderError(
            "the trial ended meanwhile; `cloudsync plan` shows what is there"
        ) from None
    if (path := settings_of(spec).saved_file) is not None:
        kernel.save(path, saved(goal))
    return f"{count(len(goal.elements), 'element is', 'elements are')} kept"


def _was_kept(table: Table) -> bool:
    """Whether what is left of a trial is of one that was confirmed, and did not run out."""
    return set(table.next) == set(table.elements) and _drops(table) is not table.observes


def _drops(table: Table) -> bool:
    return any(rule.drops for rule in table.chains.get(f"{NEXT}{STAGED[-1]}", ()))


def _no_proof(trial: Trial, spec: FirewallSpec, environ: Mapping[str, str]) -> str | None:
    """Why this login proves nothing; None where it does."""
    login = login_of(dict(environ))
    if not login:
        return (
            f"this login came by no SSH connection that is known (SSH_CONNECTION); {_OTHER_LOGIN}"
        )
    if login == f"ssh={trial.started_by}":
        return f"this is the connection that the change was made in; {_OTHER_LOGIN}"
    begun, seconds = _seconds_since_login(), settings_of(spec).trial_seconds
    if begun is not None and seconds is not None and begun > seconds - trial.seconds + 1:
        return f"this connection is older than the change; {_OTHER_LOGIN}"
    return None


def _seconds_since_login() -> float | None:
    """How long ago the sshd of this login was started; None where it cannot be told (tmux, sudo
    with a terminal of its own)."""
    try:
        uptime = float(Path("/proc/uptime").read_text().split()[0])
        ticks = os.sysconf("SC_CLK_TCK")
        process = os.getpid()
        while process > 1:
            stat = Path(f"/proc/{process}/stat").read_text()
            match = re.fullmatch(r"\d+ \((.*)\) (.*)", stat.strip(), re.DOTALL)
            if match is None:
                return None
            fields = match[2].split()
            if match[1].startswith("sshd"):
                return uptime - int(fields[19]) / ticks
            process = int(fields[1])
    except (OSError, ValueError, IndexError):
        return None
    return None
