"""What the user asks for in the configuration itself: `[[firewalls.X.allow]]`, `hosts.X.ports`,
`policy.icmp`. Denied ports are never opened, sensitive ones are warned about. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from cloudsync.config.configuration import Firewall
from cloudsync.config.networks import allowed_rules
from cloudsync.model.plan import Refused
from cloudsync.model.ports import Complete, Origin, Partial, port_rules
from cloudsync.planning.sensitive_ports import SENSITIVE_RULES, sensitive_numbers
from cloudsync.planning.verdicts import Bounds, Verdict, Wanted
from cloudsync.provider.phrases import first_of
from cloudsync.rules import Rule, RuleSet
from cloudsync.rules.frozen import dataclass
from cloudsync.rules.networks import ANY4, ANY6, NOWHERE, NetworkSet

_SHOWN = 5


@dataclass(frozen=True, slots=True)
class ConfiguredRules:
    """What the configuration asks for, within the bounds."""

    wanted: tuple[Wanted, ...]
    """What is opened."""
    refused: tuple[Refused, ...]
    """What a bound forbids."""

    @property
    def rules(self) -> RuleSet:
        """All of it."""
        return RuleSet.union(wanted.rules for wanted in self.wanted)

    def verdict(self, world: RuleSet) -> Verdict:
        """It is opened, with a warning for every sensitive port of it that the world is let in to.
        `world`: the ports that it is, by all that is asked for."""
        if not (self.rules & SENSITIVE_RULES) & world:
            return Verdict(self.wanted, self.refused)
        warnings = tuple(
            f"{_ports(protocol, numbers)} is opened to the world, {wanted.reason}"
            for wanted in self.wanted
            for protocol, numbers in _sensitive(wanted.rules & world).items()
        )
        return Verdict(self.wanted, self.refused, warnings)


def configured_rules(
    firewall: Firewall,
    read: Iterable[Complete | Partial],
    icmp: str,
    bounds: Bounds,
    lists: Mapping[str, NetworkSet],
) -> ConfiguredRules:
    """Everything the configuration asks for at one firewall. `read`: its hosts. `lists`: the
    networks of the vendor's lists of addresses."""
    wanted: list[Wanted] = []
    refused: list[Refused] = []
    for asked in (*_icmp(icmp), *_allowed(firewall, lists), *_declared(firewall, read)):
        origin = asked.origins[0] if asked.origins else None
        rules, beyond = bounds.within(asked.rules, origin)
        refused += beyond
        if rules:
            wanted.append(asked if rules is asked.rules else replace(asked, rules=rules))
    return ConfiguredRules(tuple(wanted), tuple(refused))


def _icmp(policy: str) -> Iterator[Wanted]:
    types = {"all": ("", ""), "echo": ("8", "128")}.get(policy)
    if types is not None:
        pings = (Rule.of("icmp", types[0], ANY4), Rule.of("icmpv6", types[1], ANY6))
        yield Wanted(RuleSet.of(pings), f'ICMP, policy.icmp = "{policy}"', "icmp")


def _allowed(firewall: Firewall, lists: Mapping[str, NetworkSet]) -> Iterator[Wanted]:
    for allow in firewall.allow:
        origin = Origin(host="", file=allow.place.file, line=allow.place.line)
        reason = f"allowed at {allow.place}"
        description = allow.description or "allow"
        yield Wanted(allow.rules, reason, description, (origin,))
        for list_id in allow.written.lists:
            rules = allowed_rules(allow.ports, lists.get(list_id, NOWHERE))
            yield Wanted(rules, reason, description, (origin,), list_id)


def _declared(firewall: Firewall, read: Iterable[Complete | Partial]) -> Iterator[Wanted]:
    for discovery in read:
        for port in discovery.required:
            if port.declared and (port.firewalls is None or firewall.name in port.firewalls):
                reason = f"declared for host {port.origin.host}"
                description = port.description or port.origin.host
                yield Wanted(port_rules(port), reason, description, (port.origin,))


def _sensitive(rules: RuleSet) -> dict[str, list[int]]:
    """The sensitive ports by protocol."""
    numbers: dict[str, list[int]] = {}
    for rule in rules:
        if inside := sensitive_numbers(rule):
            numbers.setdefault(rule.protocol, []).extend(inside)
    return numbers


def _ports(protocol: str, numbers: list[int]) -> str:
    return f"{protocol}/{first_of(numbers, _SHOWN)}"
