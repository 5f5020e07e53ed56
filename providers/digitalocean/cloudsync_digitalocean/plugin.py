"""What the plugin is: capabilities, settings, and how it plans. Imports no SDK.

Rules are added by one call and taken away by one, in this order, with the attachments left alone.
One full replace, with freshly read attachments, stands in where that cannot be done safely: at the
limit of rules, to rename, and where a rule must lose a part of its sources.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
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
    Touched,
    Writer,
)
from cloudsync.provider.rule_list import lines
from cloudsync.provider.spelling import spell
from cloudsync.rules import RuleSet
from cloudsync.rules.networks import ANY4, NetworkSet
from cloudsync_digitalocean.native import Change, Found, full_name
from cloudsync_digitalocean.rules import (
    MAX_RULES,
    OUTBOUND,
    Listed,
    NativeRule,
    clash,
    compact,
    edited,
    to_vendor,
    too_many,
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
        firewall = observed.native if isinstance(observed.native, Found) else Found()
        name = full_name(self.identity(target.spec), target.spec.marker)
        if target.release:
            return _releasing(firewall, target, self.identity(target.spec))
        if (crowded := _crowded(firewall, target)) is not None:
            return Refusal(crowded)
        fewest = to_vendor(target.rules)
        if isinstance(fewest, Refusal):
            return fewest
        targets = tuple(attachment.target for attachment in target.attach)
        cut = _cuts_private(observed, target)
        if isinstance(observed, Absent):
            natural = edited({}, lines((), spell((), target), target))
            fits = too_many(len(natural), len(OUTBOUND)) is None
            inbound = natural if fits else fewest
            if (full := too_many(len(inbound), len(OUTBOUND))) is not None:
                return Refusal(full)
            change = Change(
                "create",
                None,
                name,
                inbound,
                OUTBOUND,
                _droplets(target.attach),
                _tags(target.attach),
            )
            summary = f'create "{name}" with {len(inbound)} rules' + (
                f", attached to {', '.join(targets)}" if targets else ""
            )
            return (Step(summary, StepKind.REPLACE, target.rules, targets, change, cut),)
        rules = _rule_steps(firewall, observed, target, name, fewest)
        if isinstance(rules, Refusal):
            return rules
        steps = [*rules]
        if droplets := _droplets(target.attach):
            names = tuple(f"droplet {id_}" for id_ in droplets)
            change = Change("attach-droplets", firewall.id, name, droplets=droplets)
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
            change = Change("attach-tags", firewall.id, name, tags=tags)
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


def _releasing(firewall: Found, target: Target, base: str) -> tuple[Step, ...] | Refusal:
    """To take the marker off is to rename, and only a full replace renames: with the rules as they
    are spelled."""
    if firewall.bare_taken:
        return Refusal(
            f'there is another firewall named "{base}": rename or delete it first, or nobody could tell the two apart'
        )
    inbound = tuple(listed_rule.native for listed_rule in firewall.inbound)
    change = Change("replace", firewall.id, base, inbound, firewall.outbound, expected=inbound)
    return (
        Step(f'rename "{firewall.name}" to "{base}"', StepKind.MARK, target.rules, native=change),
    )


@dataclass(frozen=True, slots=True)
class RuleChange:
    """Rules to add and to take away, and the objects that go with them."""

    adding: tuple[NativeRule, ...]
    leaving: tuple[Listed, ...]
    touches: tuple[Touched, ...]


def _rule_steps(
    firewall: Found, observed: Present, target: Target, name: str, fewest: tuple[NativeRule, ...]
) -> tuple[Step, ...] | Refusal:
    """How an existing firewall comes to `target.rules` and to its name. A rule that is there and
    fits stays as it is spelled. `fewest`: the fewest rules that say it, if there is no room."""
    before, there = observed.rules, observed.vendor_rules
    whole = target.marker is not None or target.reapply
    if before == target.rules and target.marker is None and target.reapply and not firewall.failed:
        wait = Change("wait", firewall.id, name)
        summary = f'wait for "{name}" to be in effect'
        return (Step(summary, StepKind.REPLACE, before, native=wait),)
    spelling = spell(there, target)
    if before == target.rules and not (whole or spelling.redundant):
        return ()
    listed = dict(zip((rule.key for rule in there), firewall.inbound, strict=True))
    wanted = lines(there, spelling, target)
    inbound = edited(listed, wanted)
    touches = (*spelling.touches(), *_renaming(firewall, name))
    room = len(inbound) + len(firewall.outbound) <= MAX_RULES
    in_place = any(line.at is not None and line.rule is not None for line in wanted)
    leaving = [listed[rule.key] for rule in (*spelling.going, *spelling.redundant)]
    adding = tuple(
        rule
        for rule in inbound
        if not any(rule is listed_rule.native for listed_rule in firewall.inbound)
    )
    if not (whole or in_place or any(listed_rule.others for listed_rule in leaving)) and (
        len(firewall.inbound) + len(adding) + len(firewall.outbound) <= MAX_RULES
    ):
        staying = [listed_rule for listed_rule in firewall.inbound if listed_rule not in leaving]
        if not clash(leaving, [*(listed_rule.native for listed_rule in staying), *adding]):
            change = RuleChange(adding, tuple(leaving), touches)
            return _add_then_remove(firewall, before, target, name, change)
    if not room:
        inbound = compact(fewest, firewall.inbound)
        if (full := too_many(len(inbound), len(firewall.outbound))) is not None:
            return Refusal(full)
        reason = "there is no room for it: fewer rules say the same"
        touches = (
            *(
                Touched(rule.label, "deletes", reason, rule.key)
                for rule in there
                if rule.lets_in and listed[rule.key].native not in inbound
            ),
            *_renaming(firewall, name),
        )
    expected = tuple(listed_rule.native for listed_rule in firewall.inbound)
    native = Change("replace", firewall.id, name, inbound, firewall.outbound, expected=expected)
    renamed = f', renamed from "{firewall.name}"' if firewall.name != name else ""
    summary = f'replace "{name}" with {len(inbound)} rules{renamed}'
    return (Step(summary, StepKind.REPLACE, target.rules, native=native, touches=touches),)


def _add_then_remove(
    firewall: Found, before: RuleSet, target: Target, name: str, change: RuleChange
) -> tuple[Step, ...]:
    """One call to add and one to take away, each only if there is something for it."""
    steps = []
    if change.adding:
        native = Change("add", firewall.id, name, change.adding)
        summary = f'add {len(change.adding)} rules to "{name}"'
        steps.append(Step(summary, StepKind.WIDEN, before | target.rules, native=native))
    if change.leaving:
        native = Change(
            "remove", firewall.id, name, tuple(listed_rule.native for listed_rule in change.leaving)
        )
        summary = f'remove {len(change.leaving)} rules from "{name}"'
        steps.append(
            Step(
                summary,
                StepKind.NARROW,
                target.rules,
                native=native,
                touches=change.touches,
            )
        )
    return tuple(steps)


def _renaming(firewall: Found, name: str) -> tuple[Touched, ...]:
    """To adopt is to rename: the marker can only live in the name."""
    if firewall.name == name:
        return ()
    return (Touched(firewall.name, "renames", f"renamed to {name}", counts=False),)


def _crowded(firewall: Found, target: Target) -> str | None:
    droplets = firewall.droplets | set(_droplets(target.attach))
    tags = firewall.tags | set(_tags(target.attach))
    if target.attach and len(droplets) > MAX_DROPLETS:
        return f"{len(droplets)} droplets would be attached by id, DigitalOcean allows {MAX_DROPLETS} a firewall; attach by a tag instead"
    if target.attach and len(tags) > MAX_TAGS:
        return f"{len(tags)} tags would be attached, DigitalOcean allows {MAX_TAGS} a firewall"
    return None


def _droplets(attachments: Iterable[Attachment]) -> tuple[int, ...]:
    natives = (attachment.native for attachment in attachments)
    return tuple(
        n[1]
        for n in natives
        if isinstance(n, tuple) and n[0] == "droplet" and isinstance(n[1], int)
    )


def _tags(attachments: Iterable[Attachment]) -> tuple[str, ...]:
    natives = (attachment.native for attachment in attachments)
    return tuple(
        n[1] for n in natives if isinstance(n, tuple) and n[0] == "tag" and isinstance(n[1], str)
    )


def _cuts_private(observed: Present | Absent, target: Target) -> str | None:
    """What to say where machines come, or are, under a firewall that lets nothing in from private
    networks."""
    private = NetworkSet.of(RFC1918)
    closing = observed.rules - target.rules if isinstance(observed, Present) else RuleSet()
    had = bool(_only_private(closing).where(private))
    if _only_private(target.rules).where(private) or not (had or target.attach):
        return None
    return (
        f"this firewall filters private networks (VPC) too, and lets nothing in from {', '.join(RFC1918)} but what is open to the "
        f"world: traffic between the machines is cut"
    )


def _only_private(rules: RuleSet) -> RuleSet:
    return rules - RuleSet.of(rule for rule in rules if rule.sources.covers(ANY4))
