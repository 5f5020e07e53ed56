"""What a token is good for. Hetzner tells no scopes: a token reads, or reads and writes, and which
of the two a refusal says.

To find out without a write, the firewall 0 is asked to change: there is none, so that a token that
may write is told `not_found`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cloudsync.provider.access import Access, of_quota
from cloudsync.provider.contract import Account, FirewallSpec
from cloudsync.provider.errors import AuthError, NotFound, ProviderError
from cloudsync_hetzner.client import Api, ReadOnlyToken
from cloudsync_hetzner.rules import MAX_RULES

MAX_FIREWALLS = 50


def check(account: Account, endpoint: str, specs: Mapping[str, FirewallSpec]) -> Sequence[Access]:
    """`specs` by the firewalls' names at the vendor."""
    try:
        api = Api(account, endpoint)
        firewalls = api.pages("/firewalls", "firewalls")
        api.get("/servers", {"page": 1, "per_page": 1})
    except AuthError as error:
        return (Access("token", "plan", "missing", error.message),)
    except ProviderError as error:
        return (Access("token", "plan", "unknown", error.message, error.temporary),)
    rows = [Access("token", "plan", "ok", "the project can be read"), _writing(api)]
    rows.append(of_quota("firewalls of the project", len(firewalls), MAX_FIREWALLS))
    rows += [
        of_quota(f"rules of {firewall['name']}", len(firewall.get("rules") or ()), MAX_RULES)
        for firewall in firewalls
        if firewall.get("name") in specs
    ]
    if api.rate is not None:
        left, most = api.rate
        rows.append(of_quota("requests an hour", most - left, most, "plan"))
    return rows


def _writing(api: Api) -> Access:
    what = "token: write"
    try:
        api.write("PUT", "/firewalls/0", {})
    except ReadOnlyToken:
        return Access(
            what,
            "apply",
            "missing",
            "the token is read-only: enough for plan, apply needs one that may write",
        )
    except NotFound:
        return Access(what, "apply", "ok", "the token may write")
    except AuthError as error:
        return Access(what, "apply", "missing", error.message)
    except ProviderError as error:
        return Access(what, "apply", "unknown", error.message, error.temporary)
    return Access(what, "apply", "unknown", "the vendor answered in a way that does not say")
