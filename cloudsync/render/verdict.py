"""What a plan comes to: the sums at its end, and what would have to be said or done before an apply
does all of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from cloudsync.model.plan import Change, FirewallPlan, Plan
from cloudsync.provider.phrases import count
from cloudsync.render.several_hosts import refusals
from cloudsync.render.words import sources

_VERBS = (
    ("create", "create", "firewall"),
    ("adopt", "adopt", "firewall"),
    ("attach", "attach", "machine"),
    ("reapply", "put into effect on", "machine"),
    ("lift", "lift", "denial"),
    ("rewrite", "rewrite", "rule"),
    ("open", "open", "port"),
    ("close", "close", "port"),
)


def summary(plan: Plan) -> str:
    """`Plan: create 1 firewall, attach 1 machine, open 9 ports.`"""
    changing = [firewall for firewall in plan.firewalls if firewall.changes]
    if not changing:
        if plan.firewalls and all(f.read.status != "complete" for f in plan.firewalls):
            return "Nothing can be planned."
        return "Nothing to do for what could be read." if incomplete(plan) else "Nothing to do."
    counts: Counter[str] = Counter()
    reached: dict[str, None] = {}
    for alike in grouped(change for firewall in changing for change in firewall.changes):
        rule = alike[0].rule
        if len(alike) > 1 and alike[0].action == "open" and rule is not None:
            reached[sources(rule.sources)] = None
        else:
            counts.update(map(_kind, alike))
    phrases = [
        f"{verb} {count(counts[action], noun)}" for action, verb, noun in _VERBS if counts[action]
    ]
    phrases += [f"open everything to {networks}" for networks in reached]
    where = f" on {count(len(changing), 'firewall')}" if len(changing) > 1 else ""
    return f"Plan: {', '.join(phrases)}{where}."


def grouped(changes: Iterable[Change]) -> Iterable[Sequence[Change]]:
    """Each change by itself; those that open or close whole protocols to the same networks for the
    same reason together, where the first of them stands: they are one thing to a reader."""
    groups: dict[object, list[Change]] = {}
    for number, change in enumerate(changes):
        groups.setdefault(_whole(change) or number, []).append(change)
    return groups.values()


def _whole(change: Change) -> tuple[object, ...] | None:
    """What rules of whole protocols must have in common to be one row; None for another rule."""
    rule = change.rule
    if rule is None or rule.ports not in ("", "1-65535"):
        return None
    return change.action, rule.sources, change.reason, change.origins


def _kind(change: Change) -> str:
    """Its action, but a denial that is lifted is the opposite of what is put into effect."""
    return "lift" if change.lifts_denial else change.action


def not_opened(plan: Plan) -> int:
    """How many required ports the plan refuses to open; the same port on several hosts of a
    firewall, for the same reason, is one."""
    return sum(len(refusals(firewall.refused)) for firewall in plan.firewalls)


def incomplete(plan: Plan) -> str | None:
    """`Incomplete: 1 of 3 hosts could not be read. Try again.`; None if everything was read."""
    hosts = [status for _, status in plan.hosts if status.status != "complete"]
    firewalls = [f.read for f in plan.firewalls if f.read.status != "complete"]
    if not hosts and not firewalls:
        return None
    unread = []
    if hosts:
        unread.append(f"{len(hosts)} of {count(len(plan.hosts), 'host')}")
    if firewalls:
        unread.append(f"{len(firewalls)} of {count(len(plan.firewalls), 'firewall')}")
    again = all(status.temporary for status in (*hosts, *firewalls))
    advice = " Try again (exit 75)." if again else " Trying again will not help (exit 1)."
    return f"Incomplete: {' and '.join(unread)} could not be read completely.{advice}"


def unread_hosts(firewall: FirewallPlan, plan: Plan) -> tuple[str, ...]:
    """The hosts of a firewall that could not be read, or not completely."""
    return tuple(
        name
        for name, status in plan.hosts
        if status.status != "complete" and name in firewall.hosts
    )


def needs_yes(plan: Plan) -> tuple[str, ...]:
    """The firewalls that only wait for a yes: nothing but the guard `attach` withholds them."""
    withheld: dict[str, set[str]] = {}
    for guard in plan.guards:
        if guard.withholds == "firewall":
            withheld.setdefault(guard.firewall, set()).add(guard.id)
    return tuple(name for name, ids in withheld.items() if ids == {"attach"})


def feasible(plan: Plan) -> bool:
    """Whether an apply of this plan that is answered with yes would do anything."""
    blocked = {g.firewall for g in plan.guards if g.withholds == "firewall"} - set(needs_yes(plan))
    return any(f.changes and f.name not in blocked for f in plan.firewalls)
