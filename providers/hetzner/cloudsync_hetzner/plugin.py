"""What the plugin is: capabilities, settings, and how it plans.

One firewall is one Hetzner firewall. `set_rules` replaces all rules in one call, so any change of
rules is one atomic step; creating takes rules and attachments in one call too.
"""

from __future__ import annotations

from collections.abc import Sequence
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
    StepKind,
    Target,
    Writer,
)
from cloudsync.provider.flat_list import Entry, wanted_list
from cloudsync.provider.phrases import count
from cloudsync.provider.steps import take_marker_off, write_marker
from cloudsync_hetzner.native import MARKER, Observed, Resource, Write
from cloudsync_hetzner.rules import GRAMMAR, MAX_DESCRIPTION, broken_limit, written
from cloudsync_hetzner.settings import HetznerAccount, HetznerFirewall

if TYPE_CHECKING:
    from cloudsync.provider.access import Access
    from cloudsync.provider.http import Dialect
    from cloudsync.provider.init import Starter


class HetznerProvider(RestProvider[HetznerAccount, HetznerFirewall]):
    """Hetzner Cloud."""

    api_version = API_VERSION
    type = "hetzner"
    extra = "hetzner"
    account_settings = HetznerAccount
    firewall_settings = HetznerFirewall
    default_endpoint = "https://api.hetzner.cloud/v1"
    capabilities = Capabilities(
        protocols=frozenset(GRAMMAR.protocols),
        icmp_types=False,
        private_is_public=False,
        attaches=True,
        descriptions=True,
        longest_description=MAX_DESCRIPTION,
        limited=True,
        paged=True,
        counted=True,
        pends=True,
        at_once=4,
        notes=(
            (
                "no SCTP, no ICMP types",
                "rules are tcp, udp, icmp, esp or gre: https://docs.hetzner.cloud/reference/cloud#firewalls",
            ),
            (
                "50 rules, 100 networks a rule, 500 effective rules",
                "refused in the plan: https://docs.hetzner.com/cloud/firewalls/overview",
            ),
            ("private networks are not filtered", "a firewall acts on the public interface only"),
        ),
    )

    @property
    def starter(self) -> Starter:
        """What `cloudsync init` asks."""
        from cloudsync_hetzner.init import STARTER

        return STARTER

    def plan_steps(self, observed: Present | Absent, target: Target) -> tuple[Step, ...] | Refusal:
        """Create in one call; else marker, rules, attachments, one call each and only if something
        differs."""
        there = observed.native if isinstance(observed.native, Observed) else Observed()
        name = self.identity(target.spec)
        if target.release:
            write = Write("mark", there.id, name, labels=MARKER.remove(there.labels))
            return (take_marker_off(name, target, write),)
        objects = observed.vendor_rules if isinstance(observed, Present) else ()
        before = dict(zip((rule.key for rule in objects), there.inbound, strict=True))

        def broken(entries: Sequence[Entry]) -> str | None:
            return broken_limit(entries, before, there.outbound, there.foreign_effective)

        wanted = wanted_list(objects, target, GRAMMAR, broken)
        if isinstance(wanted, Refusal):
            return wanted
        resources = tuple(a.native for a in target.attach if isinstance(a.native, Resource))
        if full := next((resource.full for resource in resources if resource.full), ""):
            return Refusal(
                f"{full} has 5 firewalls already, the most a server can have; detach one of them "
                f"first"
            )
        rules = written(wanted.entries, before)
        targets = tuple(attachment.target for attachment in target.attach)
        attached_to = f"to {', '.join(targets)}"
        if isinstance(observed, Absent):
            labels = MARKER.write(target.spec.marker)
            create = Write("create", None, name, rules, labels, resources)
            attached = f", attached {attached_to}" if targets else ""
            summary = f'create "{name}" with {count(len(rules), "rule")}{attached}'
            return (Step(summary, StepKind.REPLACE, target.rules, targets, create),)
        steps = []
        if target.marker is not None:
            mark = Write("mark", there.id, name, labels=MARKER.write(target.marker, there.labels))
            steps.append(write_marker(name, observed.rules, mark))
        if observed.rules != target.rules or target.reapply or wanted.redundant:
            write = Write("set_rules", there.id, name, (*there.outbound, *rules))
            again = " and put them into effect" if target.reapply else ""
            summary = f'set the {count(len(rules), "rule")} of "{name}"{again}'
            kind, touches = StepKind.REPLACE, wanted.touches
            steps.append(Step(summary, kind, target.rules, native=write, touches=touches))
        if target.attach:
            attach = Write("attach", there.id, name, resources=resources)
            summary = f'attach "{name}" {attached_to}'
            steps.append(Step(summary, StepKind.ATTACH, target.rules, targets, attach))
        return tuple(steps)

    def check_access(self, account: Account, specs: Sequence[FirewallSpec]) -> Sequence[Access]:
        """Asked of the vendor without a write."""
        from cloudsync.provider.access import rows_of
        from cloudsync_hetzner.access import rows

        names = {self.identity(spec) for spec in specs}
        return rows_of(lambda: rows(self.open_client(account), names))

    def open_reader(self, account: Account) -> Reader:
        """Raises `AuthError` if the token cannot be had."""
        from cloudsync_hetzner.reader import HetznerReader

        return HetznerReader(self.open_client(account), self)

    def open_writer(self, account: Account) -> Writer:
        """Raises `AuthError` if the token cannot be had."""
        from cloudsync_hetzner.writer import HetznerWriter

        return HetznerWriter(self.open_client(account))

    def dialect(self) -> Dialect:
        """Its error codes and pages."""
        from cloudsync_hetzner.client import DIALECT

        return DIALECT
