"""Reading all firewalls, account by account side by side; one account that fails does not stop the
others."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

from cloudsync.config.configuration import Configuration
from cloudsync.config.specs import spec_of
from cloudsync.model.observed import Seen
from cloudsync.provider.contract import (
    Account,
    FirewallSpec,
    MachineReader,
    MarkReader,
    Observation,
    Present,
    Progress,
    Reader,
    Unreadable,
)
from cloudsync.provider.errors import ProviderError
from cloudsync.runtime.pools import side_by_side

Told = TypeVar("Told")


def accounts_of(
    configuration: Configuration, names: Iterable[str], until: float, progress: Progress
) -> dict[str, Account]:
    """The accounts, each to be done by `until` (`time.monotonic()`)."""
    return {
        name: Account(
            name, configuration.accounts[name].settings, configuration.base, until, progress
        )
        for name in sorted(names)
    }


def observe(
    configuration: Configuration,
    accounts: Mapping[str, Account],
    specs: Mapping[str, tuple[str, FirewallSpec]],
    told: dict[str, Seen] | None = None,
) -> dict[str, Observation]:
    """What every firewall is. `specs`: by firewall, its account and what its provider needs to
    know. `told` is filled with what the same readers tell of machines and marks, where somebody
    wants to know. Raises nothing but bugs."""

    def read(name: str) -> dict[str, Observation]:
        asked = [spec for account, spec in specs.values() if account == name]
        try:
            reader = configuration.accounts[name].provider.open_reader(accounts[name])
            found = reader.read(asked)
        except ProviderError as error:
            return {spec.name: Unreadable(error) for spec in asked}
        except Exception as error:  # noqa: BLE001 - a plugin's bug must not stop the other accounts
            bug = ProviderError(f"the provider plugin of {name!r} failed: {type(error).__name__}")
            return {spec.name: Unreadable(bug) for spec in asked}
        if told is not None:
            told[name] = look(configuration, name, reader, found)
        silence = ProviderError(f"the provider plugin of {name!r} said nothing of this firewall")
        return {spec.name: found.get(spec.name, Unreadable(silence)) for spec in asked}

    if not accounts:
        return {}
    with side_by_side(len(accounts), "account") as pool:
        return {name: one for part in pool.map(read, accounts) for name, one in part.items()}


def twins(
    configuration: Configuration,
    accounts: Mapping[str, Account],
    firewalls: Mapping[str, str],
    observed: Mapping[str, Observation],
) -> dict[str, tuple[str, ...]]:
    """By firewall, the others of the configuration that are the same one at the vendor.
    `firewalls`: the account of each."""
    by_vendor: dict[tuple[str, str, str], list[str]] = {}
    for name, account in firewalls.items():
        if isinstance(found := observed[name], Present):
            table = configuration.accounts[account]
            by_vendor.setdefault(
                (table.type, table.provider.endpoint(accounts[account]), found.id), []
            ).append(name)
    return {
        name: tuple(n for n in names if n != name)
        for names in by_vendor.values()
        if len(names) > 1
        for name in names
    }


def look(
    configuration: Configuration, account: str, reader: Reader, found: Mapping[str, Observation]
) -> Seen:
    """Ask a reader that has just read its account, and `found` this, for machines and marks. Raises
    nothing: what fails is `Unreadable`.

    An account of which nothing could be read is not asked further: it would only fail once more, as
    slowly.
    """
    ask = configuration.policy.foreign != "ignore"
    unread = [one for one in found.values() if isinstance(one, Unreadable)]
    if found and len(unread) == len(found):
        return Seen(unread[0] if ask and isinstance(reader, MachineReader) else None)
    specs = [
        spec_of(configuration, f) for f in configuration.firewalls.values() if f.account == account
    ]
    fleet, marked = None, None
    if ask and isinstance(reader, MachineReader):
        fleet = _tried(account, lambda: reader.read_machines(specs))
    if isinstance(reader, MarkReader):
        marked = _tried(account, lambda: reader.read_marked(configuration.owner, specs, ask=ask))
    return Seen(fleet, marked)


def _tried(account: str, ask: Callable[[], Told]) -> Told | Unreadable:
    try:
        return ask()
    except ProviderError as error:
        return Unreadable(error)
    except Exception as error:  # noqa: BLE001 - a plugin's bug must not stop the plan
        return Unreadable(
            ProviderError(f"the provider plugin of {account!r} failed: {type(error).__name__}")
        )
