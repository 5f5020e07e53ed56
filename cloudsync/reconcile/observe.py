"""Reading all firewalls, account by account side by side; one account that fails does not stop the
others."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field
from functools import partial
from typing import TYPE_CHECKING

from cloudsync.config.configuration import Configuration, Firewall
from cloudsync.config.specs import spec_of
from cloudsync.model.observed import Seen
from cloudsync.provider.contract import (
    Account,
    FirewallSpec,
    MachineReader,
    MarkReader,
    Observation,
    OnMachine,
    Present,
    Progress,
    Reader,
    Unreadable,
)
from cloudsync.provider.errors import ProviderError, Transient
from cloudsync.rules.frozen import dataclass
from cloudsync.runtime.pools import gather

if TYPE_CHECKING:
    from cloudsync.provider.machines import Fleet, Marked

_GRACE_SECONDS = 1.0
"""A provider ends its calls by the account's deadline; so much later, or a tenth of its time later
if that is less, nobody waits for it any more."""


@dataclass(frozen=True, slots=True)
class Readings:
    """What was read."""

    observed: Mapping[str, Observation]
    """By firewall: every one that was asked for."""
    seen: Mapping[str, Seen] = field(default_factory=dict)
    """By account, what the same readers report of machines and marks; only if asked for."""


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
    *,
    look_further: bool = False,
    here: bool = False,
) -> Readings:
    """What every firewall is. `specs`: by firewall, its account and what its provider needs to
    know. `look_further`: ask the same readers for machines and marks too. `here`: they are
    `only_this_machine`, which takes no thread. Raises nothing but bugs of our own."""
    asked = {
        name: [spec for account, spec in specs.values() if account == name] for name in accounts
    }
    tasks = {
        name: partial(_read, configuration, account, asked[name], look_further)
        for name, account in accounts.items()
    }
    until = max((account.deadline for account in accounts.values()), default=0.0)
    grace = min(_GRACE_SECONDS, max(0.0, until - time.monotonic()) / 10)
    if here:
        done = {name: task() for name, task in tasks.items()}
    else:
        done = gather(tasks, "account", until + grace)
    late = Unreadable(Transient("the vendor's answers did not end within the run's time"))
    observed: dict[str, Observation] = {}
    for name, wanted in asked.items():
        answers = done[name][0] if name in done else {}
        observed.update({spec.name: answers.get(spec.name, late) for spec in wanted})
    seen = {name: observation for name, (_, observation) in done.items() if observation is not None}
    return Readings(observed, seen)


def only_this_machine(
    configuration: Configuration, specs: Mapping[str, tuple[str, FirewallSpec]]
) -> bool:
    """Whether a single account is asked, about firewalls of the machine itself: no peer can hold
    that up, and it is over sooner than a thread for it would have begun."""
    accounts = {account for account, _ in specs.values()}
    return len(accounts) == 1 and all(
        _is_here(configuration, account, spec) for account, spec in specs.values()
    )


def _is_here(configuration: Configuration, account: str, spec: FirewallSpec) -> bool:
    provider = configuration.accounts[account].provider
    try:
        return isinstance(provider, OnMachine) and provider.is_here(spec)
    except ProviderError:
        return False


def _read(
    configuration: Configuration,
    account: Account,
    asked: list[FirewallSpec],
    look_further: bool,
) -> tuple[Mapping[str, Observation], Seen | None]:
    """One account's firewalls, and what else its reader reports of it if that is asked for."""
    try:
        reader = configuration.accounts[account.name].provider.open_reader(account)
        answers = reader.read(asked)
    except ProviderError as error:
        return {spec.name: Unreadable(error) for spec in asked}, None
    silence = Unreadable(ProviderError(f"the provider of {account.name!r} reported nothing of it"))
    observed = {spec.name: answers.get(spec.name, silence) for spec in asked}
    seen = look(configuration, account.name, reader, observed) if look_further else None
    return observed, seen


def twins(
    configuration: Configuration,
    accounts: Mapping[str, Account],
    firewalls: Iterable[Firewall],
    observed: Mapping[str, Observation],
) -> dict[str, tuple[str, ...]]:
    """By firewall, the others of the configuration that are the same one at the vendor."""
    by_vendor: dict[tuple[str, str, str], list[str]] = {}
    for firewall in firewalls:
        observation, table = observed[firewall.name], configuration.accounts[firewall.account]
        if not isinstance(observation, Present):
            continue
        try:
            endpoint = table.provider.endpoint(accounts[firewall.account])
        except ProviderError:
            continue  # it cannot be planned at all
        by_vendor.setdefault((table.type, endpoint, observation.id), []).append(firewall.name)
    return {
        name: tuple(other for other in names if other != name)
        for names in by_vendor.values()
        if len(names) > 1
        for name in names
    }


def look(
    configuration: Configuration,
    account: str,
    reader: Reader,
    observations: Mapping[str, Observation],
) -> Seen:
    """Ask a reader that has just read its account, and `observations` this, for machines and marks.
    What fails is `Unreadable`.

    An account of which nothing could be read is not asked further: it would only fail once more, as
    slowly.
    """
    ask = configuration.policy.foreign != "ignore"
    unread = [firewall for firewall in observations.values() if isinstance(firewall, Unreadable)]
    if observations and len(unread) == len(observations):
        return Seen(unread[0] if ask and isinstance(reader, MachineReader) else None)
    specs = [
        spec_of(configuration, f) for f in configuration.firewalls.values() if f.account == account
    ]
    fleet: Fleet | Unreadable | None = None
    marked: Sequence[Marked] | Unreadable | None = None
    if ask and isinstance(reader, MachineReader):
        try:
            fleet = reader.read_machines(specs)
        except ProviderError as error:
            fleet = Unreadable(error)
    if isinstance(reader, MarkReader):
        try:
            marked = reader.read_marked(configuration.owner, specs, ask=ask)
        except ProviderError as error:
            marked = Unreadable(error)
    return Seen(fleet, marked)
