"""What denials of others keep out and a plan would let in (guard `passes-denial`).

The lowest priority number is evaluated first; of two rules with the same number the denial wins. A
denial of everything from everywhere says no more than Google's implied denial does, and every
allow rule is written to be an exception to it: it is not counted.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from cloudsync.rules import RuleSet
from cloudsync.rules.networks import ANY4, ANY6
from cloudsync_gcp.moves import Move
from cloudsync_gcp.native import Firewall
from cloudsync_gcp.vpc_rules import VpcRule

_SHOWN = 3


def passed_denials(firewall: Firewall, moves: Iterable[Move]) -> tuple[str, ...]:
    """A sentence for every denial and every rule that would come to pass it."""
    counted = [denial for denial in firewall.others.denials if not _denies_everybody(denial)]
    return tuple(
        _sentence(denial, move, let_in)
        for denial in counted
        for move in moves
        if (let_in := _newly_let_in(firewall, denial, move))
    )


def _newly_let_in(firewall: Firewall, denial: VpcRule, move: Move) -> RuleSet:
    if move.priority >= denial.priority:
        return RuleSet()
    reached = move.after & denial.matches
    for rule in _before(firewall, denial) if reached else ():
        reached = reached - rule
    return reached


def _before(firewall: Firewall, denial: VpcRule) -> Iterator[RuleSet]:
    """What is let in already, before the denial is evaluated."""
    for owned in firewall.owned:
        if owned.rule.priority < denial.priority:
            yield owned.effect
    for rule in firewall.others.allowances:
        if rule.priority < denial.priority:
            yield rule.lets_in


def _denies_everybody(denial: VpcRule) -> bool:
    everything = denial.matches.everything_from()
    return everything.covers(ANY4) or everything.covers(ANY6)


def _sentence(denial: VpcRule, move: Move, let_in: RuleSet) -> str:
    rules = list(let_in)
    what = ", ".join(map(str, rules[:_SHOWN]))
    what += f" and {len(rules) - _SHOWN} more" if len(rules) > _SHOWN else ""
    return (
        f"{denial.name} (priority {denial.priority}) keeps out {what}, which {move.write.name} "
        f"(priority {move.priority}) would let in"
    )
