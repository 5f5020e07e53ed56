"""What the plugin is: capabilities, settings, and how it plans. Imports no SDK.

Rules are added by one call and taken away by one, in this order, with the attachments left alone.
One full replace, with freshly read attachments, stands in where that cannot be done safely: at the
limit of rules, to rename, and where a rule must lose a part of its sources.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

from cloudsync.provider.contract import (
    API_VERSION,
    Absent,
    Account,
    AccountModel,
    Attachment,
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
from cloudsync.rules import RuleSet
from cloudsync.rules.networks import ANY4, NetworkSet
from cloudsync_digitalocean.native import Change, Found, full_name
from cloudsync_digitalocean.rules import (
    MAX_RULES,
    OUTBOUND,
    VendorRule,
    clash,
    to_vendor,
    too_many,
    without_addresses,
)
from cloudsync_digitalocean.settings import (
    RFC1918,
    DigitalOceanAccount,
    DigitalOceanFirewall,
    settings_of,
)

if TYPE_CHECKING:
    from cloudsync.provider.access import Access
    from cloudsync.provider.init import Starter

ENDPOINT = "https://api.digitalocean.com/v2"
MAX_DROPLETS = 10
MAX_TAGS = 5


class DigitalOceanProvider:
    """DigitalOcean Cloud Firewalls."""

    api_version: ClassVar[int] = API_VERSION
    type: ClassVar[str] = "digitalocean"
    sdk: ClassVar[str | None] = "digitalocean"
    extra: ClassVar[str | None] = "digitalocean"
    account_settings: ClassVar[AccountModel] = DigitalOceanAccount
    firewall_settings: ClassVar[FirewallModel] = DigitalOceanFirewall
    capabilities: ClassVar[Capabilities] = Capabilities(
        protocols=frozenset({"tcp", "udp", "icmp", "icmpv6"}),
        icmp_types=False,
        private_is_public=False,
        attaches=True,
        descriptions=False,
        other_sources=True,
        limited=True,
        paged=True,
        counted=True,
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
        return settings_of(spec).name or f"cloudsync-{spec.name.replace('_', '-')}"

    def endpoint(self, account: Account) -> str:
        """The API's base URL."""
        return account.settings.endpoint or ENDPOINT

    def plan_steps(self, observed: Present | Absent, target: Target) -> tuple[Step, ...] | Refusal:
        """Create in one call; else add, remove and attach by one call each, or one full replace.
        Refused where the vendor has no room."""
        found = observed.native if isinstance(observed.native, Found) else Found()
        name = full_name(self.identity(target.spec), target.spec.marker)
        if target.release:
            return _releasing(found, target, self.identity(target.spec))
        if (crowded := _crowded(found, target)) is not None:
            return Refusal(crowded)
        compact = to_vendor(target.rules)
        if isinstance(compact, Refusal):
            return compact
        targets = tuple(attachment.target for attachment in target.attach)
        cut = _cuts_private(observed, target)
        if isinstance(observed, Absent):
            if (full := too_many(len(compact), len(OUTBOUND))) is not None:
                return Refusal(full)
            change = Change(
                "create",
                None,
                name,
                compact,
                OUTBOUND,
                _droplets(target.attach),
                _tags(target.attach),
            )
            summary = f'create "{name}" with {len(compact)} rules' + (
                f", attached to {', '.join(targets)}" if targets else ""
            )
            return (Step(summary, StepKind.REPLACE, target.rules, targets, change, cut),)
        rules = _rule_steps(found, observed.rules, target, name, compact)
        if isinstance(rules, Refusal):
            return rules
        steps = [*rules]
        if droplets := _droplets(target.attach):
            names = tuple(f"droplet {id_}" for id_ in droplets)
            change = Change("attach-droplets", found.id, name, droplets=droplets)
            steps.append(
                Step(
                    f'attach "{name}" to {", ".join(names)}',
                    StepKind.ATTACH,
                    target.rules,
                    names,
                    native=change,
                )
            )
        if tags := _tags(target.attach):
            names = tuple(f"tag {tag}" for tag in tags)
            change = Change("attach-tags", found.id, name, tags=tags)
            steps.append(
                Step(
                    f'attach "{name}" to {", ".join(names)}',
                    StepKind.ATTACH,
                    target.rules,
                    names,
                    native=change,
                )
            )
        return (replace(steps[0], warning=cut), *steps[1:]) if steps else ()

    def check_access(self, account: Account, specs: Sequence[FirewallSpec]) -> Sequence[Access]:
        """Asked of the vendor without a write."""
        from cloudsync_digitalocean.access import check

        return check(account, self.endpoint(account), specs, self.identity)

    def open_reader(self, account: Account) -> Reader:
        """Raises `AuthError` where the token cannot be had."""
        from cloudsync_digitalocean.client import Api
        from cloudsync_digitalocean.reader import DigitalOceanReader

        return DigitalOceanReader(Api(account, self.endpoint(account)), self.identity)

    def open_writer(self, account: Account) -> Writer:
        """Raises `AuthError` where the token cannot be had."""
        from cloudsync_digitalocean.client import Api
        from cloudsync_digitalocean.writer import DigitalOceanWriter

        return DigitalOceanWriter(Api(account, self.endpoint(account)))


