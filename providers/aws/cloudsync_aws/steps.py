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

from cloudsync.frozen import dataclass
from cloudsync.provider.contract import Present, StepKind, Target, Touched
from cloudsync.provider.spelling import Spelling, Written, spell
from cloudsync.rules import NOTHING, RuleSet
from cloudsync_aws.native import Found
from cloudsync_aws.permissions import (
    Family,
    Permission,
    listed_permissions,
    permissions_of,
    to_vendor,
)

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


def difference(group: Found, observed: Present | None, target: Target) -> Difference:
    """What to add and what to take away: what is there and fits stays, what is asked for is added
    as it was asked for."""
    spelling = spell(observed.vendor_rules if observed is not None else (), target)
    leaving = {rule.key for rule in (*spelling.going, *spelling.redundant)}
    staying = {
        permission.identity for permission in group.permissions if permission.key not in leaving
    }
    adding, texts = _added(spelling, target, staying, group.weights)
    return Difference(
        adding,
        tuple(permission for permission in group.permissions if permission.key in leaving),
        texts,
        spelling.touches(),
    )


def calls(
    group: Found, before: RuleSet, target: Target, change: Difference
) -> tuple[Call, ...] | str:
    """The calls in order; or why they do not fit."""
    if not crowded(group, change.adding):
        return _add_then_remove(before, target, change)
    if (freeing := _make_room(group, before, target, change)) is not None:
        return freeing
    compact = _compact(group, target, change)
    if not crowded(group, compact.adding):
        return _add_then_remove(before, target, compact)
    return _over_quota(group, change)


def _added(
    spelling: Spelling,
    target: Target,
    staying: set[tuple[object, ...]],
    weights: Mapping[str, int],
) -> tuple[tuple[Permission, ...], dict[Permission, str]]:
    if not target.asked:
        rules = RuleSet.of(written.rule for written in spelling.writing)
        adding = to_vendor(rules, target.rules)
        return adding, {
            permission: target.describe(permission.rule)
            for permission in adding
            if permission.rule is not None
        }
    texts: dict[Permission, str] = {}
    for written in spelling.writing:
        for permission in _permissions(written, weights):
            if permission.identity not in staying:
                texts.setdefault(permission, written.description)
    return tuple(sorted(texts, key=lambda permission: permission.family)), texts


def _permissions(written: Written, weights: Mapping[str, int]) -> tuple[Permission, ...]:
    if written.list_id:
        weight = weights.get(written.list_id, 1)
        return listed_permissions(written.rule, written.list_id, weight)
    return permissions_of((written.rule,))


def _add_then_remove(before: RuleSet, target: Target, change: Difference) -> tuple[Call, ...]:
    adding = Call(StepKind.WIDEN, change.adding, before | target.rules, change.texts)
    removing = Call(StepKind.NARROW, change.removing, target.rules, {}, change.touches)
    return tuple(call for call in (adding, removing) if call.permissions)


def _make_room(
    group: Found, before: RuleSet, target: Target, change: Difference
) -> tuple[Call, ...] | None:
    """Take away first what nothing needs (law 3: nothing of what stays wanted closes by it), once
    SSH is open (law 2). None if that makes no room."""
    ssh = tuple(permission for permission in change.adding if _meaning((permission,)) & target.ssh)
    others = tuple(permission for permission in change.adding if permission not in ssh)
    leaving = set(change.removing)
    stays = _meaning(
        (*(permission for permission in group.permissions if permission not in leaving), *ssh)
    )
    free = tuple(
        permission
        for permission in change.removing
        if stays.covers(_meaning((permission,)) & target.rules)
    )
    late = tuple(permission for permission in change.removing if permission not in free)
    opened = before | _meaning(ssh)
    if not free or not opened.covers(target.ssh) or crowded(group, ssh):
        return None
    if any(
        _now(group, family) + _of((*ssh, *others), family) - _of(free, family) > group.quota
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


def _compact(group: Found, target: Target, change: Difference) -> Difference:
    """The whole group in as few rules as there can be; what is not part of that goes, whoever made
    it. A prefix list is never spelled out."""
    lists = tuple(
        permission
        for permission in (*group.permissions, *change.adding)
        if permission.prefix_list and target.rules.covers(_meaning((permission,)))
    )
    rest = target.rules - _meaning(lists)
    fewest = {
        permission.identity: permission for permission in (*lists, *to_vendor(rest, target.rules))
    }
    there = {permission.identity for permission in group.permissions}
    adding = tuple(permission for identity, permission in fewest.items() if identity not in there)
    removing = tuple(
        permission
        for permission in group.permissions
        if permission.rule is not None and permission.identity not in fewest
    )
    touches = tuple(
        Touched(
            str(permission.rule),
            "deletes",
            "there is no room for it: rules with fewer networks say the same",
            permission.key,
        )
        for permission in removing
    )
    texts = {
        permission: change.texts.get(permission) or target.describe(permission.rule)
        for permission in adding
        if permission.rule is not None
    }
    return Difference(adding, removing, texts, touches)


def crowded(group: Found, adding: Sequence[Permission]) -> tuple[Family, ...]:
    """The families in which what is there and what is added together pass the quota."""
    return tuple(
        family
        for family in FAMILIES
        if _of(adding, family) and _now(group, family) + _of(adding, family) > group.quota
    )


def _over_quota(group: Found, change: Difference) -> str:
    """The numbers, by family, and what would fit."""
    problems = []
    for family in crowded(group, change.adding):
        now, more = _now(group, family), _of(change.adding, family)
        left = now + more - _of(change.removing, family)
        problems.append(
            f"IPv{family}: {now} rules are there and {more} are to be added, AWS allows "
            f"{group.quota} a group, and {left} would be left after all closings: "
            f"{left - group.quota} too many"
            if left > group.quota
            else (
                f"IPv{family}: {now} rules are there and {more} are to be added, AWS allows "
                f"{group.quota} a group. After the closings it would be {left}, which fits; but no "
                "rule can be taken away before what it lets in is open by another"
            )
        )
    return (
        f"{'; '.join(problems)}. Each network of each port is a rule. What helps: a second security"
        " group on the same instances, as another firewall here, with some containers labelled"
        " cloudsync.firewall (5 groups an interface, up to 16); one port behind a reverse proxy;"
        " consecutive ports, which are one rule; fewer networks; or a higher quota, which is"
        " rules_per_group (rules times groups an interface at most 1000)"
    )


def _touching(permissions: Iterable[Permission], touches: Iterable[Touched]) -> tuple[Touched, ...]:
    keys = {named.key for named in permissions}
    return tuple(named for named in touches if named.key in keys)


def _meaning(permissions: Iterable[Permission]) -> RuleSet:
    rules = [permission.rule for permission in permissions if permission.rule is not None]
    return RuleSet.of(rules) if rules else NOTHING


def _now(group: Found, family: Family) -> int:
    return _of(group.permissions, family) + sum(other.weight for other in group.others)


def _of(permissions: Sequence[Permission], family: Family) -> int:
    return sum(permission.costs(family) for permission in permissions)
