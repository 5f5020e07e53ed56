"""What the plugin is: capabilities, settings, and how it plans. Imports no SDK.

One firewall is the VPC rules for exactly its targets. How a plan comes about, in order: `ownership`
(whose a rule is), `matching` (what becomes of each rule, and what is asked for and missing),
`rewriting` (one call per rule), `steps` (their order).
"""

from __future__ import annotations

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
    Target,
    Writer,
)
from cloudsync.provider.selectors import WITHOUT_OTHER_PORTS
from cloudsync_gcp.settings import ENDPOINT, LONGEST_TEXT, GcpAccount, GcpFirewall

if TYPE_CHECKING:
    from cloudsync.provider.access import Access
    from cloudsync.provider.init import Starter


class GcpProvider(ProviderBase[GcpAccount, GcpFirewall]):
    """Google Cloud VPC firewall rules."""

    api_version = API_VERSION
    type = "gcp"
    sdk = "google.auth"
    extra = "gcp"
    account_settings = GcpAccount
    firewall_settings = GcpFirewall
    default_endpoint = ENDPOINT
    capabilities = Capabilities(
        # Any protocol without ports may be named by its number; by the API's description ports are
        # for tcp and udp only.
        protocols=WITHOUT_OTHER_PORTS,
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
                "ports are for tcp and udp: https://cloud.google.com/compute/docs/reference/rest/v1/firewalls",
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
        """The prefix of the rules' names, unique in the project: Google allows neither an
        underscore nor a dot in them."""
        named = self.settings_of(spec).name
        return named or f"cloudsync-{spec.name.replace('_', '-').replace('.', '-')}"

    def endpoint(self, account: Account) -> str:
        """The API's base URL, and the project: `https://compute.googleapis.com/projects/p`."""
        return f"{super().endpoint(account)}/projects/{self.account_of(account).project}"

    def plan_steps(self, observed: Present | Absent, target: Target) -> tuple[Step, ...] | Refusal:
        """Marker, widen, replace, narrow; one call per VPC rule that differs."""
        from cloudsync_gcp.steps import planned

        return planned(observed, target)

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
