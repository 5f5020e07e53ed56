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
    """All of them in the accounts that were read, sorted."""
    known = {
        (one.account.name, one.observed.id)
        for one in considered
        if isinstance(one.observed, Present)
    }
    return tuple(
        Orphan(
            account,
            configuration.accounts[account].type,
            one.firewall.id,
            one.firewall.name,
            one.marker.firewall,
        )
        for account, told in sorted(seen.items())
        if told.marked is not None and not isinstance(told.marked, Unreadable)
        for one in sorted(told.marked, key=lambda each: (each.firewall.name, each.firewall.id))
        if one.firewall.of is None
        and one.marker.owner == configuration.owner
        and (account, one.firewall.id) not in known
    )


def unlooked(seen: Mapping[str, Seen]) -> tuple[str, ...]:
    """Accounts in which nobody could look for them, in words."""
    return tuple(
        f"{account}: firewalls that the configuration does not name any more could not be looked for: {told.marked.error.message}"
        for account, told in sorted(seen.items())
        if isinstance(told.marked, Unreadable)
    )
