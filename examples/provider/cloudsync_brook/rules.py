"""Brook's rules and ours. ICMP is one protocol for both address families."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cloudsync.provider.answers import printable
from cloudsync.provider.errors import Unsupported
from cloudsync.provider.first_match import Effective, Ordered, first_match
from cloudsync.provider.flat_list import Entry, Grammar, meaning
from cloudsync.rules import RuleSet
from cloudsync_brook.answers import Addresses, Rule

MAX_LABEL = 100
GRAMMAR = Grammar(
    "Brook", ("tcp", "udp", "ipip", "icmp", "icmpv6"), networks=255, pieces=15, rules=25
)
_OURS = {"IPENCAP": "ipip"}
_THEIRS = {"ipip": "IPENCAP"}
OUTBOUND_POLICY = "ACCEPT"
"""Of a new firewall: cloudsync decides about what comes in, and nothing else."""


def matches(rule: Rule) -> RuleSet:
    """What a rule is about; named lists are no networks. Raises `Unsupported`."""
    protocol = _OURS.get(rule.protocol, rule.protocol.lower())
    if rule.action not in ("ACCEPT", "DROP"):
        raise Unsupported(f"a rule with the action {printable(rule.action)[:20]!r}")
    return meaning(protocol, rule.ports or "", rule.networks, GRAMMAR)


def effective(rules: Sequence[Rule]) -> Effective:
    """What the rules let in together, the default policy apart."""
    return first_match(Ordered(matches(rule), rule.action == "ACCEPT") for rule in rules)


def written(
    entries: Sequence[Entry], there: Sequence[Rule], keys: Sequence[str]
) -> tuple[Rule, ...]:
    """The inbound rules to have: what is not ours to change at its place, what stays or is
    rewritten at its own, and what is new behind. `keys`: of the rules that are ours to change."""
    lasting = {entry.before.key: entry for entry in entries if entry.before is not None}
    of_ours = iter(keys)
    rules: list[Rule] = []
    for rule in there:
        if not rule.is_ours_to_change:
            rules.append(rule)
        elif (entry := lasting.get(next(of_ours))) is not None:
            rules.append(_written(entry, rule))
    return (*rules, *(_written(entry, None) for entry in entries if entry.before is None))


def _written(entry: Entry, before: Rule | None) -> Rule:
    label = printable(entry.description)[:MAX_LABEL]
    if before is not None and entry.lets_in_what_it_did:
        return before.model_copy(update={"label": label})
    return Rule(
        action="ACCEPT",
        protocol=_THEIRS.get(entry.protocol, entry.protocol.upper()),
        ports=entry.ports or None,
        addresses=Addresses(
            ipv4=tuple(network for network in entry.networks if ":" not in network),
            ipv6=tuple(network for network in entry.networks if ":" in network),
        ),
        label=label,
    )


def body(rules: Sequence[Rule]) -> list[Mapping[str, object]]:
    """Rules as the API takes them."""
    return [rule.as_it_was() for rule in rules]


def denied_of(rules: Sequence[Rule], wanted: RuleSet) -> str | None:
    """The first denial that keeps out something that is wanted, for people; None if none does."""
    if not effective(rules).denied & wanted:
        return None
    denials = (rule for rule in rules if rule.action == "DROP")
    return next((rule.title for rule in denials if matches(rule) & wanted), None)
