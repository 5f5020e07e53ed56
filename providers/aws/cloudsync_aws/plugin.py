"""What the plugin is: capabilities, settings, and how it plans. Imports no SDK.

One firewall is one security group. Authorize adds any number of rules in one call, all or nothing;
Revoke takes any number away. What is wanted is opened before anything closes; if the quota has no
room for that, `steps.py` says what is done.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from cloudsync.provider.contract import (
    API_VERSION,
    Absent,
    Account,
    AccountModel,
    Capabilities,
    FirewallModel,
    FirewallSpec,
    Present,
    Reader,
    Refusal,
    Step,
    StepKind,
    Target,
    Writer,
)
from cloudsync.rules import NOTHING
from cloudsync_aws.native import Change, Found
from cloudsync_aws.permissions import (
    EXPRESSIBLE,
    LIST_IDS,
    MAX_DESCRIPTION,
    inexpressible,
    plain,
)
from cloudsync_aws.settings import DEFAULT_QUOTA, AwsAccount, AwsFirewall, name_of, settings_of
from cloudsync_aws.steps import Call, calls, difference

if TYPE_CHECKING:
    from cloudsync.provider.access import Access
    from cloudsync.provider.init import Starter

_ENDPOINT_VARIABLES = ("AWS_ENDPOINT_URL_EC2", "AWS_ENDPOINT_URL")


class AwsProvider:
    """AWS security groups."""

    api_version: ClassVar[str] = API_VERSION
    type: ClassVar[str] = "aws"
    sdk: ClassVar[str | None] = "boto3"
    extra: ClassVar[str | None] = "aws"
    account_settings: ClassVar[AccountModel] = AwsAccount
    firewall_settings: ClassVar[FirewallModel] = AwsFirewall
    capabilities: ClassVar[Capabilities] = Capabilities(
        protocols=EXPRESSIBLE,
        icmp_types=True,
        private_is_public=True,
        attaches=False,
        descriptions=True,
        all_protocols=True,
        other_sources=True,
        longest_description=MAX_DESCRIPTION,
        list_ids=LIST_IDS,
        limited=True,
        paged=True,
        at_once=4,
        lag_seconds=120.0,
        notes=(
            (
                "no SCTP, DCCP or UDP-Lite",
                "AWS lets in all of their ports or none: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_IpPermission.html",
            ),
            (
                "60 inbound rules a group for IPv4 and 60 for IPv6, each network of a rule counted",
                "refused in the plan: https://docs.aws.amazon.com/vpc/latest/userguide/amazon-vpc-limits.html#vpc-limits-security-groups",
            ),
            (
                "groups are never attached or detached",
                "an interface's list of groups is yours; network ACLs are not looked at",
            ),
            (
                "connections that are open stay open",
                "a closed port is closed to new connections; AWS tracks the others",
            ),
            (
                "reads may lag behind writes",
                "what AWS accepted is looked at again for up to two minutes: https://docs.aws.amazon.com/ec2/latest/devguide/eventual-consistency.html",
            ),
        ),
    )

    @property
    def starter(self) -> Starter:
        """What `cloudsync init` asks."""
        from cloudsync_aws.init import STARTER

        return STARTER

    def identity(self, spec: FirewallSpec) -> str:
        """The group's id, or its VPC and name."""
        settings = settings_of(spec)
        return settings.group_id or f"{settings.vpc_id}/{name_of(spec)}"

    def endpoint(self, account: Account) -> str:
        """The API's URL, as the SDK would choose it."""
        if account.settings.endpoint is not None:
            return account.settings.endpoint
        if os.environ.get("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "").lower() != "true":
            for name in _ENDPOINT_VARIABLES:
                if url := os.environ.get(name):
                    return url
        region = account.settings.region if isinstance(account.settings, AwsAccount) else "?"
        return f"https://ec2.{region}.amazonaws.com"

    def plan_steps(self, observed: Present | Absent, target: Target) -> tuple[Step, ...] | Refusal:
        """Marker, Authorize, Revoke: one call each and only if something differs. Rules that fit
        stay as they are spelled."""
        if target.release:
            native = Change(
                "unmark", observed.native.group_id if isinstance(observed.native, Found) else None
            )
            summary = f'take the owner marker off "{self.identity(target.spec)}"'
            return (Step(summary, StepKind.MARK, target.rules, native=native),)
        if rest := inexpressible(target.rules):
            return Refusal(
                f"AWS lets in all ports of a protocol other than tcp and udp, or none; it has no "
                f"rule for: {', '.join(map(str, rest))}"
            )
        group = observed.native if isinstance(observed.native, Found) else Found(DEFAULT_QUOTA)
        present = observed if isinstance(observed, Present) else None
        before = present.rules if present is not None else NOTHING
        identity = self.identity(target.spec)
        change = difference(group, present, target)
        ordered = calls(group, before, target, change)
        if isinstance(ordered, str):
            return Refusal(ordered)
        if present is None:
            create = (name_of(target.spec), settings_of(target.spec).vpc_id or "")
            texts = {permission: plain(text) for permission, text in change.texts.items()}
            new = Change("authorize", None, create, change.adding, texts, target.spec.marker)
            summary = f'create the group "{identity}" with {len(change.adding)} rules'
            return (Step(summary, StepKind.WIDEN, target.rules, native=new),)
        steps = [_step(call, identity, group) for call in ordered]
        if target.marker is not None:
            mark = Change("mark", group.group_id, marker=target.marker)
            summary = f'write the owner marker of "{identity}"'
            steps.insert(0, Step(summary, StepKind.MARK, before, native=mark))
        return tuple(steps)

    def check_access(self, account: Account, specs: Sequence[FirewallSpec]) -> Sequence[Access]:
        """By dry runs: nothing is done."""
        from cloudsync_aws.access import check

        return check(account, specs)

    def open_reader(self, account: Account) -> Reader:
        """Raises `AuthError` where there are no credentials."""
        from cloudsync_aws.client import Api
        from cloudsync_aws.reader import AwsReader

        return AwsReader(Api(account))

    def open_writer(self, account: Account) -> Writer:
        """As `open_reader`."""
        from cloudsync_aws.client import Api
        from cloudsync_aws.writer import AwsWriter

        return AwsWriter(Api(account))


def _step(call: Call, identity: str, group: Found) -> Step:
    """One call as a step."""
    count = len(call.permissions)
    if call.kind is StepKind.NARROW:
        native = Change("revoke", group.group_id, permissions=call.permissions)
        summary = f'remove {count} rules from "{identity}"'
        return Step(summary, call.kind, call.after, native=native, touches=call.touches)
    texts = {permission: plain(call.texts.get(permission, "")) for permission in call.permissions}
    native = Change("authorize", group.group_id, permissions=call.permissions, descriptions=texts)
    return Step(f'add {count} rules to "{identity}"', call.kind, call.after, native=native)
