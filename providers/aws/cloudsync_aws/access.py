"""Which actions the credentials may do, by EC2's own dry runs: one call for each action, and
nothing is done.

A policy may allow an action for some groups only; it is asked about the first group of the
configuration that exists.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

from cloudsync.provider.access import Access, NeededFor, asked, of_quota, rows_of, unread
from cloudsync.provider.contract import Account, FirewallSpec, Present, StepKind, Unreadable
from cloudsync.provider.errors import Forbidden
from cloudsync.provider.single_rules import FAMILIES, SingleRule
from cloudsync.rules import Rule
from cloudsync_aws import provider
from cloudsync_aws.client import Api, WouldWork
from cloudsync_aws.native import Change, Found, change_of, creation, marked
from cloudsync_aws.permissions import Permission
from cloudsync_aws.reader import AwsReader

_NEVER_WRITTEN = Permission.of(SingleRule(Rule.of("tcp", "1", ["192.0.2.1/32"])))
"""Of TEST-NET-1."""
_READING = Change("DescribeSecurityGroups", {})
_READS: tuple[tuple[NeededFor, Change], ...] = (
    ("plan", Change("DescribeManagedPrefixLists", {})),
    ("exposure", Change("DescribeInstances", {})),
    ("plan", Change("GetManagedPrefixListEntries", {"PrefixListId": "pl-00000000000000000"})),
)


def check(account: Account, specs: Sequence[FirewallSpec]) -> Sequence[Access]:
    """Raises nothing but bugs."""
    return rows_of(lambda: _rows(account, specs), "credentials")


def _rows(account: Account, specs: Sequence[FirewallSpec]) -> Sequence[Access]:
    """Raises `ProviderError` if AWS does not accept the credentials."""
    api = provider.open_client(account)
    reading = _asked(api, "plan", _READING)
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
        *(_asked(api, needed_for, read) for needed_for, read in _READS),
        *(_asked(api, "apply", write) for write in _writes(groups, specs)),
        *(
            of_quota(f"rules of {group.id} for IPv{family}", state.used(family), state.quota)
            for group in groups
            if isinstance(state := group.native, Found)
            for family in FAMILIES
        ),
    ]


def _asked(api: Api, needed_for: NeededFor, call: Change) -> Access:
    ask = partial(api.dry_run, call.operation, call.parameters)
    return asked(f"ec2:{call.operation}", needed_for, ask, "granted", (WouldWork,), Forbidden)


def _writes(groups: Sequence[Present], specs: Sequence[FirewallSpec]) -> Iterator[Change]:
    """As a run would do them."""
    for group in groups[:1]:
        for kind in (StepKind.WIDEN, StepKind.NARROW):
            yield change_of(kind, [_NEVER_WRITTEN], group.id)
        yield marked(group.id, specs[0].marker)
    in_vpcs = [spec for spec in specs if provider.settings_of(spec).vpc_id]
    for spec in in_vpcs[:1]:
        yield creation(provider.name_of(spec), provider.settings_of(spec).vpc_id, spec.marker)
