"""Reading an account: all firewalls and all machines, a call per 50 of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cloudsync.provider.account_reader import AccountReader, ListedRules
from cloudsync.provider.contract import Absent, Attachment, FirewallSpec, Kept, Pending, Present
from cloudsync.provider.errors import Unsupported
from cloudsync.provider.machines import families_of
from cloudsync.provider.owners import owners_of
from cloudsync.provider.private_networks import private_rules
from cloudsync.provider.simple_fleet import (
    Acts,
    ListedFirewall,
    ListedMachine,
    attachments_of,
    named,
)
from cloudsync.rules import ANY, Rule, RuleSet
from cloudsync_brook.answers import Firewall, Machine
from cloudsync_brook.native import MARKER, POLICY, Observed
from cloudsync_brook.rules import GRAMMAR, effective

if TYPE_CHECKING:
    from cloudsync_brook.plugin import BrookProvider


@dataclass(frozen=True, slots=True)
class Listing:
    """The account, listed once."""

    firewalls: Mapping[str, Firewall]
    """By label."""
    machines: Sequence[ListedMachine]


class BrookReader(AccountReader[Listing]):
    """Reads one account."""

    provider: BrookProvider
    lacks = "the account has no machine"
    not_evaluated = ("load balancers in front of the machines were not looked at",)

    def list_account(self) -> Listing:
        """Two lists."""
        firewalls = self.api.pages("/firewalls", "firewalls", Firewall)
        machines = self.api.pages("/machines", "machines", Machine)
        listed = [_machine(machine, firewalls) for machine in machines]
        return Listing({firewall.label: firewall for firewall in firewalls}, listed)

    def observe(self, listing: Listing, spec: FirewallSpec) -> Present | Absent:
        """One firewall by its label."""
        settings, name = self.provider.settings_of(spec), self.provider.identity(spec)
        firewall = listing.firewalls.get(name)
        wanted = [named(listing.machines, machine, self.lacks) for machine in settings.machines]
        private = private_rules(settings.private, GRAMMAR.protocols)
        if firewall is None:
            return Absent(attachments_of(wanted, None), private)
        if firewall.status != "enabled":
            raise Unsupported(f'the firewall "{name}" is {firewall.status}: switch it on first')
        inbound = firewall.rules.inbound
        try:
            rules = effective(inbound)
        except Unsupported as error:
            raise Unsupported(f'the firewall "{name}" has {error}') from None
        listed = ListedRules.of(
            [
                (rule.title, lets_in, rule.label)
                for rule, lets_in in zip(inbound, rules.by_rule, strict=True)
                if rule.is_ours_to_change
            ]
        )
        attachments = attachments_of(wanted, _listed(firewall, None))
        return Present(
            id=str(firewall.id),
            rules=rules.lets_in,
            marker=MARKER.read(firewall.tags),
            listed=listed.listed,
            attachments=(*attachments, *_policy(firewall, listing)),
            kept=tuple(Kept(rule.title) for rule in inbound if not rule.is_ours_to_change),
            pending=tuple(
                Pending(f"machine {machine.id}", f"it is {machine.status} there")
                for machine in firewall.machines
                if machine.status != "applied"
            ),
            private=private,
            described=listed.described,
            objects=listed.objects,
            managed_by=owners_of(dict.fromkeys(firewall.tags, ""), firewall.label),
            native=Observed(firewall),
        )

    def firewalls(
        self, listing: Listing, specs: Sequence[FirewallSpec]
    ) -> Mapping[str, ListedFirewall]:
        """All of the account."""
        names = {self.provider.identity(spec): spec.name for spec in specs}
        listed = (_listed(f, names.get(f.label)) for f in listing.firewalls.values())
        return {firewall.id: firewall for firewall in listed}

    def machines(
        self,
        listing: Listing,
        specs: Sequence[FirewallSpec],  # noqa: ARG002 - Brook has no selectors
    ) -> Sequence[ListedMachine]:
        """All of the account."""
        return listing.machines

    def wanted(self, spec: FirewallSpec) -> Sequence[str | int]:
        """The key `machines`."""
        return self.provider.settings_of(spec).machines


def _machine(machine: Machine, firewalls: Sequence[Firewall]) -> ListedMachine:
    acting = {
        str(firewall.id): Acts(on.status == "applied", "" if on.status == "applied" else "waits")
        for firewall in firewalls
        for on in firewall.machines
        if on.id == machine.id and firewall.status == "enabled"
    }
    addresses = (*machine.ipv4, *machine.ipv6)
    families = families_of(addresses)
    return ListedMachine(str(machine.id), machine.label, "machine", families, addresses, acting)


def _policy(firewall: Firewall, listing: Listing) -> tuple[Attachment, ...]:
    """A default policy that accepts: the machines are as open as under no firewall."""
    if firewall.rules.inbound_policy == "DROP":
        return ()
    ids = {str(machine.id) for machine in firewall.machines}
    open_ = tuple(m.machine for m in listing.machines if m.id in ids)
    reason = "what no rule mentions is let in until now, from private networks too"
    return (Attachment(POLICY, attached=False, newly_covered=open_, reason=reason),)


def _listed(firewall: Firewall, of: str | None) -> ListedFirewall:
    inbound, unknown = firewall.rules.inbound, ""
    try:
        by_rule = effective(inbound).by_rule
    except Unsupported as error:
        by_rule, unknown = (), str(error)
    rules = [
        (lets_in, rule.title)
        for rule, lets_in in zip(inbound, by_rule, strict=False)
        if rule.action == "ACCEPT"
    ]
    if firewall.rules.inbound_policy != "DROP":
        everything = RuleSet.of((Rule.of("all", "", ANY),))
        rules.append((everything, "the default policy accepts"))
    marker, problems = MARKER.read(firewall.tags), (unknown,) if unknown else ()
    return ListedFirewall(str(firewall.id), firewall.label, of, marker, tuple(rules), problems)
