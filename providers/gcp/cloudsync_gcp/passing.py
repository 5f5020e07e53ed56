"""What denials of others keep out and a plan would let in (guard `passes-denial`).

The lowest priority number is evaluated first; of two rules with the same number the denial wins. A
denial of everything from everywhere says no more than Google's implied denial does, and every
allow rule is written to be an exception to it: it is not counted.
"""

from __future__ import annotations

from collections.abc import Iterable

from cloudsync.provider.phrases import first_of
from cloudsync.rules import RuleSet
from cloudsync.rules.networks import ANY4, ANY6
from cloudsync_gcp.moves import Move
from cloudsync_gcp.native import Firewall, together
from cloudsync_gcp.vpc_rules import VpcRule

_SHOWN = 3


def passed_denials(firewall: Firewall, moves: Iterable[Move]) -> tuple[str, ...]:
    """A sentence for every denial and every rule that would come to pass it."""
    return tuple(
        _sentence(denial, move, let_in)
        for denial in firewall.others.denials
        if not _denies_everybody(denial)
        for move in moves
        if move.priority < denial.priority
        and (let_in := (move.after & denial.matches) - _let_in_before(firewall, denial))
    )


def _let_in_before(firewall: Firewall, denial: VpcRule) -> RuleSet:
    """What is let in already, before the denial is evaluated."""
    rules = [(owned.rule, owned.effect) for owned in firewall.owned]
    rules += [(rule, rule.lets_in) for rule in firewall.others.allowances]
    earlier = (effect for rule, effect in rules if rule.priority < denial.priority)
    return together(earlier)


def _denies_everybody(denial: VpcRule) -> bool:
    everything = denial.matches.everything_from()
    return everything.covers(ANY4) or everything.covers(ANY6)


def _sentence(denial: VpcRule, move: Move, let_in: RuleSet) -> str:
    what = first_of(let_in, _SHOWN)
    return (
        f"{denial.name} (priority {denial.priority}) keeps out {what}, which {move.write.name} "
        f"(priority {move.priority}) would let in"
    )
