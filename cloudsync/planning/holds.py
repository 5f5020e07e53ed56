"""What stays open although nobody wants it, and what closes.

`extra` is what a firewall has and nobody asked for. For every part of it the first row that fits
decides:

| the extra part                                                        | then                      |
|-----------------------------------------------------------------------|---------------------------|
| is ICMP, and `policy.icmp = "keep"`                                   | kept, listed              |
| is from private networks only, and `policy.private = "keep"`          | kept, listed              |
| anything, and `policy.mode = "additive"`                              | held: additive            |
| is denied by `policy.deny`                                            | closes                    |
| anything, and a host of the firewall was not read completely          | held: unknown-host        |
| may belong to a container whose labels do not parse                   | held: malformed-label     |
| is published, but a label or the configuration keeps it closed        | closes                    |
| was a container's, and its grace is not over (`grace.py`)             | held: grace               |
| anything else                                                         | closes                    |

What a guard withholds of the closings is held too (`withhold`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from cloudsync.config.configuration import PolicySettings
from cloudsync.model.plan import Held
from cloudsync.planning.grace import Waiting
from cloudsync.planning.policy import Desired
from cloudsync.provider.contract import Present
from cloudsync.rules import NOTHING, RuleSet
from cloudsync.rules.address_classes import PRIVATE


@dataclass(frozen=True, slots=True)
class Holding:
    """`closing`: what closes. `held` and `kept`: what of the extra part stays, for the plan.
    `final`: the rule set after it all."""

    closing: RuleSet
    final: RuleSet
    held: tuple[Held, ...]
    kept: tuple[str, ...]


def hold(
    observed: Present | None,
    desired: Desired,
    policy: PolicySettings,
    unknown: Mapping[str, str],
    waiting: Callable[[RuleSet], tuple[Waiting, ...]] = lambda _: (),
) -> Holding:
    """Decide over every observed rule that is not desired. `observed`: None = absent. `unknown`:
    hosts not read completely, with the reason. `waiting`: what of a part that is missed has
    grace."""
    if observed is None:
        return Holding(NOTHING, desired.rules, (), ())
    extra = observed.rules - desired.rules
    kept: list[str] = []
    held: list[Held] = []

    if policy.icmp == "keep":
        pings = extra.of_protocols("icmp", "icmpv6")
        kept.extend(f'{rule} (policy.icmp = "keep")' for rule in pings)
        extra = extra - pings
    if policy.private == "keep":
        listed = observed.listed or tuple(observed.rules)
        private = extra & RuleSet.of(rule for rule in listed if PRIVATE.covers(rule.sources))
        private = private | RuleSet.of(rule for rule in extra if PRIVATE.covers(rule.sources))
        kept.extend(f'{rule} (policy.private = "keep")' for rule in private)
        extra = extra - private
    kept.extend(one.summary for one in observed.kept)

    def holding(part: RuleSet, reason: str, detail: str, until: datetime | None = None) -> RuleSet:
        held.extend(Held(rule, reason, detail, until) for rule in part)
        return extra - part

    if policy.mode == "additive":
        extra = holding(extra, "additive", 'policy.mode = "additive" closes nothing')
    elif unknown:
        why = "; ".join(
            f"{host} was not read completely: {reason}" for host, reason in sorted(unknown.items())
        )
        extra = holding(extra - desired.denied, "unknown-host", why)
    elif desired.doubtful is None:
        extra = holding(
            extra - desired.denied,
            "malformed-label",
            "a container on the host network has labels that do not parse",
        )
    elif desired.doubtful:
        part = (extra & desired.doubtful) - desired.denied
        extra = holding(
            part, "malformed-label", "a container that publishes it has labels that do not parse"
        )
    for one in waiting(extra - desired.denied - desired.deliberate):
        extra = holding(one.rules, "grace", _missed(one), one.until)
    return Holding(extra, desired.rules | (observed.rules - extra), tuple(held), tuple(kept))


def _missed(waiting: Waiting) -> str:
    since = (
        "no container needs it any more"
        if waiting.first
        else "no container needs it since an earlier apply"
    )
    return f"{since}; it closes at the first apply after its grace that misses it too (--now does not wait)"


def withhold(
    holding: Holding, desired: Desired, observed: Present, reason: str, detail: str
) -> Holding:
    """The same with every closing held instead: what a closing guard does."""
    held = (*holding.held, *(Held(rule, reason, detail) for rule in holding.closing))
    return Holding(NOTHING, desired.rules | observed.rules, held, holding.kept)
