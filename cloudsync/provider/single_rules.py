"""Rules that are objects of their own, with one protocol, one range and one source each: what is
added and what is removed, rule by rule. Pure.

For vendors that count, add and remove such rules one by one (AWS, OpenStack's Neutron). What is
there and fits stays, and what is asked for is added as it was asked for (`spelling.py`);
`quota.py` has the order of the calls.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from cloudsync.provider.contract import Target, Touched, VendorRule
from cloudsync.provider.everything import with_everything
from cloudsync.provider.selectors import by_family, single_networks, single_selectors
from cloudsync.provider.spelling import spell
from cloudsync.rules import Rule, RuleSet
from cloudsync.rules.frozen import dataclass
from cloudsync.rules.networks import Family, NetworkSet

FAMILIES: tuple[Family, ...] = (4, 6)
_IN_PARTS = ("tcp", "udp", "sctp", "dccp", "udplite", "icmp", "icmpv6")
"""The protocols that a rule may let in a part of, by ports or types."""


@dataclass(frozen=True, slots=True)
class SingleRule:
    """A rule to add."""

    meaning: Rule
    """One protocol or all of them, one of `single_selectors`, and one network or those of a
    list."""
    description: str = ""
    """What its description should say; it may be longer than the vendor's limit."""
    list_id: str = ""
    """The vendor's list of addresses that is its source; empty for a network."""

    @property
    def lets_in(self) -> RuleSet:
        """What it lets in by itself."""
        return RuleSet.of((self.meaning,))


@dataclass(frozen=True, slots=True)
class Difference:
    """What makes a firewall what it is to be."""

    adding: tuple[SingleRule, ...]
    removing: tuple[VendorRule, ...]
    touches: tuple[Touched, ...] = ()
    """For `removing`, as steps have to name them."""


def single_rules(
    rule: Rule, description: str = "", list_id: str = "", *, list_families: bool = False
) -> Iterator[SingleRule]:
    """A rule as the vendor has it: a rule for each of its networks, protocols and ICMP types; by a
    list of addresses one for all networks, or with `list_families` one for each address family."""
    if not list_id:
        sources = single_networks(rule)
    elif list_families:
        sources = by_family(rule)
    else:
        sources = iter((rule,))
    for single in sources:
        for piece in single_selectors(single):
            yield SingleRule(piece, description, list_id)


def difference(
    rules: Sequence[VendorRule], target: Target, *, list_families: bool = False
) -> Difference:
    """What is added to `rules`, each rule once, and what of them is removed. `list_families`: as
    `single_rules` has it."""
    spelling = spell(rules, target)
    needed = {
        (rule.list_id, rule.lets_in): rule
        for each in with_everything(spelling, target)
        for rule in single_rules(
            each.rule, each.description, each.list_id, list_families=list_families
        )
        if not _is_there_by_list(rule, spelling.staying)
    }
    # Of a range of protocols or ICMP types a part may be there: it stays.
    there = {
        (rule.list_id, rule.lets_in): rule.key for rule in (*spelling.staying, *spelling.redundant)
    }
    parts = {key for meaning, key in there.items() if meaning in needed}
    return Difference(
        tuple(rule for meaning, rule in needed.items() if meaning not in there),
        tuple(r for r in (*spelling.going, *spelling.redundant) if r.key not in parts),
        tuple(touched for touched in spelling.touches() if touched.key not in parts),
    )


def in_fewest(rules: Sequence[VendorRule], target: Target, change: Difference) -> Difference:
    """Another way to the same firewall, in as few rules as there can be: what is not part of that
    goes, whoever made it. A list of addresses is never spelled out. `change`: as `difference` has
    it; what it adds keeps its description."""
    listed = [rule for rule in rules if _is_by_list(rule, target)]
    adding = [rule for rule in change.adding if _is_by_list(rule, target)]
    missing = target.rules - letting_in((*listed, *adding))
    asked = {rule.lets_in: rule for rule in change.adding if not rule.list_id}
    there = {rule.lets_in for rule in rules if not rule.list_id}
    fewest: dict[RuleSet, SingleRule] = {}
    for rule in _fewest(missing, target.rules):
        for network in single_networks(rule):
            for single in single_rules(network, target.describe(network)):
                fewest[single.lets_in] = asked.get(single.lets_in, single)
    adding += (rule for lets_in, rule in fewest.items() if lets_in not in there)
    staying = {rule.key for rule in listed}
    removing = [
        rule
        for rule in rules
        if rule.lets_in and rule.key not in staying and rule.lets_in not in fewest
    ]
    reason = "there is no room for it: fewer rules say the same"
    known = {touched.key: touched for touched in change.touches}
    touches = (
        known.get(rule.key)
        or Touched(rule.label, "deletes", reason, rule.key, counts=not rule.ours)
        for rule in removing
    )
    return Difference(tuple(adding), tuple(removing), tuple(touches))


def letting_in(rules: Iterable[SingleRule | VendorRule]) -> RuleSet:
    """What rules let in together."""
    return RuleSet.union(rule.lets_in for rule in rules)


def _is_there_by_list(rule: SingleRule, staying: Sequence[VendorRule]) -> bool:
    """Whether it is by a list, and a rule by the same list lets it in: that of one of two families,
    say."""
    return bool(rule.list_id) and any(
        other.list_id == rule.list_id and other.lets_in.covers(rule.lets_in) for other in staying
    )


def _is_by_list(rule: SingleRule | VendorRule, target: Target) -> bool:
    return bool(rule.list_id) and target.rules.covers(rule.lets_in)


def _fewest(rules: RuleSet, target: RuleSet) -> Iterator[Rule]:
    """The fewest rules that mean `rules`, a part of `target`; they may overlap within it. Each is
    of one address family: most vendors count those apart."""
    everything = NetworkSet.union(rule.sources for rule in rules.where(target.everything_from()))
    whole = [Rule.of("all", "", everything)] if everything else []
    for family in FAMILIES:
        rest = RuleSet.of(
            replace(rule, sources=rule.sources.family(family))
            for rule in rules.apart_from_everything(everything)
        )
        in_parts = rest.of_protocols(*_IN_PARTS)
        for protocol in _IN_PARTS:
            yield from in_parts.of_protocols(protocol).fewest()
        yield from rest - in_parts
        yield from (replace(rule, sources=rule.sources.family(family)) for rule in whole)
