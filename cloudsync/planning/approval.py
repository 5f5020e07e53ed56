"""Whether a fresh plan is still what was approved (law 6).

A plan file is a bound: what is left to do may be less than was approved (some of it is done
already), never more and never elsewhere.
"""

from __future__ import annotations

from cloudsync.model.plan import FirewallPlan, Plan
from cloudsync.rules import NOTHING, RuleSet


def moved(approved: Plan, fresh: Plan) -> str | None:
    """What a fresh plan would do that was not approved, in words; None where it does as much or
    less."""
    if approved.owner != fresh.owner:
        return f'the plan is of the owner "{approved.owner}", the configuration of "{fresh.owner}"'
    shown = {firewall.name: firewall for firewall in approved.firewalls}
    beyond = []
    for firewall in fresh.firewalls:
        if not firewall.changes:
            continue
        if (before := shown.get(firewall.name)) is None:
            beyond.append(f"{firewall.name}: was not in the plan")
        elif (text := _beyond(before, firewall)) is not None:
            beyond.append(f"{firewall.name}: {text}")
        elif not firewall.exists and _elsewhere(approved, fresh, firewall.provider):
            beyond.append(
                f"{firewall.name}: the account {firewall.provider} has none of the machines that "
                "the plan saw: the credentials are those of another project"
            )
    return "; ".join(beyond) or None


def _elsewhere(approved: Plan, fresh: Plan, provider: str) -> bool:
    """Whether the account is another one: a firewall that exists tells by its id, one that is to be
    created has none yet."""
    before = set(dict(approved.machines).get(provider, ()))
    return bool(before) and before.isdisjoint(dict(fresh.machines).get(provider, ()))


def _beyond(approved: FirewallPlan, fresh: FirewallPlan) -> str | None:
    target = (approved.provider, approved.type, approved.endpoint, approved.identity)
    if target != (fresh.provider, fresh.type, fresh.endpoint, fresh.identity):
        return "names another firewall or another account now"
    if approved.id is not None and fresh.id is not None and approved.id != fresh.id:
        return f"is another firewall at the vendor now ({fresh.id}, was {approved.id})"
    if approved.exists is not None and fresh.exists is False and approved.exists:
        return "does not exist any more"
    # What an earlier run began is finished by this one: putting approved rules into effect needs no
    # approval of its own.
    others = {
        (c.action, c.target)
        for c in fresh.changes
        if c.rule is None and (c.action != "reapply" or c.opens_now)
    } - {(c.action, c.target) for c in approved.changes if c.rule is None}
    if others:
        return "would now also " + ", ".join(
            sorted(f"{action} {target or ''}".strip() for action, target in others)
        )
    for action, verb in (("open", "opens"), ("close", "closes")):
        extra = _rules(fresh, action) - _rules(approved, action)
        if extra:
            return f"now also {verb} " + ", ".join(str(rule) for rule in extra)
    return None


def _rules(firewall: FirewallPlan, action: str) -> RuleSet:
    return (
        RuleSet.of(c.rule for c in firewall.changes if c.action == action and c.rule is not None)
        or NOTHING
    )
