"""Reading a project: all its firewall rules, one call per 500. They say what the firewalls' own
rules are and who else lets something in, and with the instances and the networks' policies what the
Internet reaches (`machines.py`)."""

from __future__ import annotations

from collections.abc import Sequence

from cloudsync.provider.answers import printable
from cloudsync.provider.contract import Absent, Description, FirewallSpec, Kept, Present, VendorRule
from cloudsync.provider.machines import Fleet, Marked
from cloudsync.provider.marker import of_several
from cloudsync.provider.reader import ReaderBase
from cloudsync.provider.rule_list import ListedRules
from cloudsync_gcp import denials, provider
from cloudsync_gcp.client import Api
from cloudsync_gcp.machines import fleet, marked_firewalls
from cloudsync_gcp.native import Owned
from cloudsync_gcp.ownership import Owners, firewall_of, owners
from cloudsync_gcp.vpc_rules import VpcRule, parse

_MANAGERS = {"kubernetes.io/": "Google Kubernetes Engine", "terraform": "Terraform"}


class GcpReader(ReaderBase):
    """Reads one project, the list of its rules once."""

    def __init__(self, api: Api) -> None:
        self.api = api
        self._rules: tuple[VpcRule, ...] | None = None
        self._owned: Owners = {}

    def prepare(self, specs: Sequence[FirewallSpec]) -> None:
        """The whole list of rules, and whose each is."""
        self._owned = owners(self._listed(), specs)

    def observation(self, spec: FirewallSpec) -> Present | Absent:
        """The rules for exactly the firewall's targets."""
        return _observed(spec, self._listed(), self._owned)

    def fleet(self, specs: Sequence[FirewallSpec]) -> Fleet:
        """Instances in one call per 500; for each network that their public interfaces are in its
        order and its policies, and for each region there the regional policies."""
        rules = self._listed()
        return fleet(self.api, rules, owners(rules, specs), specs)

    def marked(
        self,
        owner: str,
        specs: Sequence[FirewallSpec],
        *,
        ask: bool,  # noqa: ARG002 - no call is needed
    ) -> Sequence[Marked]:
        """Out of the list of rules."""
        rules = self._listed()
        return marked_firewalls(rules, owner, owners(rules, specs))

    def _listed(self) -> tuple[VpcRule, ...]:
        """All rules. One that cannot be understood is an error: whose it is and what it does is
        unknown."""
        if self._rules is None:
            self._rules = tuple(parse(answer) for answer in self.api.listed("global/firewalls"))
        return self._rules


def _observed(spec: FirewallSpec, rules: Sequence[VpcRule], owned: Owners) -> Present | Absent:
    prefix, firewall = provider.identity(spec), firewall_of(spec, rules, owned)
    foreign = tuple(map(Kept, firewall.notes))
    attachments = denials.attachments(firewall)
    if not firewall.owned:
        return Absent(attachments=attachments, foreign=foreign, native=firewall)
    allowing = firewall.allowances
    listed = ListedRules.of_objects([_object(each) for each in allowing if each.effect])
    return Present(
        id=prefix,
        rules=listed.rules,
        marker=of_several((each.rule.marker for each in firewall.owned), spec.marker),
        listed=listed.listed,
        objects=listed.objects,
        attachments=attachments,
        kept=tuple(_kept(allowing)),
        pending=(
            *(each.fault for each in allowing if each.wrong and each.rule.matches),
            *denials.pending(firewall),
        ),
        foreign=foreign,
        managed_by=tuple(_managers(allowing)),
        described=tuple(
            Description(each.effect, each.rule.text)
            for each in allowing
            if each.rule.marker is not None
        ),
        native=firewall,
    )


def _object(owned: Owned) -> VendorRule:
    return VendorRule(
        key=owned.name,
        lets_in=owned.effect,
        name=owned.name,
        description=owned.rule.text,
        ours=owned.generated,
    )


def _kept(allowing: Sequence[Owned]) -> list[Kept]:
    """Sources of the firewall's rules that are no networks."""
    return [
        Kept(f"{each.name}: from {printable(source)}", each.rule.reaches, printable(source))
        for each in allowing
        for source in each.rule.other_sources
        if not each.rule.disabled and not each.rule.denied
    ]


def _managers(allowing: Sequence[Owned]) -> list[str]:
    """What else seems to write these rules, by what it writes into descriptions."""
    return [
        f"{manager} ({each.name})"
        for sign, manager in _MANAGERS.items()
        for each in allowing
        if sign in each.rule.text.lower()
    ][:1]
