"""What the plugin is: capabilities, settings and the way to the vendor; `plan.py` plans.

Rules are added by one call and taken away by one, in this order, with the attachments left alone.
One full replace, with freshly read attachments, stands in if that cannot be done safely: at the
limit of rules, to rename, and if a rule must lose a part of its sources.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from cloudsync.provider.base import RestProvider
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
from cloudsync_digitalocean.native import MARKER, Observed
from cloudsync_digitalocean.plan import Planner
from cloudsync_digitalocean.rules import GRAMMAR, NEW
from cloudsync_digitalocean.settings import DigitalOceanAccount, DigitalOceanFirewall

if TYPE_CHECKING:
    from cloudsync.provider.access import Access
    from cloudsync.provider.http import Dialect
    from cloudsync.provider.init import Starter


class DigitalOceanProvider(RestProvider[DigitalOceanAccount, DigitalOceanFirewall]):
    """DigitalOcean Cloud Firewalls."""

    api_version = API_VERSION
    type = "digitalocean"
    extra = "digitalocean"
    account_settings = DigitalOceanAccount
    firewall_settings = DigitalOceanFirewall
    default_endpoint = "https://api.digitalocean.com/v2"
    capabilities = Capabilities(
        protocols=frozenset(GRAMMAR.protocols),
        icmp_types=False,
        private_is_public=False,
        attaches=True,
        descriptions=False,
        other_sources=True,
        limited=True,
        paged=True,
        counted=True,
        filters_private=True,
        pends=True,
        at_once=4,
        notes=(
            (
                "no SCTP, ESP or ICMP types",
                "rules are tcp, udp or icmp: https://docs.digitalocean.com/reference/api/digitalocean/#tag/Firewalls",
            ),
            (
                "50 rules, in and out together; 10 droplets; 5 tags",
                "refused in the plan: https://docs.digitalocean.com/products/networking/firewalls/details/limits/",
            ),
            (
                "private networks are filtered too",
                "RFC 1918 sources are let in on create, see the key `private`",
            ),
            (
                "rules carry no text",
                "who needs a port is in the plan and in `cloudsync discover`, not at the vendor",
            ),
        ),
    )

    @property
    def starter(self) -> Starter:
        """What `cloudsync init` asks."""
        from cloudsync_digitalocean.init import STARTER

        return STARTER

    def identity(self, spec: FirewallSpec) -> str:
        """The first part of the firewall's name; owner and host digest follow it."""
        # A name at DigitalOcean has no underscore.
        return self.settings_of(spec).name or f"cloudsync-{spec.name.replace('_', '-')}"

    def plan_steps(self, observed: Present | Absent, target: Target) -> tuple[Step, ...] | Refusal:
        """As `plan.py` says."""
        there = observed.native if isinstance(observed.native, Observed) else Observed(NEW)
        base = self.identity(target.spec)
        name = MARKER.write(base, target.spec.marker)
        planner = Planner(observed, there.firewall, target, name)
        if target.release:
            return planner.releasing(base, taken=there.bare_taken)
        return planner.steps()

    def owned(self, names: Mapping[str, str], specs: Sequence[FirewallSpec]) -> dict[str, str]:
        """Which firewall at the vendor, of all `names` by id, stands for which spec; if several
        could, none."""
        fitting = {s.name: MARKER.best_fit(names, self.identity(s), s.marker) for s in specs}
        return {ids[0]: name for name, ids in fitting.items() if len(ids) == 1}

    def check_access(self, account: Account, specs: Sequence[FirewallSpec]) -> Sequence[Access]:
        """Asked of the vendor without a write."""
        from cloudsync.provider.access import rows_of
        from cloudsync_digitalocean.access import rows

        return rows_of(lambda: rows(self.open_client(account), self, specs))

    def open_reader(self, account: Account) -> Reader:
        """Raises `AuthError` if the token cannot be had."""
        from cloudsync_digitalocean.reader import DigitalOceanReader

        return DigitalOceanReader(self.open_client(account), self)

    def open_writer(self, account: Account) -> Writer:
        """Raises `AuthError` if the token cannot be had."""
        from cloudsync_digitalocean.writer import DigitalOceanWriter

        return DigitalOceanWriter(self.open_client(account))

    def dialect(self) -> Dialect:
        """Its errors and pages."""
        from cloudsync_digitalocean.client import DIALECT

        return DIALECT
