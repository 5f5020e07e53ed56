"""What becomes of each VPC rule of a firewall, and which rules are written new.

The kit's `spell` says which rules stay, which lose something and what is to be written. As much of
that as can be is put into rules that are there:

| an existing rule                              | what is written               | then             |
|-----------------------------------------------|-------------------------------|------------------|
| loses something                               | has ports of it, from some of | it lets in these |
|                                               | its sources                   | ports from there |
| has a generated name                          | has the same sources          | it gains ports   |
| has a generated name, all of it was asked for | has the same ports            | it gains sources |
| from more sources                             |                               |                  |
| anything else                                 |                               | a new rule       |

Sources that are tags or service accounts stay in their rule, with its ports.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
from cloudsync_gcp.wishes import MAX_RANGES, Wish, wishes


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
    fates, missing = _spelled(firewall, target)
    for number, fate in enumerate(fates):
        if fate.loses and (parts := _parts(fate, missing, firewall, target)):
            wish, part = max(parts, key=lambda each: _preference(fate.rule, each[1]))
            fates[number] = replace(fate, after=part)
            if sources_of(part) == wish.sources:
                missing[wish.sources] = replace(wish, allowed=wish.allowed - part)
    new: list[Wish] = []
    for wish in (wish for wish in missing.values() if wish.allowed):
        place = _place(wish, fates, firewall, target)
        if place is None:
            new.append(wish)
        else:
            after = fates[place].after | wish.allowed
            fates[place] = replace(fates[place], after=after, redundant=False)
    going = (replace(fate, after=NOTHING) if fate.redundant else fate for fate in fates)
    return Match(tuple(going), tuple(new))


def _spelled(firewall: Firewall, target: Target) -> tuple[list[Fate], dict[NetworkSet, Wish]]:
    """The rules, those that lose something without anything, and by its sources what is to be
    written besides the others."""
    contents = [(owned, _content(owned, target)) for owned in firewall.allowances]
    right = RuleSet.union(owned.effect for owned, _ in contents if not owned.wrong) & target.rules
    twice = {
        owned.name
        for owned, content in contents
        if owned.wrong and _may_go(owned, target) and right.covers(content)
    }
    objects = (
        VendorRule(owned.name, content, ours=_may_go(owned, target))
        for owned, content in contents
        if owned.name not in twice
    )
    spelling = spell(tuple(objects), target, by_sources=True)
    going = {rule.key for rule in spelling.going}
    redundant = twice.union(rule.key for rule in spelling.redundant)
    fates = [
        Fate(owned, content, NOTHING if owned.name in going else content, owned.name in redundant)
        for owned, content in contents
    ]
    writing = wishes(tuple(with_everything(spelling, target)))
    return fates, {wish.sources: wish for wish in writing}


def _content(owned: Owned, target: Target) -> RuleSet:
    return owned.rule.matches if owned.wrong and target.reapply else owned.effect


def _may_go(owned: Owned, target: Target) -> bool:
    """Whether it goes if others let in the same."""
    right = target.reapply or not owned.wrong
    return owned.generated and not owned.rule.other_sources and right


def _parts(
    fate: Fate, missing: Mapping[NetworkSet, Wish], firewall: Firewall, target: Target
) -> list[tuple[Wish, RuleSet]]:
    """What a rule that loses something may go on to let in, as one VPC rule: the wishes that it
    could do a part of, and that part."""
    parts, everything = [], fate.rule.reaches
    for wish in missing.values():
        if not wish.sources.overlaps(fate.rule.sources):
            continue
        part = wish.allowed & everything
        if not _may_gain(part - fate.content, fate.owned, firewall, target):
            part = part & fate.content
        # Its tags and accounts keep all its ports, so that only sources may go.
        whole = part == everything.where(sources_of(part))
        if (
            part & fate.content
            and (whole or not fate.rule.other_sources)
            and _may_be_for(sources_of(part), fate.owned)
        ):
            parts.append((wish, part))
    return parts


def _preference(rule: VpcRule, part: RuleSet) -> tuple[object, ...]:
    return sources_of(part) == rule.sources, len(tuple(part)), sources_of(part).cidrs()


def _place(wish: Wish, fates: Sequence[Fate], firewall: Firewall, target: Target) -> int | None:
    """The number of the rule that comes to let it in too, if one can: one that gains ports before
    one that gains sources."""
    free = [
        (number, fate)
        for number, fate in enumerate(fates)
        if fate.owned.generated
        and not fate.rule.other_sources
        and _may_gain(wish.allowed, fate.owned, firewall, target)
    ]
    ports = (
        number
        for number, fate in free
        if (sources_of(fate.after) or fate.rule.sources) == wish.sources
    )
    sources = (number for number, fate in free if _is_part_of(fate, wish))
    return next(chain(ports, sources), None)


def _is_part_of(fate: Fate, wish: Wish) -> bool:
    """Whether the wish is for the same ports from more sources."""
    if _ports(fate.after) != _ports(wish.allowed) or not wish.whole.covers(fate.after):
        return False
    both = sources_of(fate.after) | wish.sources
    one_rule = not (both.v4 and both.v6) and len(both.written()) <= MAX_RANGES
    return one_rule and _may_be_for(both, fate.owned)


def _ports(rules: RuleSet) -> set[tuple[str, int, int]]:
    return {(rule.protocol, rule.first, rule.last) for rule in rules}


def _may_be_for(sources: NetworkSet, owned: Owned) -> bool:
    """Whether its name still says the truth."""
    everybody = owned.generated and is_for_everybody(owned.name)
    return not everybody or sources in (ANY4, ANY6)


def _may_gain(gain: RuleSet, owned: Owned, firewall: Firewall, target: Target) -> bool:
    """Whether the rule, with its priority, does for this what a new one would do."""
    if not gain:
        return True
    if owned.wrong and not target.reapply:
        return False
    settings, priority = provider.settings_of(target.spec), owned.rule.priority
    if settings.priority is not None or priority == settings.new_priority:
        return priority == settings.new_priority
    passed = (denial for denial in firewall.foreign_denials if denial.priority > priority)
    return not any(denial.matches & gain for denial in passed)
