"""From required ports to the rule set one firewall should have, and every port that is refused with
the reason.

Pure: takes the configuration, what the provider can express and what the hosts said; touches
nothing.

| the port is                        | and it comes from                 | then                                                   |
|------------------------------------|-----------------------------------|--------------------------------------------------------|
| denied by `policy.deny`            | anywhere but `[ssh]`              | refused                                                |
| sensitive, its sources the world   | a container                       | refused, unless `allow_sensitive` names the host port  |
| sensitive, its sources the world   | `hosts.X.ports`, `allow`          | opened, with a warning                                 |
| bound to a private address         | a container                       | opened where the provider maps it to a public address  |
| bound to a link-local, shared one  | a container                       | refused                                                |
| without a label                    | a container, `expose = "labelled"`| refused                                                |
| beyond what the vendor can express | anywhere                          | refused by name, never widened                         |
| anything else                      |                                   | opened                                                 |
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from cloudsync.config.configuration import Configuration, Firewall, PortRange
from cloudsync.model.plan import Refused, merged
from cloudsync.model.ports import (
    Discovery,
    Failed,
    Origin,
    Partial,
    RequiredPort,
    name_of,
    port_rules,
)
from cloudsync.planning.sensitive_ports import ADMIN, SENSITIVE, is_world
from cloudsync.provider.contract import Capabilities
from cloudsync.rules import NOTHING, Rule, RuleSet
from cloudsync.rules.address_classes import classify
from cloudsync.rules.networks import (
    ANY,
    ANY4,
    ANY6,
    NetworkSet,
)

SSH_REASON = "SSH, declared in [ssh]"


@dataclass(frozen=True, slots=True)
class Wanted:
    """One reason for some rules to be open. `description` is what the vendor's rule says of it."""

    rules: RuleSet
    reason: str
    description: str
    origins: tuple[Origin, ...] = ()


@dataclass(frozen=True, slots=True)
class Desired:
    """What one firewall should let in.

    `ssh` is part of `rules`. `denied`: never open, whatever else is unknown. `doubtful`: what
    containers with malformed labels may need, kept open where it is open; None = nobody can say
    what they need. `engines`: by host, the part of `rules` that an engine's containers need: what
    has grace once it is missed. `deliberate`: what containers publish, and a label or the
    configuration keeps closed all the same: the user's word, without grace.
    """

    wanted: tuple[Wanted, ...]
    rules: RuleSet
    ssh: RuleSet
    denied: RuleSet
    doubtful: RuleSet | None
    refused: tuple[Refused, ...]
    warnings: tuple[str, ...]
    engines: Mapping[str, RuleSet] = field(default_factory=dict)
    deliberate: RuleSet = NOTHING


def listed_ports(ranges: Iterable[PortRange], sources: NetworkSet = ANY) -> RuleSet:
    """The rule set of a port list of the configuration, from everywhere unless told."""
    return RuleSet.of(Rule(r.protocol, r.first, r.last, sources) for r in ranges)


def desire(
    firewall: Firewall,
    configuration: Configuration,
    capabilities: Capabilities,
    discoveries: Mapping[str, Discovery],
    private: RuleSet = NOTHING,
) -> Desired:
    """What `firewall` should let in, by what its hosts said. A failed host adds nothing here;
    `holds` keeps what it may need.

    `private`: what the provider asks for because the firewall filters private networks too.
    """
    judge = _Judge(configuration, capabilities)
    ssh = configuration.ssh.rules
    judge.want(ssh, SSH_REASON, "ssh", ())
    judge.want_icmp()
    if private:
        judge.want(
            private,
            "private networks, which this firewall filters too (its key `private`)",
            "private networks",
            (),
        )
    for allow in firewall.allow:
        origin = Origin(host="", file=allow.place.file, line=allow.place.line)
        judge.own_word(
            allow.rules, f"allowed at {allow.place}", allow.description or "allow", origin
        )
    doubtful: RuleSet | None = NOTHING
    for host in firewall.hosts:
        discovery = discoveries[host]
        if isinstance(discovery, Failed):
            continue
        for port in discovery.required:
            if port.firewalls is None or firewall.name in port.firewalls:
                judge.required(port)
            else:
                judge.published(port, NOTHING)
        for unopened in discovery.unopened:
            if unopened.code == "labelled-out" and unopened.ports:
                judge.deliberate.append(Rule.of(unopened.protocol, unopened.ports, ANY))
            judge.refused.append(
                Refused(
                    unopened.protocol,
                    unopened.ports,
                    (),
                    unopened.code,
                    unopened.reason,
                    (unopened.origin,),
                ),
            )
        for malformed in discovery.malformed:
            if malformed.ports is None or doubtful is None:
                doubtful = None
            else:
                doubtful = doubtful | RuleSet.of(
                    Rule(p.protocol, p.first, p.last, ANY) for p in malformed.ports
                )
            judge.refused.extend(
                Refused(
                    p.protocol,
                    rule.ports,
                    rule.sources.cidrs(),
                    "malformed",
                    malformed.problem,
                    (malformed.origin,),
                )
                for p in malformed.ports or ()
                for rule in port_rules(p)
            )
    wanted = tuple(judge.wanted)
    return Desired(
        wanted,
        RuleSet.of(rule for one in wanted for rule in one.rules),
        ssh,
        judge.denied - ssh,
        doubtful,
        merged(judge.refused),
        tuple(dict.fromkeys(judge.warnings)),
        {host: RuleSet.of(rules) for host, rules in judge.engines.items()},
        RuleSet.of(judge.deliberate),
    )


