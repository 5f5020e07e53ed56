"""What the credentials of every account are good for, before a run finds out (`cloudsync
check-access`)."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from functools import partial

from cloudsync.config.configuration import Configuration
from cloudsync.config.specs import spec_of
from cloudsync.provider.access import Access, NeededFor
from cloudsync.provider.contract import AccessChecker, Account, Progress, silent
from cloudsync.provider.errors import PluginDefect, ProviderError
from cloudsync.reconcile.identities import identified_if_possible
from cloudsync.runtime.pools import gather

_GRACE_SECONDS = 1.0


def check(
    configuration: Configuration, progress: Progress = silent
) -> Mapping[str, Sequence[Access]]:
    """The rows of every account a firewall uses, by its name; account by account side by side.
    Writes nothing."""
    configuration = identified_if_possible(configuration)
    names = sorted({firewall.account for firewall in configuration.firewalls.values()})
    deadline = time.monotonic() + configuration.run.deadline

    tasks = {
        name: partial(
            _rows,
            configuration,
            Account(
                name, configuration.accounts[name].settings, configuration.base, deadline, progress
            ),
        )
        for name in names
    }
    answered = gather(tasks, "account", deadline + _GRACE_SECONDS)
    late = (_unknown("the vendor's answers did not end within the run's time", temporary=True),)
    return {name: answered.get(name, late) for name in names}


def _rows(configuration: Configuration, account: Account) -> Sequence[Access]:
    table = configuration.accounts[account.name]
    if not isinstance(table.provider, AccessChecker):
        return (_unknown(f"the provider {table.type} cannot tell", temporary=False),)
    account.progress(f"{account.name}: asking what its credentials may do")
    specs = [
        spec_of(configuration, firewall)
        for firewall in configuration.firewalls.values()
        if firewall.account == account.name
    ]
    try:
        return table.provider.check_access(account, specs)
    except PluginDefect as error:
        return (Access("provider plugin", "plan", "missing", error.message),)
    except ProviderError as error:
        return (_unknown(error.message, temporary=error.temporary),)


def _unknown(detail: str, *, temporary: bool) -> Access:
    return Access("credentials", "plan", "unknown", detail, temporary)


def needed(row: Access, purpose: NeededFor, *, exposure: bool) -> bool:
    """Whether a run for that purpose needs it; `exposure`: policy.foreign is not "ignore"."""
    if row.needed_for == "exposure":
        return exposure
    return row.needed_for == "plan" or purpose == "apply"


def failing(row: Access, purpose: NeededFor, *, exposure: bool) -> bool:
    """Whether the row speaks against such a run: missing, or not known and worth another try."""
    return needed(row, purpose, exposure=exposure) and (
        row.state == "missing" or (row.state == "unknown" and row.temporary)
    )
