"""What a login is good for. Neutron has no dry run; its policy is asked before it looks a group up,
so a rule for a group that does not exist is refused (403) or not found (404), and nothing is done.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from cloudsync.provider.access import Access, NeededFor, asked, of_quota, rows_of, unread
from cloudsync.provider.contract import Account, FirewallSpec, Unreadable
from cloudsync.provider.errors import AuthError, Forbidden, NotFound, ProviderError
from cloudsync.provider.single_rules import SingleRule
from cloudsync.rules import ANY, Rule
from cloudsync_openstack import provider
from cloudsync_openstack.answers import Port, Quotas
from cloudsync_openstack.client import Api
from cloudsync_openstack.reader import OpenStackReader
from cloudsync_openstack.rules import body_of

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
    reader = OpenStackReader(api)
    observed = reader.read(specs)
    look = partial(reader.groups, specs)
    rows.append(asked("get_security_group", "plan", look, "granted", lacking=Forbidden))
    rows += [
        unread(f"the group of {name}", observation.error)
        for name, observation in observed.items()
        if isinstance(observation, Unreadable) and not isinstance(observation.error, AuthError)
    ]
    rows.append(_ports(api, specs))
    rows.append(_writing(api))
    return (*rows, *_quotas(api, project))


def _ports(api: Api, specs: Sequence[FirewallSpec]) -> Access:
    attaching = any(provider.settings_of(spec).attaches for spec in specs)
    needed_for: NeededFor = "plan" if attaching else "exposure"
    read = partial(api.list, "ports", Port, project_id=api.project, limit="1")
    return asked("get_port", needed_for, read, "granted", lacking=Forbidden)


def _writing(api: Api) -> Access:
    rule = body_of(SingleRule(Rule.of("tcp", "1", ANY.family(4))), str(uuid.uuid4()))
    row = asked(
        "create_security_group_rule",
        "apply",
        lambda: api.write("POST", "security-group-rules", {"security_group_rules": [rule]}),
        "granted; the role that has it has the other writes too",
        (NotFound,),
        Forbidden,
    )
    if row.state != "missing":
        return row
    return replace(row, detail=f"enough for plan, not for apply; {_ROLES}")


def _quotas(api: Api, project: str) -> list[Access]:
    try:
        quotas = api.get(f"quotas/{project}/details.json", "quota", Quotas)
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
