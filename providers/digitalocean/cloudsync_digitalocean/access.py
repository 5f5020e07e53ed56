"""Which scopes a token has. DigitalOcean lists them nowhere: a request that lacks one is refused
with 403.

Reading is asked with lists of one. Writing is asked without a write: a firewall that does not
exist, and objects without any content, which a token with the scope is told are not there or not
valid.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from cloudsync.provider.access import Access, NeededFor, of_quota
from cloudsync.provider.contract import Account, FirewallSpec
from cloudsync.provider.errors import AuthError, NotFound, ProviderError, Unsupported
from cloudsync_digitalocean.client import Api, Forbidden
from cloudsync_digitalocean.native import best_fit
from cloudsync_digitalocean.rules import MAX_RULES
from cloudsync_digitalocean.settings import settings_of

NOBODY = "00000000-0000-4000-8000-000000000000"


def check(
    account: Account,
    endpoint: str,
    specs: Sequence[FirewallSpec],
    identity: Callable[[FirewallSpec], str],
) -> Sequence[Access]:
    """`identity`: the first part of a firewall's name."""
    firewalls: list[dict[str, object]] = []

    def listed() -> None:
        firewalls.extend(api.pages("firewalls", "firewalls"))

    try:
        api = Api(account, endpoint)
        first = _asked("firewall:read", "plan", listed)
    except AuthError as error:
        return (Access("token", "plan", "missing", error.message),)
    if first.state == "unknown":
        return (Access("token", "plan", "unknown", first.detail, first.temporary),)
    tagged = any(settings_of(spec).tags for spec in specs)
    attached = any(settings_of(spec).droplets for spec in specs)
    one = {"page": 1, "per_page": 1}
    rows = [
        Access("token", "plan", "ok", "the token is valid"),
        first,
        _asked(
            "droplet:read",
            "plan" if attached or tagged else "exposure",
            lambda: api.get("droplets", one),
        ),
        _asked("tag:read", "plan" if tagged else "exposure", lambda: api.get("tags", one)),
        _asked("firewall:create", "apply", lambda: api.write("POST", "firewalls", {})),
        _asked(
            "firewall:update", "apply", lambda: api.write("POST", f"firewalls/{NOBODY}/rules", {})
        ),
    ]
    if tagged:
        rows.append(_asked("tag:create", "apply", lambda: api.write("POST", "tags", {})))
    names = {str(each["id"]): str(each["name"]) for each in firewalls}
    ours = {id_ for spec in specs for id_ in best_fit(names, identity(spec), spec.marker)}
    for each in firewalls:
        if each["id"] in ours:
            rules = [
                rule
                for side in ("inbound_rules", "outbound_rules")
                for rule in _list(each.get(side))
            ]
            rows.append(of_quota(f"rules of {each['name']}", len(rules), MAX_RULES))
    if api.rate is not None:
        left, most = api.rate
        rows.append(of_quota("requests an hour", most - left, most, "plan"))
    return rows


def _asked(scope: str, needed_for: NeededFor, ask: Callable[[], object]) -> Access:
    """Raises `AuthError` where the token itself is not accepted."""
    try:
        ask()
    except Forbidden:
        return Access(scope, needed_for, "missing", "the token does not have this scope")
    except AuthError:
        raise
    except (NotFound, Unsupported):
        return Access(scope, needed_for, "ok", "not refused")
    except ProviderError as error:
        return Access(scope, needed_for, "unknown", error.message, error.temporary)
    return Access(scope, needed_for, "ok", "granted")


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []
