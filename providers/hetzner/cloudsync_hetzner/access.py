"""What a token is good for. Hetzner lists no scopes: a token reads, or reads and writes, and a
refusal says which.

To find out without a write, the firewall 0 is asked to change: it does not exist, so that a token
that may write is answered `not_found`.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from cloudsync.provider.access import Access, asked_to_write, of_quota, of_rate
from cloudsync.provider.errors import NotFound
from cloudsync.provider.http import Rest
from cloudsync_hetzner.answers import Firewall
from cloudsync_hetzner.rules import MAX_RULES

MAX_FIREWALLS = 50


def rows(api: Rest, names: Collection[str]) -> Sequence[Access]:
    """`names`: of the configuration's firewalls, at the vendor. Raises `ProviderError`."""
    firewalls = api.pages("/firewalls", "firewalls", Firewall)
    api.probe("/servers")
    used = of_quota("firewalls of the project", len(firewalls), MAX_FIREWALLS)
    rules = (
        of_quota(f"rules of {firewall.name}", len(firewall.rules), MAX_RULES)
        for firewall in firewalls
        if firewall.name in names
    )
    read = Access("token", "plan", "ok", "the project can be read")
    return [read, _writing(api), used, *rules, *of_rate(api.rate)]


def _writing(api: Rest) -> Access:
    row = asked_to_write(api, "token: write", "PUT", "/firewalls/0", NotFound)
    if row.state != "missing":
        return row
    return replace(row, detail="it is read-only: enough for plan, apply needs one that may write")
