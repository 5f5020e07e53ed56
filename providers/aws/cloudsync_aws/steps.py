"""From a group as it is to the group as it should be, in calls that fit into its quota. Pure.

`cloudsync.provider.quota` has the order of the calls. If none fits, the whole group is written with
fewer rules, shown rule by rule; if even those are too many, it is refused with the numbers.
"""

from __future__ import annotations

from collections.abc import Sequence

from cloudsync.provider.contract import Present, Refusal, Target, Touched
from cloudsync.provider.everything import with_everything
from cloudsync.provider.quota import Call, Difference, add_then_remove, letting_in, within_quota
from cloudsync.provider.selectors import single_networks
from cloudsync.provider.spelling import spell
from cloudsync.rules import NOTHING
from cloudsync_aws.native import FAMILIES, Found
from cloudsync_aws.permissions import Permission, fewest_rules, permissions_of


def calls(
    group: Found, observed: Present | None, target: Target
) -> tuple[Call[Permission], ...] | Refusal:
    """The calls in order; or why they do not fit. `observed`: None for a group that does not
    exist."""
    before = observed.rules if observed is not None else NOTHING
    change = _difference(group, observed, target)
    ordered = within_quota(group.permissions, before, target, change, group.has_room)
    if ordered is not None:
        return ordered
    compact = _compact(group, target, change.adding)
    if group.has_room(compact.adding):
        return add_then_remove(before, target, compact)
    return Refusal(_over_quota(group, change))


def _difference(group: Found, observed: Present | None, target: Target) -> Difference[Permission]:
    """What to add and what to take away: what is there and fits stays, what is asked for is added
    as it was asked for."""
    spelling = spell(observed.vendor_rules if observed is not None else (), target)
    leaving = {rule.key for rule in (*spelling.going, *spelling.redundant)}
    staying = {rule.identity for rule in group.permissions if rule.key not in leaving}
    adding: dict[object, Permission] = {}
    for written in with_everything(spelling, target):
        list_id = written.list_id
        weight = group.weights.get(list_id, 1) if list_id else 0
        for rule in permissions_of(written.rule, written.description, list_id, weight):
            if rule.identity not in staying:
                adding.setdefault(rule.identity, rule)
    removing = (rule for rule in group.permissions if rule.key in leaving)
    return Difference(tuple(adding.values()), tuple(removing), spelling.touches())


def _compact(group: Found, target: Target, adding: Sequence[Permission]) -> Difference[Permission]:
    """The whole group in as few rules as there can be; what is not part of that goes, whoever made
    it. A prefix list is never spelled out."""
    lists = [
        rule
        for rule in (*group.permissions, *adding)
        if rule.prefix_list and target.rules.covers(rule.lets_in)
    ]
    fewest = {rule.identity: rule for rule in lists}
    for rest in fewest_rules(target.rules - letting_in(lists), target.rules):
        for single in single_networks(rest):
            written = permissions_of(single, target.describe(single))
            fewest |= {rule.identity: rule for rule in written}
    fewest |= {rule.identity: rule for rule in adding if rule.identity in fewest}
    there = {rule.identity for rule in group.permissions}
    removing = [rule for rule in group.permissions if rule.lets_in and rule.identity not in fewest]
    reason = "there is no room for it: rules with fewer networks say the same"
    return Difference(
        tuple(rule for identity, rule in fewest.items() if identity not in there),
        tuple(removing),
        tuple(Touched(gone.vendor_rule.label, "deletes", reason, gone.key) for gone in removing),
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
