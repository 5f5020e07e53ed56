"""What the credentials of every account are good for, before a run finds out (`cloudsync
check-access`)."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from cloudsync.config.configuration import Configuration
from cloudsync.config.specs import spec_of
from cloudsync.provider.access import Access, NeededFor
from cloudsync.provider.contract import AccessChecker, Account, Progress, silent
from cloudsync.provider.errors import ProviderError


def check(
    configuration: Configuration, progress: Progress = silent
) -> Mapping[str, Sequence[Access]]:
    """The rows of every account a firewall uses, by its name; account by account side by side.
    Writes nothing."""
    names = sorted({firewall.account for firewall in configuration.firewalls.values()})
    deadline = time.monotonic() + configuration.run.deadline

    def one(name: str) -> Sequence[Access]:
        table = configuration.accounts[name]
        specs = [
            spec_of(configuration, f) for f in configuration.firewalls.values() if f.account == name
        ]
        if not isinstance(table.provider, AccessChecker):
            return (
                Access("credentials", "plan", "unknown", f"the provider {table.type} cannot tell"),
            )
        progress(f"{name}: asking what its credentials may do")
        try:
            return table.provider.check_access(
                Account(name, table.settings, configuration.base, deadline, progress), specs
            )
        except ProviderError as error:
            return (Access("credentials", "plan", "unknown", error.message, error.temporary),)
        except Exception as error:  # noqa: BLE001 - a plugin's bug must not hide the other accounts
            why = f"the provider plugin failed: {type(error).__name__}"
            return (Access("credentials", "plan", "unknown", why, temporary=True),)

    if not names:
        return {}
    with ThreadPoolExecutor(len(names), thread_name_prefix="account") as pool:
        return dict(zip(names, pool.map(one, names), strict=True))


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
