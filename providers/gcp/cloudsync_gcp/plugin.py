"""What the plugin is: capabilities, settings, and how it plans. Imports no SDK.

One firewall is the VPC rules for exactly its targets. How a plan comes about, in order: `ownership`
(whose a rule is), `matching` (what becomes of each rule, and what is asked for and missing),
`rewriting` (one call per rule), `steps` (their order).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from cloudsync.provider.base import ProviderBase
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
    Target,
    Writer,
)
from cloudsync.rules import protocols
from cloudsync_gcp import denials
from cloudsync_gcp.native import Firewall
from cloudsync_gcp.settings import GcpAccount, GcpFirewall, account_of, base_of, prefix_of
from cloudsync_gcp.steps import releasing, steps_of
from cloudsync_gcp.vpc_rules import LONGEST_TEXT
from cloudsync_gcp.wishes import inexpressible

if TYPE_CHECKING:
    from cloudsync.provider.access import Access
    from cloudsync.provider.init import Starter

# Any protocol without ports may be named by its number; by the API's description ports are for
# tcp and udp only.
_WITH_PORTS_ELSEWHERE = {33, 132, 136}
_PROTOCOLS = frozenset(
    protocols.name(number, number) for number in range(256) if number not in _WITH_PORTS_ELSEWHERE
)


class GcpProvider(ProviderBase[GcpAccount, GcpFirewall]):
    """Google Cloud VPC firewall rules."""

    api_version: ClassVar[str] = API_VERSION
    type: ClassVar[str] = "gcp"
    sdk: ClassVar[str | None] = "google.auth"
    extra: ClassVar[str | None] = "gcp"
    account_settings: ClassVar[AccountModel] = GcpAccount
    firewall_settings: ClassVar[FirewallModel] = GcpFirewall
    capabilities: ClassVar[Capabilities] = Capabilities(
        protocols=_PROTOCOLS,
        icmp_types=False,
        private_is_public=True,
        attaches=False,
        descriptions=True,
        all_protocols=True,
        other_sources=True,
        longest_description=LONGEST_TEXT,
        paged=True,
        at_once=4,
        notes=(
            (
                "no SCTP, no ICMP types",
                (
                    "ports are for tcp and udp:"
                    " https://cloud.google.com/compute/docs/reference/rest/v1/firewalls"
                ),
            ),
            ("256 networks a rule", "more are written as several rules"),
            (
                "other rules of the network stay in effect",
                (
                    'enforce = "allow" only adds; "deny-others" denies what others let in from the'
                    " Internet"
                ),
            ),
            (
                "the quota of rules is the project's",
                "it is not asked for; if it is reached the write fails and says so",
            ),
        ),
    )

    @property
    def starter(self) -> Starter:
        """What `cloudsync init` asks."""
        from cloudsync_gcp.init import STARTER

        return STARTER

    def identity(self, spec: FirewallSpec) -> str:
        """The prefix of the rules' names, unique in the project."""
        return prefix_of(spec)

    def endpoint(self, account: Account) -> str:
        """The API's base URL, and the project: `https://compute.googleapis.com/projects/p`."""
        return f"{base_of(account)}/projects/{account_of(account).project}"

    def plan_steps(self, observed: Present | Absent, target: Target) -> tuple[Step, ...] | Refusal:
        """Marker, widen, replace, narrow; one call per VPC rule that differs."""
        firewall = (
            observed.native if isinstance(observed.native, Firewall) else Firewall(target.spec)
        )
        if target.release:
            return releasing(firewall, target)
        if rest := inexpressible(target.rules, _PROTOCOLS):
            return Refusal(
                "VPC rules have ports for tcp and udp only, and no ICMP types; they cannot"
                " express: " + ", ".join(map(str, rest))
            )
        if strange := [owned.name for owned in firewall.owned if owned.kind == "strange"]:
            return Refusal(
                f"{', '.join(strange)} begins with this firewall's prefix and denies traffic; "
                "rename or delete it by hand"
            )
        if (reason := denials.overruling(firewall, target)) is not None:
            return Refusal(reason)
        return steps_of(firewall, target)

    def check_access(self, account: Account, specs: Sequence[FirewallSpec]) -> Sequence[Access]:
        """Asked of the vendor without a write."""
        from cloudsync_gcp.access import check

        return check(account, specs)

    def open_reader(self, account: Account) -> Reader:
        """Raises `AuthError` without credentials."""
        from cloudsync_gcp.client import Api
        from cloudsync_gcp.reader import GcpReader

        return GcpReader(Api(account))

    def open_writer(self, account: Account) -> Writer:
        """As `open_reader`."""
        from cloudsync_gcp.client import Api
        from cloudsync_gcp.writer import GcpWriter

        return GcpWriter(Api(account))
