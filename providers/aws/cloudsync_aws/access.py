"""Which actions the credentials may do, by EC2's own dry runs: one call for each action, and
nothing is done.

A policy may allow an action for some groups only; it is asked about the first group of the
configuration that exists.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from cloudsync.provider.access import Access, NeededFor, asked, of_quota, rows_of, unread
from cloudsync.provider.contract import Account, FirewallSpec, Present, Unreadable
from cloudsync.provider.errors import Forbidden
from cloudsync_aws import provider
from cloudsync_aws.client import WouldWork
from cloudsync_aws.native import FAMILIES, Found, creation, tags_of
from cloudsync_aws.reader import AwsReader

_NETWORK = {
    "IpProtocol": "tcp",
    "FromPort": 1,
    "ToPort": 1,
    "IpRanges": [{"CidrIp": "192.0.2.1/32"}],
}
"""Of TEST-NET-1, and never written."""
_LIST = "pl-00000000000000000"
Question = tuple[str, NeededFor, Mapping[str, Any]]


def check(account: Account, specs: Sequence[FirewallSpec]) -> Sequence[Access]:
    """Raises nothing but bugs."""
    return rows_of(lambda: _rows(account, specs), "credentials")


def _rows(account: Account, specs: Sequence[FirewallSpec]) -> Sequence[Access]:
    """Raises `ProviderError` if AWS does not accept the credentials."""
    api = provider.open_client(account)

    def asked_to(operation: str, needed_for: NeededFor, parameters: Mapping[str, Any]) -> Access:
        ask = partial(api.dry_run, operation, parameters)
        return asked(f"ec2:{operation}", needed_for, ask, "granted", (WouldWork,), Forbidden)

    reading = asked_to("DescribeSecurityGroups", "plan", {})
    if reading.state != "ok":
        return (reading,)
    observed = AwsReader(api).read(specs)
    groups = [group for group in observed.values() if isinstance(group, Present)]
    return [
        Access("credentials", "plan", "ok", "AWS accepts them"),
        reading,
        *(
            unread(f"the group of {name}", observation.error)
            for name, observation in observed.items()
            if isinstance(observation, Unreadable)
        ),
        *(asked_to(*question) for question in _questions(groups, specs)),
        *(
            of_quota(
                f"rules of {group.id} for IPv{family}",
                group.native.used(family),
                group.native.quota,
            )
            for group in groups
            if isinstance(group.native, Found)
            for family in FAMILIES
        ),
    ]


def _questions(groups: Sequence[Present], specs: Sequence[FirewallSpec]) -> list[Question]:
    """Operations with parameters as a run would have them."""
    questions: list[Question] = [
        ("DescribeManagedPrefixLists", "plan", {}),
        ("DescribeInstances", "exposure", {}),
        ("GetManagedPrefixListEntries", "plan", {"PrefixListId": _LIST}),
    ]
    if groups:
        rules = {"GroupId": groups[0].id, "IpPermissions": [_NETWORK]}
        tags = {"Resources": [groups[0].id], "Tags": tags_of(specs[0].marker)}
        questions.append(("AuthorizeSecurityGroupIngress", "apply", rules))
        questions.append(("RevokeSecurityGroupIngress", "apply", rules))
        questions.append(("CreateTags", "apply", tags))
    creating = next((spec for spec in specs if provider.settings_of(spec).vpc_id), None)
    if creating is not None:
        vpc = provider.settings_of(creating).vpc_id
        new = creation(provider.name_of(creating), vpc, creating.marker)
        questions.append(("CreateSecurityGroup", "apply", new))
    return questions
