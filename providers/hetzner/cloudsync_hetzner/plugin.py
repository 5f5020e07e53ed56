"""What the plugin is: capabilities, settings, and how it plans. Imports no SDK.

One firewall is one Hetzner firewall. `set_rules` replaces all rules in one call, so any change of
rules is one atomic step; creating takes rules and attachments in one call too.
"""

from __future__ import annotations

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
    Touched,
    Writer,
)
from cloudsync.provider.rule_list import lines
from cloudsync.provider.spelling import spell
from cloudsync_hetzner.native import (
    Change,
    Found,
    Wanted,
    labels_of,
    unmarked,
)
from cloudsync_hetzner.rules import (
    MAX_DESCRIPTION,
    NativeRule,
    edited,
    limits_broken,
    to_vendor,
)
from cloudsync_hetzner.settings import HetznerAccount, HetznerFirewall, settings_of

if TYPE_CHECKING:
    from cloudsync.provider.access import Access
    from cloudsync.provider.init import Starter

ENDPOINT = "https://api.hetzner.cloud/v1"


class HetznerProvider:
    """Hetzner Cloud."""

    api_version: ClassVar[int] = API_VERSION
    type: ClassVar[str] = "hetzner"
    sdk: ClassVar[str | None] = "hcloud"
    extra: ClassVar[str | None] = "hetzner"
    account_settings: ClassVar[AccountModel] = HetznerAccount
    firewall_settings: ClassVar[FirewallModel] = HetznerFirewall
    capabilities: ClassVar[Capabilities] = Capabilities(
        protocols=frozenset({"tcp", "udp", "icmp", "icmpv6", "esp", "gre"}),
        icmp_types=False,
        private_is_public=False,
        attaches=True,
        descriptions=True,
        longest_description=MAX_DESCRIPTION,
        limited=True,
        paged=True,
        counted=True,
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

    def identity(self, spec: FirewallSpec) -> str:
        """The firewall's name at the vendor, unique in a project."""
        return settings_of(spec).name or f"cloudsync-{spec.name}"

    def endpoint(self, account: Account) -> str:
        """The API's base URL."""
        return account.settings.endpoint or ENDPOINT

    def plan_steps(self, observed: Present | Absent, target: Target) -> tuple[Step, ...] | Refusal:
        """Create in one call; else marker, rules, attachments, one call each and only where
        something differs."""
        found = observed.native if isinstance(observed.native, Found) else Found()
        if target.release:
            change = Change(
                "mark", found.id, Wanted(self.identity(target.spec), labels=unmarked(found.labels))
            )
            summary = f'take the owner marker off "{self.identity(target.spec)}"'
            return (Step(summary, StepKind.MARK, target.rules, native=change),)
        spelled = _spelled(observed, found, target)
        if isinstance(spelled, Refusal):
            return spelled
        rules, touches, redundant = spelled
        if (crowded := _crowded(target)) is not None:
            return Refusal(crowded)
        name = self.identity(target.spec)
        targets = tuple(attachment.target for attachment in target.attach)
        resources = tuple(a.native for a in target.attach if isinstance(a.native, dict))
        if isinstance(observed, Absent):
            labels = labels_of(target.spec.marker, {})
            change = Change("create", None, Wanted(name, rules, labels, resources))
            summary = f'create "{name}" with {len(rules)} rules' + (
                f", attached to {', '.join(targets)}" if targets else ""
            )
            return (Step(summary, StepKind.REPLACE, target.rules, targets, change),)
        steps = []
        if target.marker is not None:
            change = Change(
                "mark", found.id, Wanted(name, labels=labels_of(target.marker, found.labels))
            )
            steps.append(
                Step(
                    f'write the owner marker of "{name}"',
                    StepKind.MARK,
                    observed.rules,
                    native=change,
                )
            )
        if observed.rules != target.rules or target.reapply or redundant:
            change = Change("set_rules", found.id, Wanted(name, (*found.outbound, *rules)))
            summary = f'set the {len(rules)} rules of "{name}"' + (
                " and put them into effect" if target.reapply else ""
            )
            steps.append(
                Step(summary, StepKind.REPLACE, target.rules, native=change, touches=touches)
            )
        if target.attach:
            change = Change("attach", found.id, Wanted(name, resources=resources))
            steps.append(
                Step(
                    f'attach "{name}" to {", ".join(targets)}',
                    StepKind.ATTACH,
                    target.rules,
                    targets,
                    change,
                )
            )
        return tuple(steps)

    def check_access(self, account: Account, specs: Sequence[FirewallSpec]) -> Sequence[Access]:
        """Asked of the vendor without a write."""
        from cloudsync_hetzner.access import check

        return check(account, self.endpoint(account), {self.identity(spec): spec for spec in specs})

    def open_reader(self, account: Account) -> Reader:
        """Raises `AuthError` where the token cannot be had."""
        from cloudsync_hetzner.client import Api
        from cloudsync_hetzner.reader import HetznerReader

        return HetznerReader(Api(account, self.endpoint(account)), self.identity)

    def open_writer(self, account: Account) -> Writer:
        """Raises `AuthError` where the token cannot be had."""
        from cloudsync_hetzner.client import Api
        from cloudsync_hetzner.writer import HetznerWriter

        return HetznerWriter(Api(account, self.endpoint(account)))


def _spelled(
    observed: Present | Absent, found: Found, target: Target
) -> tuple[tuple[NativeRule, ...], tuple[Touched, ...], bool] | Refusal:
    """The inbound rules to have, the objects that go for it, and whether some only because a wider
    rule of ours covers them. If they do not fit, the fewest that say the same."""
    there = observed.vendor_rules if isinstance(observed, Present) else ()
    fewest = to_vendor(target)
    if isinstance(fewest, Refusal):
        return fewest
    spelling = spell(there, target)
    natives = dict(zip((rule.key for rule in there), found.inbound, strict=True))
    rules = edited(natives, lines(there, spelling, target))
    if limits_broken(rules, found.outbound, found.foreign_effective) is None:
        return rules, spelling.touches(), bool(spelling.redundant)
    if (broken := limits_broken(fewest, found.outbound, found.foreign_effective)) is not None:
        return Refusal(broken)
    reason = "there is no room for it: fewer rules say the same"
    touches = tuple(
        Touched(rule.label, "deletes", reason, rule.key)
        for rule in there
        if natives[rule.key] not in fewest
    )
    return fewest, touches, False


def _crowded(target: Target) -> str | None:
    """A server takes 5 firewalls at most."""
    for attachment in target.attach:
        native = attachment.native
        if isinstance(native, dict) and (full := native.get("_full")):
            return f"{full} has 5 firewalls already, the most a server can have; detach one of them first"
    return None
