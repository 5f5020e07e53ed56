"""What credentials are good for: what a plan reads is read, one call each; what a write needs is
asked of `testIamPermissions`.

That exists for a rule that exists, and knows the permissions on rules only. Writes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from cloudsync.provider.access import Access, as_listed, asked, of_quota, rows_of, unknown
from cloudsync.provider.answers import Answer, Nothing
from cloudsync.provider.contract import Account, FirewallSpec
from cloudsync.provider.errors import ProviderError
from cloudsync_gcp import provider
from cloudsync_gcp.client import Api

_ON_NETWORKS = {
    "compute.networks.get": "",
    "compute.networks.getEffectiveFirewalls": "/getEffectiveFirewalls",
}
_ROLE = "the role in docs/providers/gcp.md has it"
_ON_RULES = ("compute.firewalls.create", "compute.firewalls.delete", "compute.firewalls.update")
_ELSEWHERE = ("compute.networks.updatePolicy", "compute.globalOperations.get")
_UNKNOWN = f"Google says so only when a rule is written; {_ROLE}"


def check(account: Account, specs: Sequence[FirewallSpec]) -> Sequence[Access]:
    """Raises nothing but bugs."""
    return rows_of(lambda: _rows(account, specs), "credentials: compute.firewalls.list")


def _rows(account: Account, specs: Sequence[FirewallSpec]) -> Sequence[Access]:
    """Raises `ProviderError` if the rules of the project cannot be listed."""
    api = Api(account)
    rules = api.listed("global/firewalls")
    rows = [
        Access("credentials", "plan", "ok", "Google accepts them"),
        Access("compute.firewalls.list", "plan", "ok", "granted"),
    ]
    rows += _writing(api, rules, specs)
    probe = partial(api.probe, api.path("aggregated/instances"))
    rows.append(asked("compute.instances.list", "exposure", probe, "granted"))
    for network in sorted({provider.settings_of(spec).network for spec in specs}):
        path = api.path(f"global/networks/{network}")
        for permission, suffix in _ON_NETWORKS.items():
            ask = partial(api.get, f"{path}{suffix}", Nothing)
            rows.append(asked(f"{permission} of {network}", "exposure", ask, "granted"))
    rows.append(_quota(api))
    return rows


def _writing(
    api: Api, rules: Sequence[Mapping[str, Any]], specs: Sequence[FirewallSpec]
) -> Sequence[Access]:
    """What a write needs, as far as a rule that exists shows it; one of ours before others."""
    prefixes = tuple(provider.identity(spec) for spec in specs)
    names = (str(rule["name"]) for rule in rules)
    name = min(names, key=lambda name: (not name.startswith(prefixes), name), default=None)
    if name is None:
        return unknown((*_ON_RULES, *_ELSEWHERE), "apply", _UNKNOWN)
    look = partial(api.granted, f"global/firewalls/{name}", _ON_RULES)
    return [
        *as_listed(_ON_RULES, "apply", look, f"granted on {name}", _ROLE),
        *unknown(_ELSEWHERE, "apply", _UNKNOWN),
    ]


class _Quota(Answer):
    metric: str = ""
    usage: float = 0
    limit: float = 0


class _Project(Answer):
    quotas: tuple[_Quota, ...] = ()


def _quota(api: Api) -> Access:
    what = "firewall rules of the project"
    try:
        quotas = api.get(api.path(), _Project).quotas
    except ProviderError as error:
        needed = "Google shows the quota to those who have compute.projects.get"
        return Access(what, "apply", "unknown", f"{needed}: {error.message}", error.temporary)
    for quota in quotas:
        if quota.metric == "FIREWALLS":
            return of_quota(what, int(quota.usage), int(quota.limit))
    return Access(what, "apply", "unknown", "Google does not show the quota")