def _releasing(found: Found, target: Target, base: str) -> tuple[Step, ...] | Refusal:
    """To take the marker off is to rename, and only a full replace renames: with the rules as they
    are spelled."""
    if found.bare_taken:
        return Refusal(
            f'there is another firewall named "{base}": rename or delete it first, or nobody could tell the two apart'
        )
    inbound = tuple(one.native for one in found.inbound)
    change = Change("replace", found.id, base, inbound, found.outbound, expected=inbound)
    return (Step(f'rename "{found.name}" to "{base}"', StepKind.MARK, target.rules, native=change),)


def _rule_steps(
    found: Found, before: RuleSet, target: Target, name: str, compact: tuple[VendorRule, ...]
) -> tuple[Step, ...] | Refusal:
    """How an existing firewall comes to `target.rules` and to its name. Lazy: a rule that is there
    and wanted stays as it is spelled."""
    if before == target.rules and target.marker is None:
        if not target.reapply:
            return ()
        if not found.failed:
            return (
                Step(
                    f'wait for "{name}" to be in force',
                    StepKind.REPLACE,
                    before,
                    native=Change("wait", found.id, name),
                ),
            )
    staying = [one for one in found.inbound if target.rules.covers(one.meaning)]
    removing = [one for one in found.inbound if not target.rules.covers(one.meaning)]
    adding = to_vendor(target.rules - RuleSet.of(rule for one in staying for rule in one.rules))
    if isinstance(adding, Refusal):
        return adding
    whole = target.marker is not None or target.reapply or any(one.others for one in removing)
    whole = whole or len(found.inbound) + len(adding) + len(found.outbound) > MAX_RULES
    if not whole and not clash(removing, [*(one.native for one in staying), *adding]):
        steps = []
        if adding:
            change = Change("add", found.id, name, adding)
            steps.append(
                Step(
                    f'add {len(adding)} rules to "{name}"',
                    StepKind.WIDEN,
                    before | target.rules,
                    native=change,
                )
            )
        if removing:
            change = Change("remove", found.id, name, tuple(one.native for one in removing))
            steps.append(
                Step(
                    f'remove {len(removing)} rules from "{name}"',
                    StepKind.NARROW,
                    target.rules,
                    native=change,
                )
            )
        return tuple(steps)
    kept = tuple(rest for one in found.inbound if (rest := without_addresses(one)) is not None)
    inbound = (*compact, *kept)
    if (full := too_many(len(inbound), len(found.outbound))) is not None:
        return Refusal(full)
    change = Change(
        "replace",
        found.id,
        name,
        inbound,
        found.outbound,
        expected=tuple(one.native for one in found.inbound),
    )
    renamed = f', renamed from "{found.name}"' if found.name != name else ""
    return (
        Step(
            f'replace "{name}" with {len(inbound)} rules{renamed}',
            StepKind.REPLACE,
            target.rules,
            native=change,
        ),
    )


def _crowded(found: Found, target: Target) -> str | None:
    droplets = found.droplets | set(_droplets(target.attach))
    tags = found.tags | set(_tags(target.attach))
    if target.attach and len(droplets) > MAX_DROPLETS:
        return f"{len(droplets)} droplets would be attached by id, DigitalOcean allows {MAX_DROPLETS} a firewall; attach by a tag instead"
    if target.attach and len(tags) > MAX_TAGS:
        return f"{len(tags)} tags would be attached, DigitalOcean allows {MAX_TAGS} a firewall"
    return None


def _droplets(attachments: Iterable[Attachment]) -> tuple[int, ...]:
    natives = (one.native for one in attachments)
    return tuple(
        n[1]
        for n in natives
        if isinstance(n, tuple) and n[0] == "droplet" and isinstance(n[1], int)
    )


def _tags(attachments: Iterable[Attachment]) -> tuple[str, ...]:
    natives = (one.native for one in attachments)
    return tuple(
        n[1] for n in natives if isinstance(n, tuple) and n[0] == "tag" and isinstance(n[1], str)
    )


def _cuts_private(observed: Present | Absent, target: Target) -> str | None:
    """What to say where machines come, or are, under a firewall that lets nothing in from private
    networks."""
    private = NetworkSet.of(RFC1918)
    had = isinstance(observed, Present) and bool(_only_private(observed.rules).where(private))
    if _only_private(target.rules).where(private) or not (had or target.attach):
        return None
    return (
        f"this firewall filters private networks (VPC) too, and lets nothing in from {', '.join(RFC1918)} but what is open to the "
        f"world: traffic between the machines is cut"
    )


def _only_private(rules: RuleSet) -> RuleSet:
    return rules - RuleSet.of(rule for rule in rules if rule.sources.covers(ANY4))
