"""Firewalls at the vendors that carry our owner's marker and that the configuration does not name
(law 8).

Left over from a firewall that was taken out of the configuration, or another configuration's with
the same owner: which of the two nobody can tell from here, so they are told and never touched.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from cloudsync.config.configuration import Configuration
from cloudsync.model.observed import Seen
from cloudsync.model.plan import Orphan
from cloudsync.planning.decide import Considered
from cloudsync.provider.contract import Present, Unreadable


def orphans(
    configuration: Configuration, considered: Iterable[Considered], seen: Mapping[str, Seen]
) -> tuple[Orphan, ...]:
    """All of them in the accounts that were read, sorted.

    Two tables of the configuration may be one account at the vendor (split by role, say): what one
    of them names is not left over in the other, and what is left over is told once.
    """
    considered = tuple(considered)
    vendors = {judged.account.name: _vendor(judged) for judged in considered}
    known = {
        (*_vendor(judged), judged.observed.id)
        for judged in considered
        if isinstance(judged.observed, Present)
    }
    unread = set(configuration.firewalls) - {judged.plan.name for judged in considered}
    orphans: dict[tuple[str, str, str], Orphan] = {}
    for account, reported in sorted(seen.items()):
        if reported.marked is None or isinstance(reported.marked, Unreadable):
            continue
        for marked in sorted(
            reported.marked, key=lambda each: (each.firewall.name, each.firewall.id)
        ):
            key = (*vendors.get(account, (account, "")), marked.firewall.id)
            elsewhere = marked.marker.firewall in unread and _of_another_table(
                configuration, account, marked.marker.firewall
            )
            if (
                marked.firewall.of is None
                and marked.marker.owner == configuration.owner
                and key not in known
                and not elsewhere
            ):
                type_ = configuration.accounts[account].type
                orphans.setdefault(
                    key,
                    Orphan(
                        account,
                        type_,
                        marked.firewall.id,
                        marked.firewall.name,
                        marked.marker.firewall,
                    ),
                )
    return tuple(orphans.values())


def _vendor(judged: Considered) -> tuple[str, str]:
    """What tells one vendor's account from another: firewalls with one id there are the same."""
    return judged.plan.type, judged.plan.endpoint


def _of_another_table(configuration: Configuration, account: str, firewall: str) -> bool:
    """Whether a firewall that this run did not look at belongs to another table for the same kind
    of vendor: it may be the very one."""
    other = configuration.firewalls[firewall].account
    return (
        other != account
        and configuration.accounts[other].type == configuration.accounts[account].type
    )


def unlooked(seen: Mapping[str, Seen]) -> tuple[str, ...]:
    """Accounts in which nobody could look for them, in words."""
    return tuple(
        f"{account}: firewalls that the configuration does not name any more could not be looked"
        f" for: {memory.marked.error.message}"
        for account, memory in sorted(seen.items())
        if isinstance(memory.marked, Unreadable)
    )
