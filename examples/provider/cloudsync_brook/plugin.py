"""What the plugin is: capabilities, settings, and how it plans.

All rules of a firewall and its policies are replaced in one call, so any change of rules is one
atomic step; creating takes rules, tags and machines in one call too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from cloudsync.provider.base import RestProvider
from cloudsync.provider.contract import (
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
from cloudsync.provider.private_networks import cut_warning
from cloudsync.provider.steps import take_marker_off, write_marker
from cloudsync_brook.answers import Firewall, Rule
from cloudsync_brook.native import MARKER, POLICY, Observed, Write
from cloudsync_brook.rules import GRAMMAR, OUTBOUND_POLICY, body, denied_of, written
from cloudsync_brook.settings import BrookAccount, BrookFirewall

if TYPE_CHECKING:
    from cloudsync.provider.access import Access
    from cloudsync.provider.http import Dialect


class BrookProvider(RestProvider[BrookAccount, BrookFirewall]):
    """Brook Cloud."""

    api_version = "1.1"
    type = "brook"
    account_settings = BrookAccount
    firewall_settings = BrookFirewall
    default_endpoint = "https://api.brook.example/v1"
    capabilities = Capabilities(
        protocols=frozenset(GRAMMAR.protocols),
        icmp_types=False,
        private_is_public=False,
        attaches=True,
        descriptions=True,
        other_sources=True,
        limited=True,
        paged=True,
        counted=True,
        filters_private=True,
        denies=True,
        accepts_by_default=True,
        pends=True,
        notes=(
            ("no SCTP, ESP or ICMP types", "rules are TCP, UDP, ICMP or IPENCAP"),
            ("25 rules, in and out together", "refused in the plan"),
        ),
    )

    def dialect(self) -> Dialect:
        """Its errors and pages."""
        from cloudsync_brook.client import DIALECT

        return DIALECT

    def plan_steps(self, observed: Present | Absent, target: Target) -> tuple[Step, ...] | Refusal:
        """Create in one call; else marker, rules and machines, in this order."""
        there = observed.native.firewall if isinstance(observed.native, Observed) else None
        name = self.identity(target.spec)
        if target.release and there is not None:
            tags = list(MARKER.remove(there.tags))
            write = Write("PUT", f"/firewalls/{there.id}", {"tags": tags}, there.id)
            return (take_marker_off(name, target, write),)
        inbound = there.rules.inbound if there is not None else ()
        outbound = there.rules.outbound if there is not None else ()
        if (denial := denied_of(inbound, target.rules)) is not None:
            return Refusal(f"{denial}: take that rule away at Brook first, or stop asking for it")
        objects = observed.vendor_rules if isinstance(observed, Present) else ()
        keys = [rule.key for rule in objects]

        def broken(entries: Sequence[Entry]) -> str | None:
            return GRAMMAR.too_many(len(written(entries, inbound, keys)), len(outbound))

        wanted = wanted_list(objects, target, GRAMMAR, broken)
        if isinstance(wanted, Refusal):
            return wanted
        rules = written(wanted.entries, inbound, keys)
        warning = cut_warning(observed, target)
        if there is None or isinstance(observed, Absent):
            return (_creating(name, rules, target, warning),)
        steps = []
        if target.marker is not None:
            tags = list(MARKER.write(target.marker, there.tags))
            mark = Write("PUT", f"/firewalls/{there.id}", {"tags": tags}, there.id)
            steps.append(write_marker(name, observed.rules, mark))
        policy = tuple(a.target for a in target.attach if a.target == POLICY)
        if observed.rules != target.rules or wanted.redundant or policy:
            write = _replacing(there, rules)
            summary = f'set the {count(len(rules), "rule")} of "{name}"'
            kind, touches = StepKind.REPLACE, wanted.touches
            steps.append(Step(summary, kind, target.rules, policy, write, warning, touches))
        elif target.reapply:
            again = Write("POST", f"/firewalls/{there.id}/apply", {}, there.id)
            summary = f'put "{name}" into effect again'
            steps.append(Step(summary, StepKind.REPLACE, target.rules, native=again))
        for attachment in target.attach:
            if attachment.target == POLICY:
                continue
            attached = {"machine": int(str(attachment.native))}
            attach = Write("POST", f"/firewalls/{there.id}/machines", attached, there.id)
            summary = f'attach "{name}" to {attachment.target}'
            targets = (attachment.target,)
            steps.append(Step(summary, StepKind.ATTACH, target.rules, targets, attach))
        return tuple(steps)

    def check_access(
        self,
        account: Account,
        specs: Sequence[FirewallSpec],  # noqa: ARG002 - the account is asked as a whole
    ) -> Sequence[Access]:
        """Whether the token reads; Brook does not say what it may write."""
        from cloudsync.provider.access import Access, of_rate, rows_of

        def look() -> Sequence[Access]:
            api = self.open_client(account)
            api.pages("/firewalls", "firewalls", Firewall)
            unknown = "Brook says so only when something is written"
            return (
                Access("token", "plan", "ok", "the account can be read"),
                Access("token: write", "apply", "unknown", unknown),
                *of_rate(api.rate),
            )

        return rows_of(look)

    def open_reader(self, account: Account) -> Reader:
        """Raises `AuthError` if the token cannot be had."""
        from cloudsync_brook.reader import BrookReader

        return BrookReader(self.open_client(account), self)

    def open_writer(self, account: Account) -> Writer:
        """Raises `AuthError` if the token cannot be had."""
        from cloudsync_brook.writer import BrookWriter

        return BrookWriter(self.open_client(account))


def _creating(name: str, rules: Sequence[Rule], target: Target, warning: str | None) -> Step:
    write = Write(
        "POST",
        "/firewalls",
        {
            "label": name,
            "tags": list(MARKER.write(target.spec.marker)),
            "rules": {
                "inbound": body(rules),
                "inbound_policy": "DROP",
                "outbound": [],
                "outbound_policy": OUTBOUND_POLICY,
            },
            "machines": [int(str(attachment.native)) for attachment in target.attach],
        },
    )
    targets = tuple(attachment.target for attachment in target.attach)
    summary = f'create "{name}" with {count(len(rules), "rule")}'
    return Step(summary, StepKind.REPLACE, target.rules, targets, write, warning)


def _replacing(there: Firewall, rules: Sequence[Rule]) -> Write:
    """All rules, with those for what goes out as they are; the fingerprint is the state that was
    planned on."""
    whole = {
        "fingerprint": there.fingerprint,
        "inbound": body(rules),
        "inbound_policy": "DROP",
        "outbound": body(there.rules.outbound),
        "outbound_policy": there.rules.outbound_policy,
    }
    return Write("PUT", f"/firewalls/{there.id}/rules", whole, there.id)
