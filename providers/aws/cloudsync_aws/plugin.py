"""What the plugin is: capabilities, settings, and how it plans. Imports no SDK.

One firewall is one security group. Authorize adds any number of rules in one call, all or nothing;
Revoke takes any number away. What is wanted is opened before anything closes; if the quota has no
room for that, `steps.py` says what is done.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from cloudsync.provider.base import ProviderBase
from cloudsync.provider.contract import (
    API_VERSION,
    Absent,
    Account,
    Capabilities,
    FirewallSpec,
    Present,
    Reader,
    Refusal,
    Step,
    StepKind,
    Target,
    Writer,
)
from cloudsync.provider.phrases import count
from cloudsync.provider.selectors import WITHOUT_OTHER_PORTS, beyond
from cloudsync.provider.steps import take_marker_off, write_marker
from cloudsync_aws.native import Found, change_of, creation, marked, unmarked
from cloudsync_aws.permissions import LIST_IDS, MAX_DESCRIPTION, Permission
from cloudsync_aws.settings import DEFAULT_QUOTA, AwsAccount, AwsFirewall

if TYPE_CHECKING:
    from cloudsync.provider.access import Access
    from cloudsync.provider.init import Starter
    from cloudsync_aws.client import Api

_IGNORE = "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS"
_ENDPOINT_VARIABLES = ("AWS_ENDPOINT_URL_EC2", "AWS_ENDPOINT_URL")


class AwsProvider(ProviderBase[AwsAccount, AwsFirewall]):
    """AWS security groups."""

    api_version = API_VERSION
    type = "aws"
    sdk = "boto3"
    extra = "aws"
    account_settings = AwsAccount
    firewall_settings = AwsFirewall
    capabilities = Capabilities(
        # Any number but those of tcp, udp and ICMP opens "all ports" (API_IpPermission).
        protocols=WITHOUT_OTHER_PORTS,
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
        settings = self.settings_of(spec)
        return settings.group_id or f"{settings.vpc_id}/{self.name_of(spec)}"

    def name_of(self, spec: FirewallSpec) -> str:
        """The group's name in its VPC, if the configuration does not go by id."""
        return super().identity(spec)

    def endpoint(self, account: Account) -> str:
        """The API's URL, as the SDK would choose it."""
        configured = account.settings.endpoint
        if not configured and os.environ.get(_IGNORE, "").lower() != "true":
            configured = next(filter(None, map(os.environ.get, _ENDPOINT_VARIABLES)), None)
        return configured or f"https://ec2.{self.account_of(account).region}.amazonaws.com"

    def plan_steps(self, observed: Present | Absent, target: Target) -> tuple[Step, ...] | Refusal:
        """Marker, Authorize, Revoke: one call each and only if something differs. Rules that fit
        stay as they are spelled."""
        from cloudsync_aws.steps import calls

        group = observed.native if isinstance(observed.native, Found) else Found(DEFAULT_QUOTA)
        identity = self.identity(target.spec)
        if target.release:
            return (
                take_marker_off(identity, target, unmarked(group.group_id, target.spec.marker)),
            )
        if rest := beyond(target.rules, WITHOUT_OTHER_PORTS):
            return Refusal(
                f"AWS lets in all ports of a protocol other than tcp and udp, or none; it has no "
                f"rule for: {', '.join(map(str, rest))}"
            )
        present = observed if isinstance(observed, Present) else None
        ordered = calls(group, present, target)
        if isinstance(ordered, Refusal):
            return ordered
        if present is None:
            adding = [rule for call in ordered for rule in group.of(call.adding)]
            return (self._create(target, adding),)
        steps = [
            call.step(
                identity,
                change_of(call.kind, group.of(call.adding, call.removing), group.group_id),
            )
            for call in ordered
        ]
        if target.marker is not None:
            mark = marked(group.group_id, target.marker)
            steps.insert(0, write_marker(identity, present.rules, mark))
        return tuple(steps)

    def check_access(self, account: Account, specs: Sequence[FirewallSpec]) -> Sequence[Access]:
        """By dry runs: nothing is done."""
        from cloudsync_aws.access import check

        return check(account, specs)

    def open_client(self, account: Account) -> Api:
        """Raises `AuthError` if there are no credentials."""
        from cloudsync_aws.client import Api

        return Api(account, self.account_of(account))

    def open_reader(self, account: Account) -> Reader:
        """As `open_client`."""
        from cloudsync_aws.reader import AwsReader

        return AwsReader(self.open_client(account))

    def open_writer(self, account: Account) -> Writer:
        """As `open_client`."""
        from cloudsync_aws.writer import AwsWriter

        return AwsWriter(self.open_client(account))

    def _create(self, target: Target, adding: Sequence[Permission]) -> Step:
        """A new group with all its rules."""
        spec = target.spec
        change = creation(self.name_of(spec), self.settings_of(spec).vpc_id, spec.marker, adding)
        summary = f'create the group "{self.identity(spec)}" with {count(len(adding), "rule")}'
        return Step(summary, StepKind.WIDEN, target.rules, native=change)
