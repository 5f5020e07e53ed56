"""Which scopes a token has. DigitalOcean lists them nowhere: a request that lacks one is refused
with 403.

Reading is asked with lists of one. Writing is asked without a write: a firewall that does not
exist, and objects without any content, which a token with the scope is answered are not there or
not valid.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from cloudsync.provider.access import Access, NeededFor, asked, of_quota, of_rate
from cloudsync.provider.answers import Nothing
from cloudsync.provider.errors import NotFound, Unsupported
from cloudsync.provider.http import Rest
from cloudsync_digitalocean.answers import Firewall
from cloudsync_digitalocean.client import Forbidden
from cloudsync_digitalocean.rules import MAX_RULES

NOBODY = "00000000-0000-4000-8000-000000000000"
Ours = Callable[[dict[str, str]], set[str]]


def rows(api: Rest, ours: Ours, *, attached: bool, tagged: bool) -> Sequence[Access]:
    """`ours`: which ids of firewalls, of all names by id, stand for one of the configuration.
    `attached`, `tagged`: whether it names droplets, and tags. Raises `ProviderError`."""
    firewalls: list[Firewall] = []

    def list_firewalls() -> None:
        firewalls.extend(api.pages("/firewalls", "firewalls", Firewall))

    def scope(name: str, path: str) -> Access:
        needed = attached or tagged if path == "/droplets" else tagged
        needed_for: NeededFor = "plan" if needed else "exposure"
        first_item = {"page": 1, "per_page": 1}
        ask = lambda: api.get(path, Nothing, first_item)  # noqa: E731 - one expression
        return asked(name, needed_for, ask, "granted", lacking=Forbidden)

    def write_scope(name: str, path: str) -> Access:
        ask = lambda: api.write("POST", path, {}, Nothing)  # noqa: E731 - one expression
        proofs = (NotFound, Unsupported)
        return asked(name, "apply", ask, "not refused", proofs, lacking=Forbidden)

    listing = asked("firewall:read", "plan", list_firewalls, "granted", lacking=Forbidden)
    if listing.state == "unknown":
        return (Access("token", "plan", "unknown", listing.detail, listing.temporary),)
    ids = ours({firewall.id: firewall.name for firewall in firewalls})
    return [
        Access("token", "plan", "ok", "the token is valid"),
        listing,
        scope("droplet:read", "/droplets"),
        scope("tag:read", "/tags"),
        write_scope("firewall:create", "/firewalls"),
        write_scope("firewall:update", f"/firewalls/{NOBODY}/rules"),
        *([write_scope("tag:create", "/tags")] if tagged else []),
        *(of_quota(f"rules of {f.name}", f.size, MAX_RULES) for f in firewalls if f.id in ids),
        *of_rate(api.rate),
    ]
