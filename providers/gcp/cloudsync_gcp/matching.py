"""What becomes of each VPC rule of a firewall, and which rules are written new.

Of a rule that loses something there stays what is one VPC rule again (ports x sources). What is to
be written besides, and which rules of ours go because others let in the same, the kit's `spell`
says. As much of that as can be is put into rules that are there:

| an existing rule                                  | what is written          | then             |
|---------------------------------------------------|--------------------------|------------------|
| has a generated name                              | has the same sources     | it gains ports   |
| has a generated name, and all of it is in what is | anything                 | it becomes that  |
| written                                           |                          |                  |
| loses something, and the rest is in what is       | has the same ports       | it becomes that  |
| written                                           |                          |                  |
| anything else                                     |                          | a new rule       |

Sources that are tags or service accounts stay in their rule, with its ports.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import chain

from cloudsync.provider.contract import Target, VendorRule
from cloudsync.provider.everything import with_everything
from cloudsync.provider.spelling import spell
from cloudsync.rules import NOTHING, RuleSet
from cloudsync.rules.frozen import dataclass
from cloudsync.rules.networks import ANY4, ANY6, NetworkSet
from cloudsync_gcp import provider
from cloudsync_gcp.names import is_for_everybody
from cloudsync_gcp.native import Firewall, Owned
from cloudsync_gcp.vpc_rules import VpcRule, sources_of
from cloudsync_gcp.wishes import Wish, wishes


@dataclass(frozen=True, slots=True)
class Fate:
    """One existing rule: what it is, and what it comes to be."""

    owned: Owned
    content: RuleSet
    """What it lets in once it is put right."""
    after: RuleSet
    """What it lets in after the plan."""
    redundant: bool = False
    """Whether all of it stays open by other rules."""

    @property
    def rule(self) -> VpcRule:
        """The rule as Google answered it."""
        return self.owned.rule

    @property
    def loses(self) -> bool:
        """Whether something of it closes or moves to another rule."""
        return not self.after.covers(self.content)


@dataclass(frozen=True, slots=True)
class Match:
    """The fates of all rules that let something in, and the rules to write new."""

    fates: tuple[Fate, ...]
    new: tuple[Wish, ...]


def match(firewall: Firewall, target: Target) -> Match:
    """Decide over every allow rule and every rule asked for."""
    fates = _staying(firewall, target)
    right = RuleSet.union(fate.after for fate in fates if not fate.owned.wrong)
    twice = {
        fate.owned.name
        for fate in fates
        if fate.owned.wrong and _may_go(fate.owned, target) and right.covers(fate.after)
    }
    objects = (
        VendorRule(fate.owned.name, fate.after, ours=_may_go(fate.owned, target))
        for fate in fates
        if fate.owned.name not in twice
    )
    spelling = spell(tuple(objects), target, by_sources=True)
    redundant = twice.union(rule.key for rule in spelling.redundant)
    fates = [replace(fate, redundant=fate.owned.name in redundant) for fate in fates]
    new: list[Wish] = []
    for wish in wishes(with_everything(spelling, target)):
        place = _place(wish, fates, firewall, target)
        if place is None:
            new.append(wish)
        else:
            after = fates[place].after | wish.allowed
            fates[place] = replace(fates[place], after=after, redundant=False)
    going = (replace(fate, after=NOTHING) if fate.redundant else fate for fate in fates)
    return Match(tuple(going), tuple(new))


def _staying(firewall: Firewall, target: Target) -> list[Fate]:
    """What stays of every rule in it."""
    contents = [(owned, _content(owned, target)) for owned in firewall.allowances]
    intact = RuleSet.union(lets_in for _, lets_in in contents if target.rules.covers(lets_in))
    return [
        Fate(owned, content, _what_stays(owned, content, intact, target))
        for owned, content in contents
    ]


def _content(owned: Owned, target: Target) -> RuleSet:
    return owned.rule.matches if owned.wrong and target.reapply else owned.effect


def _what_stays(owned: Owned, content: RuleSet, intact: RuleSet, target: Target) -> RuleSet:
    """`intact`: what rules that lose nothing let in; nothing is to be left of one that does only to
    repeat it."""
    rule, stays = owned.rule, content & target.rules
    if stays == content:
        return content
    if not rule.other_sources:
        stays = stays - intact
    parts = {
        sources: RuleSet.of(allowed for allowed in stays if allowed.sources == sources)
        for sources in dict.fromkeys(allowed.sources for allowed in stays)
    }
    if rule.other_sources:
        # Its tags and accounts keep all its ports, so that only sources may go.
        parts = {s: ports for s, ports in parts.items() if ports == rule.matches.where(s)}
    if rule.sources in parts:
        return parts[rule.sources]
    fitting = {s: ports for s, ports in parts.items() if _may_be_for(s, owned)}
    if not fitting:
        return NOTHING
    return fitting[max(fitting, key=lambda s: (len(tuple(fitting[s])), s.cidrs()))]


def _is_ours(owned: Owned) -> bool:
    """Whether cloudsync made it, and nobody put tags or service accounts into it."""
    return owned.generated and not owned.rule.other_sources


def _may_go(owned: Owned, target: Target) -> bool:
    """Whether the rule goes if others let in the same."""
    return _is_ours(owned) and (target.reapply or not owned.wrong)


def _place(wish: Wish, fates: Sequence[Fate], firewall: Firewall, target: Target) -> int | None:
    """The number of the rule that comes to let it in, if one can: one that gains ports before one
    that becomes it."""
    free = [
        (number, fate)
        for number, fate in enumerate(fates)
        if _may_gain(wish, fate.owned, firewall, target)
    ]
    ports = (number for number, fate in free if _gains_ports(fate, wish))
    becoming = (number for number, fate in free if _becomes(fate, wish))
    return next(chain(ports, becoming), None)


def _may_gain(wish: Wish, owned: Owned, firewall: Firewall, target: Target) -> bool:
    """Whether the rule, with its priority, does for the wish what a new one would do."""
    if owned.wrong and not target.reapply:
        return False
    settings, priority = provider.settings_of(target.spec), owned.rule.priority
    if settings.priority is not None or priority == settings.new_priority:
        return priority == settings.new_priority
    passed = (denial for denial in firewall.foreign_denials if denial.priority > priority)
    return not any(denial.matches & wish.allowed for denial in passed)


def _gains_ports(fate: Fate, wish: Wish) -> bool:
    sources = sources_of(fate.after) or fate.rule.sources
    return _is_ours(fate.owned) and sources == wish.sources


def _becomes(fate: Fate, wish: Wish) -> bool:
    """Whether all of it is in the wish; one of ours may gain ports too."""
    same_ports = fate.loses and _ports(fate.after) == _ports(wish.allowed)
    return (
        bool(fate.after)
        and (same_ports or _is_ours(fate.owned))
        and wish.allowed.covers(fate.after)
        and _may_be_for(wish.sources, fate.owned)
    )


def _ports(rules: RuleSet) -> set[tuple[str, int, int]]:
    return {(rule.protocol, rule.first, rule.last) for rule in rules}


def _may_be_for(sources: NetworkSet, owned: Owned) -> bool:
    """Whether its name still says the truth."""
    everybody = owned.generated and is_for_everybody(owned.name)
    return not everybody or sources in (ANY4, ANY6)
