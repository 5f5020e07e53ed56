"""What becomes of each VPC rule of a firewall, and which rules are written new.

A rule that fits stays as it is. Existing rules and wishes are matched by what they share:

| an existing rule                                | a wish                   | then                |
|-------------------------------------------------|--------------------------|---------------------|
| has a generated name and the same sources       | any ports                | it is extended      |
| has a generated name, all of it is in the wish  | same ports, more sources | it becomes the wish |
| loses something, and all that stays of it is in | shares something with it | it becomes the wish |
| the wish                                        |                          |                     |
| anything else                                   |                          | a new rule          |

What is left of a rule that loses something is one VPC rule again (ports x sources); other parts of
it are wishes. Sources that are tags or service accounts stay in their rule, with its ports. A rule
does not go for what another lets in if denials of others stop that there, by their priorities, and
not here.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cache, partial
from itertools import chain

from cloudsync.provider.contract import Target
from cloudsync.provider.selectors import by_family
from cloudsync.rules import NOTHING, RuleSet
from cloudsync.rules.frozen import dataclass
from cloudsync.rules.networks import ANY4, ANY6, NetworkSet
from cloudsync_gcp import provider
from cloudsync_gcp.names import is_for_everybody
from cloudsync_gcp.native import Firewall, Owned
from cloudsync_gcp.vpc_rules import VpcRule
from cloudsync_gcp.wishes import Wish, asked_rules, in_vpc_rules, wishes


@dataclass(frozen=True, slots=True)
class Fate:
    """One existing rule: what it is, and what of it stays."""

    owned: Owned
    content: RuleSet
    """What it lets in once it is put right."""
    stays: RuleSet
    """What of that stays in this rule, as one VPC rule."""
    gain: Wish | None = None
    """The wish that it comes to express."""
    priority: int = 0
    """Of the rule once it is put right."""
    redundant: bool = False
    """Whether it goes although all of it stays open, by other rules."""

    @property
    def rule(self) -> VpcRule:
        """The rule as Google answered it."""
        return self.owned.rule

    @property
    def loses(self) -> bool:
        """Whether something of it closes or moves to another rule."""
        return self.stays != self.content or self.redundant

    @property
    def after(self) -> RuleSet:
        """What the rule lets in after the plan."""
        if self.redundant:
            return NOTHING
        return self.stays if self.gain is None else self.stays | self.gain.allowed


@dataclass(frozen=True, slots=True)
class Match:
    """The fates of all rules that let something in, and the rules to write new."""

    fates: tuple[Fate, ...]
    new: tuple[Wish, ...]


def match(firewall: Firewall, target: Target, lasting: Collection[str] = ()) -> Match:
    """Decide over every allow rule and every rule asked for. `lasting`: names of rules that do not
    go because others let in the same."""
    contents = [(owned, _content(owned, target)) for owned in firewall.allowances]
    whole = [
        (_priority(owned, target), lets_in)
        for owned, lets_in in contents
        if target.rules.covers(lets_in)
    ]
    intact = cache(partial(_open_to, firewall=firewall, others=whole))
    fates = [_fate(owned, content, intact, target) for owned, content in contents]
    covered = RuleSet.union(fate.stays for fate in fates)
    new: list[Wish] = []
    for wish in wishes(target, covered):
        place = _place(wish, fates, firewall, target)
        if place is None:
            new.append(wish)
        else:
            fates[place] = replace(fates[place], gain=wish)
    candidates = frozenset(fate.owned.name for fate in fates).difference(lasting)
    settled = tuple(_without_redundant(fates, new, firewall, target, candidates))
    return Match(settled, (*new, *_taking_over(settled, new, firewall, target)))


def _priority(owned: Owned, target: Target) -> int:
    settings, priority = provider.settings_of(target.spec), owned.rule.priority
    behind = target.reapply and settings.is_behind_denials(priority)
    return settings.new_priority if behind else priority


def _open_to(priority: int, firewall: Firewall, others: Iterable[tuple[int, RuleSet]]) -> RuleSet:
    """What others, each with its priority, let in of what a rule of `priority` can let in."""
    if not firewall.foreign_denials:
        return RuleSet.union(lets_in for _, lets_in in others)
    return RuleSet.union(lets_in - firewall.stopped(each, priority) for each, lets_in in others)


def _content(owned: Owned, target: Target) -> RuleSet:
    return owned.rule.matches if owned.wrong and target.reapply else owned.effect


def _fate(owned: Owned, content: RuleSet, intact: Callable[[int], RuleSet], target: Target) -> Fate:
    """`intact`: by priority, what rules that lose nothing let in; nothing is to be left of one that
    does only to repeat it."""
    stays, priority = content & target.rules, _priority(owned, target)
    if stays == content:
        return Fate(owned, content, stays, priority=priority)
    if not owned.rule.other_sources:
        stays = stays - intact(priority)
    return Fate(owned, content, _one_rule(owned.rule, stays, owned), priority=priority)


def _one_rule(rule: VpcRule, stays: RuleSet, owned: Owned) -> RuleSet:
    """The part of `stays` that is ports x sources and is left to the rule."""
    parts = {
        sources: RuleSet.of(allowed for allowed in stays if allowed.sources == sources)
        for sources in dict.fromkeys(allowed.sources for allowed in stays)
    }
    if rule.other_sources:
        # Its tags and accounts keep all its ports, so that only sources may go.
        parts = {s: ports for s, ports in parts.items() if ports == rule.matches.where(s)}
    if rule.sources in parts:
        return parts[rule.sources]
    if not parts or (owned.generated and is_for_everybody(rule.name)):
        return NOTHING
    return parts[max(parts, key=lambda sources: (len(parts[sources].regions), sources.cidrs()))]


def _place(wish: Wish, fates: Sequence[Fate], firewall: Firewall, target: Target) -> int | None:
    """The number of the rule that comes to express a wish, if one can: one that is extended before
    one that becomes it."""
    free = [
        (number, fate)
        for number, fate in enumerate(fates)
        if fate.gain is None
        and (target.reapply or not fate.owned.wrong)
        and _right_priority(fate.rule, wish, firewall, target)
    ]
    extended = (number for number, fate in free if _extends(fate, wish))
    becoming = (number for number, fate in free if _becomes(fate, wish, target))
    return next(chain(extended, becoming), None)


def _right_priority(rule: VpcRule, wish: Wish, firewall: Firewall, target: Target) -> bool:
    """Whether a rule with its priority does for the wish what a new one would do."""
    settings = provider.settings_of(target.spec)
    if rule.priority == settings.new_priority:
        return True
    if settings.priority is not None:
        return False
    first = min(rule.priority, settings.new_priority)
    between = (denial for denial in firewall.foreign_denials if denial.priority > first)
    return not any(denial.matches & wish.allowed for denial in between)


def _extends(fate: Fate, wish: Wish) -> bool:
    return (
        fate.owned.generated
        and not fate.rule.other_sources
        and fate.rule.sources == wish.sources
        and all(stay.sources == wish.sources for stay in fate.stays)
    )


def _becomes(fate: Fate, wish: Wish, target: Target) -> bool:
    rule = fate.rule
    if not (wish.allowed & fate.content and _may_have(fate, wish)):
        return False
    if not fate.loses and (not fate.owned.generated or rule.other_sources):
        return False
    shared = wish.sources & rule.sources
    same_ports = wish.allowed.where(shared) == rule.matches.where(shared)
    if not same_ports and (rule.other_sources or not fate.loses):
        return False
    return wish.allowed.covers(fate.content & target.rules)


def _may_have(fate: Fate, wish: Wish) -> bool:
    """Whether its name still says the truth."""
    everybody = fate.owned.generated and is_for_everybody(fate.rule.name)
    return not everybody or wish.sources in (ANY4, ANY6)


def _without_redundant(
    fates: Sequence[Fate],
    new: Iterable[Wish],
    firewall: Firewall,
    target: Target,
    candidates: Collection[str],
) -> Iterator[Fate]:
    """A rule of ours that was not asked for goes if others let in the same."""
    asked = {rule.sources for rule in asked_rules(target)}
    elsewhere = [(wish.priority, wish.allowed) for wish in new]
    for number, fate in enumerate(fates):
        others = (*elsewhere, *((other.priority, other.after) for other in fates[number + 1 :]))
        if (
            fate.owned.name in candidates
            and _unasked(fate, asked, target)
            and _open_to(fate.priority, firewall, others).covers(fate.stays)
        ):
            yield replace(fate, redundant=True)
        else:
            elsewhere.append((fate.priority, fate.after))
            yield fate


def _taking_over(
    fates: Sequence[Fate], new: Iterable[Wish], firewall: Firewall, target: Target
) -> Iterator[Wish]:
    """What moves out of a rule, and denials of others would stop at the priorities of all rules
    that let it in: it keeps its priority, in a rule of its own."""
    if not firewall.foreign_denials:
        return
    elsewhere = [(fate.priority, fate.after) for fate in fates]
    elsewhere += ((wish.priority, wish.allowed) for wish in new)
    for fate in fates:
        priority, moves = fate.rule.priority, (fate.owned.effect & target.rules) - fate.after
        if lost := moves and moves - _open_to(priority, firewall, elsewhere):
            taking_over = in_vpc_rules(
                (piece for rule in lost for piece in by_family(rule)), priority
            )
            elsewhere += ((wish.priority, wish.allowed) for wish in taking_over)
            yield from taking_over


def _unasked(fate: Fate, asked: Collection[NetworkSet], target: Target) -> bool:
    if not fate.owned.generated or not fate.stays or fate.gain or fate.rule.other_sources:
        return False
    if fate.owned.wrong:
        return target.reapply
    return bool(asked) and not any(stay.sources in asked for stay in fate.stays)
