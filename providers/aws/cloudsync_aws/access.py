"""Which actions the credentials may do, by EC2's own dry runs: one call for each action, and
nothing is done.

A policy may allow an action for some groups only; it is asked about the first group of the
configuration that exists.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cloudsync.provider.access import Access, NeededFor, of_quota, rows_of
from cloudsync.provider.contract import Account, FirewallSpec, Present, Unreadable
from cloudsync.provider.errors import AuthError, NotFound, ProviderError
from cloudsync_aws.client import Api, NotAllowed
from cloudsync_aws.native import Found
from cloudsync_aws.permissions import Family
from cloudsync_aws.reader import AwsReader
from cloudsync_aws.settings import name_of, settings_of

_NETWORK = [
    {"IpProtocol": "tcp", "FromPort": 1, "ToPort": 1, "IpRanges": [{"CidrIp": "192.0.2.1/32"}]}
]  # TEST-NET-1, never sent for good
_LIST = "pl-00000000000000000"


def check(account: Account, specs: Sequence[FirewallSpec]) -> Sequence[Access]:
    """Raises nothing but bugs."""
    return rows_of(lambda: _rows(account, specs), "credentials")


def _rows(account: Account, specs: Sequence[FirewallSpec]) -> Sequence[Access]:
    """Raises `ProviderError` if AWS does not accept the credentials."""
    api = Api(account)
    try:
        api.dry_run("DescribeSecurityGroups", {})
    except NotAllowed as error:
        return (Access("ec2:DescribeSecurityGroups", "plan", "missing", error.message),)
    rows = [
        Access("credentials", "plan", "ok", "AWS accepts them"),
        Access("ec2:DescribeSecurityGroups", "plan", "ok", "granted"),
    ]
    observed = AwsReader(api).read(specs)
    rows += [
        Access(f"the group of {name}", "plan", "missing", observation.error.message)
        if isinstance(observation.error, NotFound)
        else Access(
            f"the group of {name}",
            "plan",
            "unknown",
            observation.error.message,
            observation.error.temporary,
        )
        for name, observation in observed.items()
        if isinstance(observation, Unreadable)
    ]
    groups = [observation for observation in observed.values() if isinstance(observation, Present)]
    rows.append(_asked(api, "DescribeManagedPrefixLists", "plan", {}))
    rows.append(_asked(api, "DescribeInstances", "exposure", {}))
    rows.append(_asked(api, "GetManagedPrefixListEntries", "plan", {"PrefixListId": _LIST}))
    if groups:
        where = {"GroupId": groups[0].id, "IpPermissions": _NETWORK}
        rows.append(_asked(api, "AuthorizeSecurityGroupIngress", "apply", where))
        rows.append(_asked(api, "RevokeSecurityGroupIngress", "apply", where))
        tag = {
            "Resources": [groups[0].id],
            "Tags": [{"Key": "cloudsync:owner", "Value": specs[0].marker.owner}],
        }
        rows.append(_asked(api, "CreateTags", "apply", tag))
    creating = next((spec for spec in specs if settings_of(spec).vpc_id is not None), None)
    if creating is not None:
        new = {
            "GroupName": name_of(creating),
            "Description": "managed by cloudsync",
            "VpcId": settings_of(creating).vpc_id,
            "TagSpecifications": [
                {
                    "ResourceType": "security-group",
                    "Tags": [{"Key": "cloudsync:owner", "Value": creating.marker.owner}],
                }
            ],
        }
        rows.append(_asked(api, "CreateSecurityGroup", "apply", new))
    families: tuple[Family, ...] = (4, 6)
    for group in groups:
        if isinstance(state := group.native, Found):
            for family in families:
                used = sum(permission.family == family for permission in state.permissions) + sum(
                    other.weight for other in state.others
                )
                rows.append(of_quota(f"rules of {group.id} for IPv{family}", used, state.quota))
    return rows


def _asked(
    api: Api, operation: str, needed_for: NeededFor, parameters: Mapping[str, Any]
) -> Access:
    what = f"ec2:{operation}"
    try:
        api.dry_run(operation, parameters)
    except AuthError:
        return Access(what, needed_for, "missing", "the policy in docs/providers/aws.md allows it")
    except ProviderError as error:
        return Access(what, needed_for, "unknown", error.message, error.temporary)
    return Access(what, needed_for, "ok", "granted")
