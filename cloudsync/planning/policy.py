"""From required ports to the rule set one firewall should have, and every port that is refused with
the reason.

Pure: takes the configuration, what the provider can express and what the hosts said; touches
nothing.

| the port is                       | and it comes from        | then                              |
|-----------------------------------|--------------------------|-----------------------------------|
| denied by `policy.deny`           | anywhere but `[ssh]`     | refused                           |
| sensitive, asked for by the world | a container              | refused, unless `allow_sensitive` |
|                                   |                          | names the host port               |
| sensitive, asked for by the world | `hosts.X.ports`, `allow` | opened, with a warning            |
| bound to a private address        | a container              | opened if the provider maps it to |
|                                   |                          | a public address                  |
| bound to a link-local, shared one | a container              | refused                           |
| without a label                   | a container, `expose =   | refused                           |
|                                   | "labelled"`              |                                   |
| beyond what the vendor can        | anywhere                 | refused by name, never widened    |
| express                           |                          |                                   |
| anything else                     |                          | opened                            |

"The world" is judged over the union of all that the firewall is asked for, and as if labels of
images had said nothing: what an image takes away makes no room for others (decision 0003).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field
from types import MappingProxyType

from cloudsync.config.configuration import Configuration, Firewall, PortRange
from cloudsync.model.plan import Refused, merged
from cloudsync.model.ports import (
    Complete,
    Discovery,
    Failed,
    Malformed,
    Partial,
    Unpublished,
    port_rules,
)
from cloudsync.planning.configured_rules import ConfiguredRules, configured_rules
from cloudsync.planning.container_ports import Group, judge, matters, wishes
from cloudsync.planning.sensitive_ports import asked_by_the_world
from cloudsync.planning.unread_networks import NOTHING_UNREAD, Unread, never_read, unread_needs
from cloudsync.planning.verdicts import Bounds, Verdict, Wanted, refusals
from cloudsync.provider.contract import Capabilities
from cloudsync.rules import NOTHING, Rule, RuleSet
from cloudsync.rules.frozen import dataclass
from cloudsync.rules.networks import ANY, NetworkSet
from cloudsync.runtime.last_answers import LastAnswers

__all__ = [
    "SSH_REASON",
    "Desired",
    "Wanted",
    "desire",
    "listed_ports",
    "unassigned",
    "unknown_hosts",
]

SSH_REASON = "SSH, declared in [ssh]"


@dataclass(frozen=True, slots=True)
class Desired:
    """What one firewall should let in."""

    wanted: tuple[Wanted, ...]
    """Every reason for something to be open."""
    rules: RuleSet
    """All of it."""
    ssh: RuleSet
    """The part of `rules` that is SSH."""
    denied: RuleSet
    """Never open, whatever else is unknown."""
    doubtful: RuleSet | None
    """What containers with malformed labels may need, kept open if it is open; None: it is not
    known what they need."""
    refused: tuple[Refused, ...]
    """What was asked for and a bound forbids."""
    warnings: tuple[str, ...]
    """Sentences for people."""
    engines: Mapping[str, RuleSet] = field(default_factory=dict)
    """By host, the part of `rules` that an engine's containers need: what has grace once it is
    missed."""
    deliberate: RuleSet = NOTHING
    """What containers publish and the user closed on purpose, by a label or in the configuration:
    it has no grace. That a label is missing says nothing of the kind."""
    unlabelled: RuleSet = NOTHING
    """What containers publish without a label that asks for it, if `expose = "labelled"`."""
    expose: str = ""
    """As `policy.expose`."""
    unpublished: tuple[Unpublished, ...] = ()
    """The containers whose ports no engine can list."""
    unread: Unread = NOTHING_UNREAD
    """What hangs on networks that could not be read."""

    @property
    def unknown(self) -> RuleSet | None:
        """What may be needed although nothing readable asks for it: `doubtful` and `unread`; None:
        anything may be."""
        if self.doubtful is None or self.unread.rules is None:
            return None
        return self.doubtful | self.unread.rules


def listed_ports(ranges: Iterable[PortRange], sources: NetworkSet = ANY) -> RuleSet:
    """The rule set of a port list of the configuration, from everywhere unless told."""
    return RuleSet.of(Rule(r.protocol, r.first, r.last, sources) for r in ranges)


def desire(
    firewall: Firewall,
    configuration: Configuration,
    capabilities: Capabilities,
    discoveries: Mapping[str, Discovery],
    private: RuleSet = NOTHING,
    lists: Mapping[str, NetworkSet] = MappingProxyType({}),
) -> Desired:
    """What `firewall` should let in, by what its hosts said. A failed host adds nothing here;
    `holds` keeps what it may need.

    `private`: what the provider asks for because the firewall filters private networks too.
    `lists`: the networks of the vendor's lists of addresses, by id.
    """
    hosts = {host: discoveries[host] for host in firewall.hosts}
    question = _Question(firewall, configuration, capabilities, hosts, private, lists)
    return ANSWERED.of(firewall.name, question, _desire)


@dataclass(frozen=True, slots=True)
class _Question:
    """All that an answer of `desire` depends on."""

    firewall: Firewall
    configuration: Configuration
    capabilities: Capabilities
    hosts: Mapping[str, Discovery]
    private: RuleSet
    lists: Mapping[str, NetworkSet]


def _same(before: _Question, now: _Question) -> bool:
    """Whether nothing of the configuration was read anew, and the hosts said the same again: what
    they said is compared in full, the way they spelled networks too, which is how rules are
    written (law 4)."""
    return (
        before.firewall is now.firewall
        and all(
            getattr(before.configuration, each) is getattr(now.configuration, each)
            for each in _OF_THE_FILE
        )
        and before.capabilities == now.capabilities
        and before.private is now.private
        and not (before.lists or now.lists)
        and before.hosts == now.hosts
        and all(
            _spelling(discovery) == _spelling(now.hosts[host])
            for host, discovery in before.hosts.items()
        )
    )


_OF_THE_FILE = ("policy", "ssh", "networks", "unread", "hosts", "firewalls")
"""What `desire` looks at."""


def _spelling(discovery: Discovery) -> list[tuple[str, ...]]:
    if isinstance(discovery, Failed):
        return []
    ports = (*discovery.required, *discovery.narrowed, *discovery.shut)
    return [port.sources.spelled for port in ports]


ANSWERED: LastAnswers[_Question, Desired] = LastAnswers(4096, _same)
"""By firewall."""


def _desire(question: _Question) -> Desired:
    firewall, configuration = question.firewall, question.configuration
    capabilities, private = question.capabilities, question.private
    policy, ssh = configuration.policy, configuration.ssh.rules
    bounds = Bounds(listed_ports(policy.deny) - ssh, capabilities)
    read = [each for each in question.hosts.values() if not isinstance(each, Failed)]

    own = configured_rules(firewall, read, policy.icmp, bounds, question.lists)
    groups, closed = wishes(firewall.name, read, policy.expose, bounds)
    world = asked_by_the_world(_asked_for(own, groups))
    allowed = listed_ports(policy.allow_sensitive)
    opened = judge(groups, world, allowed, bounds, own.rules)

    verdict = Verdict.all(
        (
            _fixed(ssh, private, capabilities.private_setting),
            own.verdict(world),
            closed,
            opened,
            *(_listed(discovery, policy.expose) for discovery in read),
            Verdict(refused=tuple(never_read(firewall, configuration, read))),
        )
    )
    return Desired(
        wanted=verdict.wanted,
        rules=RuleSet.union(wanted.rules for wanted in verdict.wanted),
        ssh=ssh,
        denied=bounds.denied,
        doubtful=_doubtful(bad for discovery in read for bad in discovery.malformed),
        refused=merged(verdict.refused),
        warnings=tuple(dict.fromkeys(verdict.warnings)),
        engines=verdict.by_host(),
        # What labels of images take away is not the user's decision.
        deliberate=RuleSet.of(verdict.deliberate) - _narrowed(read),
        unlabelled=RuleSet.of(verdict.unlabelled),
        expose=policy.expose,
        unpublished=tuple(container for discovery in read for container in discovery.unpublished),
        unread=unread_needs(firewall, configuration, read),
    )


def _fixed(ssh: RuleSet, private: RuleSet, setting: str) -> Verdict:
    """What is open whatever the hosts say."""
    wanted = [Wanted(ssh, SSH_REASON, "ssh")]
    if private:
        reason = f"private networks, which this firewall filters too (its key `{setting}`)"
        wanted.append(Wanted(private, reason, "private networks"))
    return Verdict(wanted=tuple(wanted) if ssh else tuple(wanted[1:]))


def _asked_for(own: ConfiguredRules, groups: Sequence[Group]) -> Iterable[RuleSet]:
    """Of everything that is asked for what matters to be judged as a whole."""
    judged = matters(groups)
    return (own.rules, *(judged & group.asked for group in groups))


def _listed(discovery: Complete | Partial, expose: str) -> Verdict:
    """What the sources themselves know cannot be opened."""
    refused = []
    deliberate = [rule for port in discovery.shut if port.observed for rule in port_rules(port)]
    for port in discovery.unopened:
        if port.code == "labelled-out" and port.ports and not port.by_image:
            deliberate.append(Rule.of(port.protocol, port.ports, ANY))
        refused.append(
            Refused(port.protocol, port.ports, (), port.code, port.reason, (port.origin,))
        )
    for container in discovery.unpublished:
        if container.asks and expose == "labelled":
            reason = f"the label on it asks in vain: {container.reason}"
            refused.append(
                Refused("tcp", "", (), "unsupported-network", reason, (container.origin,))
            )
    for bad in discovery.malformed:
        for held in bad.ports or ():
            refused += refusals(port_rules(held), "malformed", bad.problem, bad.origin)
    return Verdict(refused=tuple(refused), deliberate=tuple(deliberate))


def _narrowed(read: Iterable[Complete | Partial]) -> RuleSet:
    return RuleSet.of(
        rule for discovery in read for port in discovery.narrowed for rule in port_rules(port)
    )


def _doubtful(malformed: Iterable[Malformed]) -> RuleSet | None:
    """What they publish, from anywhere; None if one of them may listen on any port."""
    rules = []
    for bad in malformed:
        if bad.ports is None:
            return None
        rules += [Rule(port.protocol, port.first, port.last, ANY) for port in bad.ports]
    return RuleSet.of(rules)


def unassigned(
    configuration: Configuration, discoveries: Mapping[str, Discovery]
) -> tuple[Refused, ...]:
    """The required ports of hosts that feed no firewall at all."""
    feeding = {host for firewall in configuration.firewalls.values() for host in firewall.hosts}
    return merged(
        refusal
        for host, discovery in discoveries.items()
        if host not in feeding and not isinstance(discovery, Failed)
        for port in discovery.required
        for refusal in refusals(
            port_rules(port), "unassigned", f"host {host} feeds no firewall", port.origin
        )
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
