"""From a group as it is to the group as it should be, in calls that fit into its quota. Pure.

| there is room                         | then                                                     |
|---------------------------------------|----------------------------------------------------------|
| for all that is to be added           | it is added, then what goes is taken away                |
| once what nothing needs is taken away | SSH is added, that goes, the rest follows         |
| in a spelling with fewer rules        | that is added, all other rules go, shown rule by rule    |
| for none of these                     | refused, with the numbers                                |
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from cloudsync.provider.contract import Present, StepKind, Target, Touched
from cloudsync.provider.spelling import Spelling, spell
from cloudsync.rules import NOTHING, RuleSet
from cloudsync_aws.native import Found
from cloudsync_aws.permissions import Family, Permission, permissions_of, to_vendor

FAMILIES: tuple[Family, ...] = (4, 6)


@dataclass(frozen=True, slots=True)
class Call:
    """One call: permissions to add (`widen`) or to take away (`narrow`), and what holds then."""

    kind: StepKind
    permissions: tuple[Permission, ...]
    after: RuleSet
    texts: Mapping[Permission, str]
    """What the descriptions of permissions to add say."""
    touches: tuple[Touched, ...] = ()


@dataclass(frozen=True, slots=True)
class Difference:
    """What a spelling means in permissions."""

    adding: tuple[Permission, ...]
    removing: tuple[Permission, ...]
    texts: Mapping[Permission, str]
    """What the descriptions of `adding` say."""
    touches: tuple[Touched, ...] = ()


def difference(found: Found, observed: Present | None, target: Target) -> Difference:
    """What to add and what to take away: what is there and fits stays, what is asked for is added
    as it was asked for."""
    spelling = spell(observed.vendor_rules if observed is not None else (), target)
    leaving = {rule.key for rule in (*spelling.going, *spelling.redundant)}
    staying = {one.identity for one in found.permissions if one.key not in leaving}
    adding, texts = _added(spelling, target, staying)
    return Difference(
        adding,
        tuple(one for one in found.permissions if one.key in leaving),
        texts,
        spelling.touches(),
    )


def calls(
    found: Found, before: RuleSet, target: Target, change: Difference
) -> tuple[Call, ...] | str:
    """The calls in order; or why they do not fit."""
    if not crowded(found, change.adding):
        return _add_then_remove(before, target, change)
    if (freeing := _make_room(found, before, target, change)) is not None:
        return freeing
    compact = _compact(found, target)
    if not crowded(found, compact.adding):
        return _add_then_remove(before, target, compact)
    return _over_quota(found, change)


def _added(
    spelling: Spelling, target: Target, staying: set[tuple[object, ...]]
) -> tuple[tuple[Permission, ...], dict[Permission, str]]:
    if not target.asked:
        rules = RuleSet.of(written.rule for written in spelling.writing)
        adding = to_vendor(rules, target.rules)
        return adding, {one: target.describe(one.rule) for one in adding if one.rule is not None}
    texts: dict[Permission, str] = {}
    for written in spelling.writing:
        for one in permissions_of((written.rule,)):
            if one.identity not in staying:
                texts.setdefault(one, written.description)
    return tuple(sorted(texts, key=lambda one: one.family)), texts


def _add_then_remove(before: RuleSet, target: Target, change: Difference) -> tuple[Call, ...]:
    adding = Call(StepKind.WIDEN, change.adding, before | target.rules, change.texts)
    removing = Call(StepKind.NARROW, change.removing, target.rules, {}, change.touches)
    return tuple(call for call in (adding, removing) if call.permissions)


def _make_room(
    found: Found, before: RuleSet, target: Target, change: Difference
) -> tuple[Call, ...] | None:
    """Take away first what nothing needs (law 3: nothing of what stays wanted closes by it), once
    SSH is open (law 2). None if that makes no room."""
    ssh = tuple(one for one in change.adding if _meaning((one,)) & target.ssh)
    others = tuple(one for one in change.adding if one not in ssh)
    leaving = set(change.removing)
    stays = _meaning((*(one for one in found.permissions if one not in leaving), *ssh))
    free = tuple(one for one in change.removing if stays.covers(_meaning((one,)) & target.rules))
    late = tuple(one for one in change.removing if one not in free)
    opened = before | _meaning(ssh)
    if not free or not opened.covers(target.ssh) or crowded(found, ssh):
        return None
    if any(
        _now(found, family) + _of((*ssh, *others), family) - _of(free, family) > found.quota
        for family in FAMILIES
        if _of(others, family)
    ):
        return None
    narrowed = stays | _meaning(late)
    steps = (
        Call(StepKind.WIDEN, ssh, opened, change.texts),
        Call(StepKind.NARROW, free, narrowed, {}, _touching(free, change.touches)),
        Call(StepKind.WIDEN, others, narrowed | _meaning(others), change.texts),
        Call(StepKind.NARROW, late, target.rules, {}, _touching(late, change.touches)),
    )
    return tuple(step for step in steps if step.permissions)


def _compact(found: Found, target: Target) -> Difference:
    """The whole group in as few rules as there can be; what is not part of that goes, whoever made
    it."""
    fewest = {one.identity: one for one in to_vendor(target.rules, target.rules)}
    there = {one.identity for one in found.permissions}
    adding = tuple(one for identity, one in fewest.items() if identity not in there)
    removing = tuple(
        one for one in found.permissions if one.rule is not None and one.identity not in fewest
    )
    touches = tuple(
        Touched(
            str(one.rule),
            "deletes",
            "there is no room for it: rules with fewer networks say the same",
            one.key,
        )
        for one in removing
    )
    texts = {one: target.describe(one.rule) for one in adding if one.rule is not None}
    return Difference(adding, removing, texts, touches)


def crowded(found: Found, adding: Sequence[Permission]) -> tuple[Family, ...]:
    """The families in which what is there and what is added together pass the quota."""
    return tuple(
        family
        for family in FAMILIES
        if _of(adding, family) and _now(found, family) + _of(adding, family) > found.quota
    )


def _over_quota(found: Found, change: Difference) -> str:
    """The numbers, by family, and what would fit."""
    problems = []
    for family in crowded(found, change.adding):
        now, more = _now(found, family), _of(change.adding, family)
        left = now + more - _of(change.removing, family)
        problems.append(
            f"IPv{family}: {now} rules are there and {more} are to be added, AWS allows "
            f"{found.quota} a group, and {left} would be left after all closings: "
            f"{left - found.quota} too many"
            if left > found.quota
            else f"IPv{family}: {now} rules are there and {more} are to be added, AWS allows "
            f"{found.quota} a group. After the closings it would be {left}, which fits; but no "
            f"rule can be taken away before what it lets in is open by another"
        )
    return (
        f"{'; '.join(problems)}. Each network of each port is a rule. What helps: a second "
        f"security group on the same instances, as another firewall here, with some containers labelled "
        f"cloudsync.firewall (5 groups an interface, up to 16); one port behind a reverse proxy; "
        f"consecutive ports, which are one rule; fewer networks; or a higher quota, which is "
        f"rules_per_group (rules times groups an interface at most 1000)"
    )


def _touching(permissions: Iterable[Permission], touches: Iterable[Touched]) -> tuple[Touched, ...]:
    keys = {one.key for one in permissions}
    return tuple(one for one in touches if one.key in keys)


def _meaning(permissions: Iterable[Permission]) -> RuleSet:
    rules = [one.rule for one in permissions if one.rule is not None]
    return RuleSet.of(rules) if rules else NOTHING


def _now(found: Found, family: Family) -> int:
    return _of(found.permissions, family) + sum(other.weight for other in found.others)


def _of(permissions: Sequence[Permission], family: Family) -> int:
    return sum(one.family == family for one in permissions)
