"""From a group as it is to the group as it should be, in calls that fit into its quota. Pure.

`cloudsync.provider.quota` has the calls and their order; if none fits, the refusal has the numbers.
"""

from __future__ import annotations

from cloudsync.provider.contract import Present, Refusal, Target
from cloudsync.provider.quota import Call, too_many, within_quota
from cloudsync.provider.single_rules import FAMILIES, Difference, difference
from cloudsync_aws.native import Found


def calls(group: Found, observed: Present | None, target: Target) -> tuple[Call, ...] | Refusal:
    """The calls in order; or why they do not fit. `observed`: None for a group that does not
    exist."""
    rules = observed.vendor_rules if observed is not None else ()
    change = difference(rules, target)
    ordered = within_quota(rules, target, change, group.has_room)
    return Refusal(_over_quota(group, change)) if ordered is None else ordered


def _over_quota(group: Found, change: Difference) -> str:
    """The numbers, by family, and what would fit."""
    problems = []
    for family in FAMILIES:
        if group.over(family, change.adding):
            adding = group.cost(group.of(change.adding), family)
            removing = group.cost(group.of((), change.removing), family)
            numbers = too_many(group.used(family), adding, removing, group.quota)
            problems.append(f"IPv{family}: {numbers}")
    return (
        f"{'; '.join(problems)}. AWS allows {group.quota} a group for each address family, and each"
        " network of each port is a rule. What helps: a second security group on the same"
        " instances, as another firewall here, with some containers labelled cloudsync.firewall (5"
        " groups an interface, up to 16); one port behind a reverse proxy; consecutive ports, which"
        " are one rule; fewer networks; or a higher quota, which is rules_per_group (rules times"
        " groups an interface at most 1000)"
    )
