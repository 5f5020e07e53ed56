"""Whether nftables can be used on each machine, without a write."""

from __future__ import annotations

from collections.abc import Sequence

from cloudsync.provider.access import Access
from cloudsync.provider.contract import Account, FirewallSpec
from cloudsync.provider.errors import ProviderError
from cloudsync_host.kernel import READ, WRITE
from cloudsync_host.reader import look_at
from cloudsync_host.settings import address_of


def check(account: Account, specs: Sequence[FirewallSpec]) -> Sequence[Access]:
    """One row for reading, which was tried, and one for writing, which cannot be without a
    write."""
    rows = []
    for spec in specs:
        where = address_of(spec).removeprefix("ssh://") or spec.name
        try:
            look_at(spec, account.deadline)
        except ProviderError as error:
            state = "unknown" if error.temporary else "missing"
            rows.append(
                Access(f"{READ} ({where})", "plan", state, error.message, error.temporary)  # type: ignore[arg-type]  # both are states
            )
            continue
        rows.append(Access(f"{READ} ({where})", "plan", "ok"))
        rows.append(
            Access(
                f"{WRITE} ({where})", "apply", "unknown", "only a write shows it; as for reading"
            )
        )
    return rows
