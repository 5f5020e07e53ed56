"""What a login is good for. Neutron has no dry run; its policy is asked before it looks a group up,
so a rule for a group that does not exist is refused (403) or not found (404), and nothing is done.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from cloudsync.provider.access import Access, NeededFor, of_quota, rows_of, unread
from cloudsync.provider.contract import Account, FirewallSpec, Present, Unreadable
from cloudsync.provider.errors import AuthError, NotFound, ProviderError
from cloudsync.rules import ANY, Rule
from cloudsync_openstack import provider
from cloudsync_openstack.answers import Port, QuotaDetails, Quotas
from cloudsync_openstack.client import Api, NotAllowed
from cloudsync_openstack.reader import OpenStackReader
from cloudsync_openstack.rules import NewRule

_ROLES = "docs/providers/openstack.md has the roles"


def check(account: Account, specs: Sequence[FirewallSpec]) -> Sequence[Access]:
    """Raises nothing but bugs."""
    return rows_of(lambda: _rows(account, specs), "credentials")


def _rows(account: Account, specs: Sequence[FirewallSpec]) -> Sequence[Access]:
    """Raises `ProviderError` if the login fails."""
    api = provider.open_client(account)
    project, roles = api.project, api.roles()
    known = f" with the roles {', '.join(sorted(roles))}" if roles is not None else ""
    rows = [Access("credentials", "plan", "ok", f"a login for the project {project}{known}")]
    observed = OpenStackReader(api).read(specs)
    rows.append(_reading(list(observed.values())))
    rows += [
        unread(f"the group of {name}", observation.error)
        for name, observation in observed.items()
        if isinstance(observation, Unreadable) and not isinstance(observation.error, AuthError)
    ]
    rows.append(_ports(api, specs))
    rows.append(_writing(api))
    return (*rows, *_quotas(api, project))


def _reading(observed: Sequence[object]) -> Access:
    what = "get_security_group"
    for observation in observed:
        if isinstance(observation, Unreadable) and isinstance(observation.error, AuthError):
            return Access(what, "plan", "missing", observation.error.message)
    if any(isinstance(observation, Unreadable) for observation in observed) and not any(
        isinstance(observation, Present) for observation in observed
    ):
        return Access(what, "plan", "unknown", "the groups could not be read")
    return Access(what, "plan", "ok", "granted")


def _ports(api: Api, specs: Sequence[FirewallSpec]) -> Access:
    tables = [provider.settings_of(spec) for spec in specs]
    attaching = any(table.ports or table.servers for table in tables)
    needed_for: NeededFor = "plan" if attaching else "exposure"
    try:
        api.list("ports", "ports", Port, project_id=api.project, limit="1")
    except NotAllowed:
        return Access("get_port", needed_for, "missing", _ROLES)
    except ProviderError as error:
        return Access("get_port", needed_for, "unknown", error.message, error.temporary)
    return Access("get_port", needed_for, "ok", "granted")


def _writing(api: Api) -> Access:
    what = "create_security_group_rule"
    rule = NewRule(Rule.of("tcp", "1", ANY.family(4))).body(str(uuid.uuid4()))
    try:
        api.write("POST", "security-group-rules", {"security_group_rules": [rule]})
    except NotFound:
        return Access(what, "apply", "ok", "granted; the role that has it has the other writes too")
    except NotAllowed:
        return Access(what, "apply", "missing", f"enough for plan, not for apply; {_ROLES}")
    except ProviderError as error:
        return Access(what, "apply", "unknown", error.message, error.temporary)
    return Access(what, "apply", "unknown", "the cloud answered in a way that does not say")


def _quotas(api: Api, project: str) -> list[Access]:
    try:
        quotas: Quotas = api.get(f"quotas/{project}/details.json", QuotaDetails).quota
    except ProviderError as error:
        detail = f"the cloud does not report it: {error.message}"
        return [Access("quota", "apply", "unknown", detail, error.temporary)]
    return [
        of_quota(what, quota.used + quota.reserved, quota.limit)
        for what, quota in (
            ("security groups of the project", quotas.security_group),
            ("security group rules of the project", quotas.security_group_rule),
        )
        if quota.limit >= 0
    ]