def unassigned(
    configuration: Configuration, discoveries: Mapping[str, Discovery]
) -> tuple[Refused, ...]:
    """The required ports of hosts that feed no firewall at all."""
    fed = {host for firewall in configuration.firewalls.values() for host in firewall.hosts}
    return merged(
        Refused(
            port.protocol,
            rule.ports,
            rule.sources.cidrs(),
            "unassigned",
            f"host {host} feeds no firewall",
            (port.origin,),
        )
        for host, discovery in discoveries.items()
        if host not in fed and not isinstance(discovery, Failed)
        for port in discovery.required
        for rule in port_rules(port)
    )


def unknown_hosts(firewall: Firewall, discoveries: Mapping[str, Discovery]) -> dict[str, str]:
    """The firewall's hosts that were not read completely, with the reason."""
    unknown = {}
    for host in firewall.hosts:
        discovery = discoveries[host]
        if isinstance(discovery, Failed):
            unknown[host] = discovery.reason
        elif isinstance(discovery, Partial):
            unknown[host] = "; ".join(discovery.reasons)
    return unknown


class _Judge:
    """Collects what is wanted and refused while the ports of one firewall are gone through."""

    def __init__(self, configuration: Configuration, capabilities: Capabilities) -> None:
        self.policy = configuration.policy
        self.capabilities = capabilities
        self.denied = listed_ports(self.policy.deny)
        self.ssh = configuration.ssh.rules
        self.allowed_sensitive = listed_ports(self.policy.allow_sensitive)
        self.wanted: list[Wanted] = []
        self.refused: list[Refused] = []
        self.warnings: list[str] = []
        # United once at the end: one by one, the time would grow with the square of the ports.
        self.engines: dict[str, list[Rule]] = {}
        self.deliberate: list[Rule] = []

    def want(
        self, rules: RuleSet, reason: str, description: str, origins: tuple[Origin, ...]
    ) -> None:
        if rules:
            self.wanted.append(Wanted(rules, reason, description, origins))

    def refuse(self, rules: RuleSet, code: str, reason: str, origin: Origin | None) -> None:
        origins = (origin,) if origin else ()
        self.refused.extend(
            Refused(r.protocol, r.ports, r.sources.cidrs(), code, reason, origins) for r in rules
        )

    def want_icmp(self) -> None:
        if self.policy.icmp == "all":
            pings = (Rule.of("icmp", "", ANY4), Rule.of("icmpv6", "", ANY6))
        elif self.policy.icmp == "echo":
            pings = (Rule.of("icmp", "8", ANY4), Rule.of("icmpv6", "128", ANY6))
        else:
            return
        rules = self._expressible(RuleSet.of(pings), None)
        self.want(rules, f'ICMP, policy.icmp = "{self.policy.icmp}"', "icmp", ())

    def own_word(self, rules: RuleSet, reason: str, description: str, origin: Origin) -> None:
        """What the user wrote into the configuration: denied ports are never opened, sensitive ones
        are warned about."""
        rest = self._expressible(self._undenied(rules, origin), origin)
        for rule in rest:
            if is_world(rule.sources) and (exposed := _sensitive_in(rule)):
                self.warnings.append(
                    f"{rule.protocol}/{_joined(exposed)} is opened to the world, {reason}"
                )
        self.want(rest, reason, description, (origin,))

    def required(self, port: RequiredPort) -> None:
        name = name_of(port.origin)
        if port.declared:
            self.own_word(
                port_rules(port),
                f"declared for host {port.origin.host}",
                port.description or port.origin.host,
                port.origin,
            )
            return
        if not self._reachable(port):
            self.published(port, NOTHING)
            return
        if self.policy.expose == "labelled" and not port.asked:
            reason = 'no cloudsync label asks for it, and policy.expose = "labelled"'
            self.refuse(port_rules(port), "not-labelled", reason, port.origin)
            self.published(port, NOTHING)
            return
        rest = self._undenied(port_rules(port), port.origin)
        rest = self._expressible(self._insensitive(port, rest), port.origin)
        if port.protocol == "tcp" and is_world(port.sources):
            self.warnings.extend(
                f"tcp/{one} of {name} on {port.origin.host} is often an admin page, and is open to the world"
                for one in sorted(ADMIN)
                if port.first <= one <= port.last
                and rest & RuleSet.of((Rule("tcp", one, one, ANY),))
            )
        self.published(port, rest)
        how = f"label {port.origin.label}" if port.origin.label else "published"
        if port.origin.file:
            how += f", {port.origin.file}:{port.origin.line}"
        self.want(
            rest, f"{name} on {port.origin.host} ({how})", port.description or name, (port.origin,)
        )

    def published(self, port: RequiredPort, opened: RuleSet) -> None:
        """Note what of a port that an engine sees published is opened, and what by the user's word
        is not."""
        if not port.observed:
            return
        family = ANY if port.address is None else ANY4 if port.address.version == 4 else ANY6
        whole = RuleSet.of((Rule(port.protocol, port.first, port.last, family),))
        self.engines.setdefault(port.origin.host, []).extend(opened)
        self.deliberate.extend(whole - opened)

    def _reachable(self, port: RequiredPort) -> bool:
        """Whether the address the port is bound to can be reached from the Internet at this
        provider."""
        if port.address is None:
            return True
        kind = classify(port.address)
        if kind in ("wildcard", "public") or (
            kind == "private" and self.capabilities.private_is_public
        ):
            return True
        if kind != "loopback":
            what = {
                "private": "a private address",
                "shared": "a shared (100.64.0.0/10) address",
            }.get(kind, f"a {kind} address")
            reason = f"bound to {port.address}, {what}: the Internet does not reach it"
            self.refuse(port_rules(port), "private-address", reason, port.origin)
        return False

    def _undenied(self, rules: RuleSet, origin: Origin) -> RuleSet:
        denied = rules & self.denied - self.ssh
        self.refuse(denied, "denied", "policy.deny names it", origin)
        return rules - denied

    def _insensitive(self, port: RequiredPort, rules: RuleSet) -> RuleSet:
        if not is_world(port.sources):
            return rules
        offset = None if port.container_first is None else port.container_first - port.first
        named = SENSITIVE.get(port.protocol, frozenset())
        hosts = {n for n in named if port.first <= n <= port.last}
        behind = (
            set()
            if offset is None
            else {n - offset for n in named if port.first <= n - offset <= port.last}
        )
        cut = (
            rules
            & RuleSet.of(Rule(port.protocol, n, n, ANY) for n in hosts | behind)
            - self.allowed_sensitive
        )
        for rule in cut:
            reason = (
                f"a sensitive port is not opened to the world; name it in policy.allow_sensitive "
                f'("{rule.ports}/{rule.protocol}") or narrow it with the label cloudsync.sources'
            )
            self.refuse(RuleSet.of((rule,)), "sensitive", reason, port.origin)
        return rules - cut

    def _expressible(self, rules: RuleSet, origin: Origin | None) -> RuleSet:
        protocols = self.capabilities.protocols
        said = rules if protocols is None else rules.of_protocols(*sorted(protocols))
        if self.capabilities.all_protocols:
            said = said | rules.where(rules.everything_from())
        for rule in rules - said:
            self.refuse(
                RuleSet.of((rule,)),
                "unexpressible",
                f"this provider has no rules for {rule.protocol}",
                origin,
            )
        if not self.capabilities.icmp_types:
            types = RuleSet.of(rule for rule in said.of_protocols("icmp", "icmpv6") if rule.ports)
            self.refuse(
                types, "unexpressible", "this provider cannot let in single ICMP types", origin
            )
            said = said - types
        return said


def _sensitive_in(rule: Rule) -> list[int]:
    numbers = SENSITIVE.get(rule.protocol, frozenset())
    if rule.protocol == "all":
        numbers = SENSITIVE["tcp"]
    elif not rule.has_ports:
        return []
    return sorted(n for n in numbers if rule.protocol == "all" or rule.first <= n <= rule.last)


def _joined(numbers: list[int]) -> str:
    shown = ", ".join(str(n) for n in numbers[:5])
    return shown if len(numbers) <= 5 else f"{shown} and {len(numbers) - 5} more"
