"""What credentials are good for: what a plan reads is read, one call each; what a write needs is
asked of `testIamPermissions`.

That exists for a rule that exists, and knows the permissions on rules only. Writes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from cloudsync.provider.access import Access, asked, of_quota, rows_of
from cloudsync.provider.answers import Answer, Nothing
from cloudsync.provider.contract import Account, FirewallSpec
from cloudsync.provider.errors import ProviderError
from cloudsync_gcp.client import Api
from cloudsync_gcp.settings import prefix_of, settings_of

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
    questions = {
        "compute.instances.list": partial(
            api.get, api.path("aggregated/instances"), Nothing, {"maxResults": 1}
        )
    }
    for network in sorted({settings_of(spec).network for spec in specs}):
        path = api.path(f"global/networks/{network}")
        effective = partial(api.get, f"{path}/getEffectiveFirewalls", Nothing)
        questions[f"compute.networks.get of {network}"] = partial(api.get, path, Nothing)
        questions[f"compute.networks.getEffectiveFirewalls of {network}"] = effective
    rows += [asked(what, "exposure", ask, "granted") for what, ask in questions.items()]
    rows.append(_quota(api))
    return rows


def _writing(
    api: Api, rules: Sequence[Mapping[str, Any]], specs: Sequence[FirewallSpec]
) -> list[Access]:
    prefixes = tuple(prefix_of(spec) for spec in specs)
    names = sorted(
        (str(rule["name"]) for rule in rules),
        key=lambda name: (not name.startswith(prefixes), name),
    )
    rows = [Access(what, "apply", "unknown", _UNKNOWN) for what in _ELSEWHERE]
    if not names:
        return [*(Access(what, "apply", "unknown", _UNKNOWN) for what in _ON_RULES), *rows]
    try:
        granted = api.granted(f"global/firewalls/{names[0]}", _ON_RULES)
    except ProviderError as error:
        return [
            *(
                Access(what, "apply", "unknown", error.message, error.temporary)
                for what in _ON_RULES
            ),
            *rows,
        ]
    return [
        *(
            Access(what, "apply", "ok", f"granted on {names[0]}")
            if what in granted
            else Access(what, "apply", "missing", _ROLE)
            for what in _ON_RULES
        ),
        *rows,
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
        return Access(
            what,
            "apply",
            "unknown",
            f"Google shows the quota to those who have compute.projects.get: {error.message}",
            error.temporary,
        )
    quota = next((quota for quota in quotas if quota.metric == "FIREWALLS"), None)
    if quota is None:
        return Access(what, "apply", "unknown", "Google does not show the quota")
    return of_quota(what, int(quota.usage), int(quota.limit))
