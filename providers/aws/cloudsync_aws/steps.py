"""From a group as it is to the group as it should be, in calls that fit into its quota. Pure.

`cloudsync.provider.quota` has the order of the calls. If none fits, the whole group is written with
fewer rules, shown rule by rule; if even those are too many, it is refused with the numbers.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from cloudsync.provider.contract import Present, Target, Touched
from cloudsync.provider.quota import Call, Difference, add_then_remove, letting_in, within_quota
from cloudsync.provider.spelling import Spelling, spell
from cloudsync.rules import NOTHING, RuleSet
from cloudsync_aws.native import FAMILIES, Found
from cloudsync_aws.permissions import (
    Permission,
    listed_permissions,
    permissions_of,
    plain,
    to_vendor,
)


def calls(
    group: Found, observed: Present | None, target: Target
) -> tuple[Call[Permission], ...] | str:
    """The calls in order; or why they do not fit. `observed`: None for a group that does not
    exist."""
    before = observed.rules if observed is not None else NOTHING
    change = _difference(group, spell(observed.vendor_rules if observed else (), target), target)
    ordered = within_quota(group.permissions, before, target, change, group.has_room)
    if ordered is not None:
        return ordered
    compact = _compact(group, target, change.adding)
    if group.has_room(compact.adding):
        return add_then_remove(before, target, compact)
    return _over_quota(group, change)


def _difference(group: Found, spelling: Spelling, target: Target) -> Difference[Permission]:
    """What to add and what to take away: what is there and fits stays, what is asked for is added
    as it was asked for."""
    leaving = {rule.key for rule in (*spelling.going, *spelling.redundant)}
    staying = {
        permission.identity for permission in group.permissions if permission.key not in leaving
    }
    if target.asked:
        adding = _asked(group, spelling, staying)
    else:
        rules = RuleSet.of(written.rule for written in spelling.writing)
        adding = _described(to_vendor(rules, target.rules), target)
    removing = (permission for permission in group.permissions if permission.key in leaving)
    return Difference(adding, tuple(removing), spelling.touches())


def _asked(
    group: Found, spelling: Spelling, staying: set[tuple[object, ...]]
) -> tuple[Permission, ...]:
    """What is written, as it was asked for. `staying`: identities of the permissions that stay."""
    adding: dict[Permission, Permission] = {}
    for written in spelling.writing:
        if written.list_id:
            weight = group.weights.get(written.list_id, 1)
            permissions = listed_permissions(written.rule, written.list_id, weight)
        else:
            permissions = permissions_of((written.rule,))
        for permission in permissions:
            if permission.identity not in staying:
                described = replace(permission, description=plain(written.description))
                adding.setdefault(permission, described)
    return tuple(sorted(adding.values(), key=lambda permission: permission.family))


def _described(permissions: Iterable[Permission], target: Target) -> tuple[Permission, ...]:
    """Each with the description that the target has for it."""
    return tuple(
        replace(permission, description=plain(target.describe(permission.rule)))
        for permission in permissions
        if permission.rule is not None
    )


def _compact(group: Found, target: Target, adding: Sequence[Permission]) -> Difference[Permission]:
    """The whole group in as few rules as there can be; what is not part of that goes, whoever made
    it. A prefix list is never spelled out."""
    lists = tuple(
        permission
        for permission in (*group.permissions, *adding)
        if permission.prefix_list and target.rules.covers(permission.lets_in)
    )
    rest = _described(to_vendor(target.rules - letting_in(lists), target.rules), target)
    asked = {permission: permission for permission in adding}
    fewest = {
        permission.identity: asked.get(permission, permission) for permission in (*lists, *rest)
    }
    there = {permission.identity for permission in group.permissions}
    removing = tuple(
        permission
        for permission in group.permissions
        if permission.rule is not None and permission.identity not in fewest
    )
    reason = "there is no room for it: rules with fewer networks say the same"
    return Difference(
        tuple(permission for identity, permission in fewest.items() if identity not in there),
        removing,
        tuple(Touched(str(gone.rule), "deletes", reason, gone.key) for gone in removing),
    )


def _over_quota(group: Found, change: Difference[Permission]) -> str:
    """The numbers, by family, and what would fit."""
    problems = []
    for family in FAMILIES:
        if not group.over(family, change.adding):
            continue
        now, more = group.used(family), sum(rule.costs(family) for rule in change.adding)
        left = now + more - sum(rule.costs(family) for rule in change.removing)
        problems.append(
            f"IPv{family}: {now} rules are there and {more} are to be added, AWS allows "
            f"{group.quota} a group"
            + (
                f", and {left} would be left after all closings: {left - group.quota} too many"
                if left > group.quota
                else f". After the closings it would be {left}, which fits; but no rule can be "
                "taken away before what it lets in is open by another"
            )
        )
    return (
        f"{'; '.join(problems)}. Each network of each port is a rule. What helps: a second security"
        " group on the same instances, as another firewall here, with some containers labelled"
        " cloudsync.firewall (5 groups an interface, up to 16); one port behind a reverse proxy;"
        " consecutive ports, which are one rule; fewer networks; or a higher quota, which is"
        " rules_per_group (rules times groups an interface at most 1000)"
    )
