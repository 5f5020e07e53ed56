"""Firewalls on the machines themselves: what they met (`cloudsync observe`), and changes on trial
(`cloudsync confirm`)."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping

from cloudsync.config.configuration import AccountTable, Configuration
from cloudsync.config.specs import spec_of
from cloudsync.provider.contract import Account, FirewallSpec, OnMachine, Progress, silent
from cloudsync.provider.errors import ProviderError
from cloudsync.provider.trace import Trace
from cloudsync.reconcile.identities import identified


def on_machines(configuration: Configuration, chosen: Iterable[str] = ()) -> tuple[str, ...]:
    """The firewalls of the configuration that act on the machine itself, of `chosen` or of all."""
    names = tuple(chosen) or tuple(configuration.firewalls)
    return tuple(
        name for name in names if isinstance(_table(configuration, name).provider, OnMachine)
    )


def traces(
    configuration: Configuration, names: Iterable[str], progress: Progress = silent
) -> Mapping[str, Trace]:
    """What these firewalls met, by name. Writes nothing."""
    by_account: dict[str, list[FirewallSpec]] = {}
    for name in names:
        firewall = configuration.firewalls[name]
        by_account.setdefault(firewall.account, []).append(spec_of(configuration, firewall))
    met: dict[str, Trace] = {}
    for account, specs in by_account.items():
        provider = configuration.accounts[account].provider
        if isinstance(provider, OnMachine):
            met |= provider.read_trace(_account(configuration, account, progress), specs)
    return met


def confirm(configuration: Configuration, name: str, environ: Mapping[str, str]) -> str | None:
    """Keep the change of one firewall that is on trial; None if there is none. Raises
    `ProviderError`, with the trial going on."""
    configuration = identified(configuration)
    firewall = configuration.firewalls[name]
    provider = _table(configuration, name).provider
    if not isinstance(provider, OnMachine):
        raise ProviderError(f"{name} does not act on the machine itself: it has no trials")
    account = _account(configuration, firewall.account, silent)
    return provider.confirm_trial(account, spec_of(configuration, firewall), environ)


def _table(configuration: Configuration, name: str) -> AccountTable:
    return configuration.accounts[configuration.firewalls[name].account]


def _account(configuration: Configuration, name: str, progress: Progress) -> Account:
    deadline = time.monotonic() + configuration.run.deadline
    table = configuration.accounts[name]
    return Account(name, table.settings, configuration.base, deadline, progress)
