"""What policy comes to, piece by piece, and the bounds that hold for every piece: `policy.deny`,
and what the provider can express."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from cloudsync.model.plan import Refused
from cloudsync.model.ports import Origin
from cloudsync.provider.contract import Capabilities
from cloudsync.rules import NOTHING, Rule, RuleSet
from cloudsync.rules.frozen import dataclass


@dataclass(frozen=True, slots=True)
class Wanted:
    """One reason for some rules to be open."""

    rules: RuleSet
    """What is to be open."""
    reason: str
    """Why, a sentence for people."""
    description: str
    """What the vendor's rule says of it."""
    origins: tuple[Origin, ...] = ()
    """The containers and lines of files it comes from."""
    list_id: str = ""
    """The vendor's list of addresses that is their source; empty for networks."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is opened and refused of some of what a firewall is asked for; the fields as in
    `cloudsync.planning.policy.Desired`."""

    wanted: tuple[Wanted, ...] = ()
    refused: tuple[Refused, ...] = ()
    warnings: tuple[str, ...] = ()
    engines: tuple[tuple[str, RuleSet], ...] = ()
    """What containers need of what is opened, each with its host."""
    deliberate: tuple[Rule, ...] = ()
    unlabelled: tuple[Rule, ...] = ()

    @classmethod
    def all(cls, verdicts: Iterable[Verdict]) -> Verdict:
        """Several verdicts as one, in their order."""
        listed = list(verdicts)
        return cls(
            tuple(wanted for verdict in listed for wanted in verdict.wanted),
            tuple(refused for verdict in listed for refused in verdict.refused),
            tuple(warning for verdict in listed for warning in verdict.warnings),
            tuple(rules for verdict in listed for rules in verdict.engines),
            tuple(rule for verdict in listed for rule in verdict.deliberate),
            tuple(rule for verdict in listed for rule in verdict.unlabelled),
        )

    def by_host(self) -> Mapping[str, RuleSet]:
        """`engines` united by host, in one pass: one by one, the time would grow with the square of
        the ports."""
        rules: dict[str, list[Rule]] = {}
        for host, opened in self.engines:
            rules.setdefault(host, []).extend(opened)
        return {host: RuleSet.of(opened) for host, opened in rules.items()}


@dataclass(frozen=True, slots=True)
class Bounds:
    """What no rule may go beyond."""

    denied: RuleSet
    """What `policy.deny` names, without SSH."""
    capabilities: Capabilities
    """What the vendor's rules can express."""

    def within(self, rules: RuleSet, origin: Origin | None) -> tuple[RuleSet, tuple[Refused, ...]]:
        """The part of `rules` that may be opened, and the rest as refused."""
        denied = self.denied & rules if self.denied else NOTHING
        if not denied:
            return self._expressible(rules, origin)
        refused = refusals(denied, "denied", "policy.deny names it", origin)
        expressible, inexpressible = self._expressible(rules - denied, origin)
        return expressible, (*refused, *inexpressible)

    def _expressible(
        self, rules: RuleSet, origin: Origin | None
    ) -> tuple[RuleSet, tuple[Refused, ...]]:
        can = self.capabilities
        names = {rule.protocol for rule in rules}
        if (can.protocols is None or names <= can.protocols) and not names & {"icmp", "icmpv6"}:
            return rules, ()
        within = rules if can.protocols is None else rules.of_protocols(*sorted(can.protocols))
        if can.all_protocols:
            within = within | rules.where(rules.everything_from())
        refused: list[Refused] = []
        for rule in rules - within:
            reason = f"this provider has no rules for {rule.protocol}"
            refused += refusals(RuleSet.of((rule,)), "unexpressible", reason, origin)
        if not can.icmp_types:
            types = RuleSet.of(rule for rule in within.of_protocols("icmp", "icmpv6") if rule.ports)
            reason = "this provider cannot let in single ICMP types"
            refused += refusals(types, "unexpressible", reason, origin)
            within = within - types
        return within, tuple(refused)


def refusals(
    rules: Iterable[Rule], code: str, reason: str, origin: Origin | None
) -> tuple[Refused, ...]:
    """Rules that are not opened, for one reason."""
    origins = (origin,) if origin else ()
    return tuple(
        Refused(rule.protocol, rule.ports, rule.sources.cidrs(), code, reason, origins)
        for rule in rules
    )
