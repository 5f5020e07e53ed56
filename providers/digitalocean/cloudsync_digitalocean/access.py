"""Which scopes a token has. DigitalOcean lists them nowhere: a request that lacks one is refused
with 403.

Reading is asked with lists of one. Writing is asked without a write: a firewall that does not
exist, and objects without any content, which a token with the scope is answered are not there or
not valid.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from cloudsync.provider.access import (
    Access,
    asked,
    asked_to_read,
    asked_to_write,
    of_quota,
    of_rate,
)
from cloudsync.provider.errors import Forbidden, NotFound, Unsupported
from cloudsync.provider.http import Rest
from cloudsync_digitalocean.answers import Firewall
from cloudsync_digitalocean.rules import MAX_RULES

if TYPE_CHECKING:
    from cloudsync.provider.contract import FirewallSpec
    from cloudsync_digitalocean.plugin import DigitalOceanProvider

NOBODY = "00000000-0000-4000-8000-000000000000"


def rows(
    api: Rest, provider: DigitalOceanProvider, specs: Sequence[FirewallSpec]
) -> Sequence[Access]:
    """One row for each scope and quota that these firewalls need. Raises `ProviderError`."""
    settings = [provider.settings_of(spec) for spec in specs]
    tagged = any(table.tags for table in settings)
    attached = tagged or any(table.droplets for table in settings)
    firewalls: list[Firewall] = []

    def list_firewalls() -> None:
        firewalls.extend(api.pages("/firewalls", "firewalls", Firewall))

    def writing(scope: str, path: str) -> Access:
        return asked_to_write(api, scope, "POST", path, NotFound, Unsupported)

    listing = asked("firewall:read", "plan", list_firewalls, "granted", lacking=Forbidden)
    if listing.state == "unknown":
        return (Access("token", "plan", "unknown", listing.detail, listing.temporary),)
    ids = provider.owned({firewall.id: firewall.name for firewall in firewalls}, specs)
    return [
        Access("token", "plan", "ok", "valid"),
        listing,
        asked_to_read(api, "droplet:read", "/droplets", "plan" if attached else "exposure"),
        asked_to_read(api, "tag:read", "/tags", "plan" if tagged else "exposure"),
        writing("firewall:create", "/firewalls"),
        writing("firewall:update", f"/firewalls/{NOBODY}/rules"),
        *([writing("tag:create", "/tags")] if tagged else []),
        *(of_quota(f"rules of {f.name}", f.size, MAX_RULES) for f in firewalls if f.id in ids),
        *of_rate(api.rate),
    ]
