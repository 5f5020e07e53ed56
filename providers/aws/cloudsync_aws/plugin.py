"""What the plugin is: capabilities, settings, and how it plans. Imports no SDK.

One firewall is one security group. Authorize adds any number of rules in one call, all or nothing;
Revoke takes any number away. What is wanted is opened before anything closes, and where the quota
has no room for that the plan refuses, with the numbers.
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
from cloudsync.rules import NOTHING, RuleSet
from cloudsync_aws.native import Change, Found
from cloudsync_aws.permissions import Family, Permission, inexpressible, plain, to_vendor
from cloudsync_aws.settings import DEFAULT_QUOTA, AwsAccount, AwsFirewall, name_of, settings_of

if TYPE_CHECKING:
    from cloudsync.provider.access import Access
    from cloudsync.provider.init import Starter

_ENDPOINT_VARIABLES = ("AWS_ENDPOINT_URL_EC2", "AWS_ENDPOINT_URL")


class AwsProvider:
    """AWS security groups."""

    api_version: ClassVar[int] = API_VERSION
    type: ClassVar[str] = "aws"
    sdk: ClassVar[str | None] = "boto3"
    extra: ClassVar[str | None] = "aws"
    account_settings: ClassVar[AccountModel] = AwsAccount
    firewall_settings: ClassVar[FirewallModel] = AwsFirewall
    capabilities: ClassVar[Capabilities] = Capabilities(
        protocols=frozenset({"tcp", "udp", "icmp", "icmpv6"}),
        icmp_types=True,
        private_is_public=True,
        attaches=False,
        descriptions=True,
        all_protocols=True,
        other_sources=True,
        limited=True,
        paged=True,
        at_once=4,
        notes=(
            (
                "no SCTP, no ESP, no other protocols",
                "AWS lets them in on all ports: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_IpPermission.html",
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
        """Marker, Authorize, Revoke: one call each and only where something differs. Rules that fit
        already stay as they are spelled."""
        if target.release:
            native = Change(
                "unmark", observed.native.group_id if isinstance(observed.native, Found) else None
            )
            summary = f'take the owner marker off "{self.identity(target.spec)}"'
            return (Step(summary, StepKind.MARK, target.rules, native=native),)
        if rest := inexpressible(target.rules):
            said = ", ".join(map(str, rest))
            return Refusal(
                f"AWS lets a protocol other than tcp, udp and ICMP in on all its ports; it cannot say: {said}"
            )
        found = observed.native if isinstance(observed.native, Found) else Found(DEFAULT_QUOTA)
        before = observed.rules if isinstance(observed, Present) else NOTHING
        identity = self.identity(target.spec)
        adding, removing = _difference(found, target.rules)
        if (full := _over_quota(found, adding, removing)) is not None:
            return Refusal(full)
        texts = {one: plain(target.describe(one.rule)) for one in adding if one.rule is not None}
        if isinstance(observed, Absent):
            create = (name_of(target.spec), settings_of(target.spec).vpc_id or "")
            change = Change("authorize", None, create, adding, texts, target.spec.marker)
            return (
                Step(
                    f'create the group "{identity}" with {len(adding)} rules',
                    StepKind.WIDEN,
                    target.rules,
                    native=change,
                ),
            )
        steps = []
        if target.marker is not None:
            change = Change("mark", found.group_id, marker=target.marker)
            steps.append(
                Step(
                    f'write the owner marker of "{identity}"', StepKind.MARK, before, native=change
                )
            )
        if adding:
            change = Change("authorize", found.group_id, permissions=adding, descriptions=texts)
            steps.append(
                Step(
                    f'add {len(adding)} rules to "{identity}"',
                    StepKind.WIDEN,
                    before | target.rules,
                    native=change,
                )
            )
        if removing:
            change = Change("revoke", found.group_id, permissions=removing)
            steps.append(
                Step(
                    f'remove {len(removing)} rules from "{identity}"',
                    StepKind.NARROW,
                    target.rules,
                    native=change,
                )
            )
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


def _difference(
    found: Found, target: RuleSet
) -> tuple[tuple[Permission, ...], tuple[Permission, ...]]:
    """What to add and what to take away. Lazy: what is there and wanted stays, so that opening port
    81 does not rewrite 80 and 82. Where that would not fit into the quota, a whole new spelling
    with fewer rules is tried."""
    wanted = [
        one.rule is None or target.covers(RuleSet.of((one.rule,))) for one in found.permissions
    ]
    staying = [one for one, stays in zip(found.permissions, wanted, strict=True) if stays]
    removing = tuple(one for one, stays in zip(found.permissions, wanted, strict=True) if not stays)
    adding = to_vendor(
        target - RuleSet.of(one.rule for one in staying if one.rule is not None), target
    )
    if not _crowded(found, adding):
        return adding, removing
    compact = {one.identity: one for one in to_vendor(target, target)}
    there = {one.identity for one in found.permissions}
    fewer = tuple(one for identity, one in compact.items() if identity not in there)
    if _crowded(found, fewer):
        return adding, removing
    return fewer, tuple(
        one for one in found.permissions if one.rule is not None and one.identity not in compact
    )


def _crowded(found: Found, adding: tuple[Permission, ...]) -> tuple[Family, ...]:
    """The families in which what is there and what is added together pass the quota."""
    families: tuple[Family, ...] = (4, 6)
    return tuple(
        f for f in families if _of(adding, f) and _now(found, f) + _of(adding, f) > found.quota
    )


def _over_quota(
    found: Found, adding: tuple[Permission, ...], removing: tuple[Permission, ...]
) -> str | None:
    """The numbers, by family, and what would fit; None where everything fits."""
    problems = []
    for family in _crowded(found, adding):
        now, more, less = _now(found, family), _of(adding, family), _of(removing, family)
        text = f"IPv{family}: {now} rules are there and {more} are to be added, AWS allows {found.quota} a group"
        if now + more - less <= found.quota:
            text += (
                f". After the {less} closings it would be {now + more - less}, which fits; but what is wanted is opened before "
                f"anything closes, and there is room for {max(found.quota - now, 0)} now. Take {now + more - found.quota} of the "
                f"unwanted rules away first"
            )
        else:
            text += (
                f", and {now + more - less} would be left after all closings: {now + more - less - found.quota} too many. Publish "
                f"consecutive ports, name fewer sources, split the hosts over several firewalls, or have the quota raised "
                f"(rules_per_group)"
            )
        problems.append(text)
    return "; ".join(problems) or None


def _now(found: Found, family: Family) -> int:
    return _of(found.permissions, family) + sum(other.weight for other in found.others)


def _of(permissions: tuple[Permission, ...], family: Family) -> int:
    return sum(one.family == family for one in permissions)
