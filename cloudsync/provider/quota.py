"""The order in which rules are added and removed, within the vendor's quota. Pure.

For vendors whose rules are objects of their own (`single_rules.py`): any number of them is added,
or removed, and what is there in between counts for the quota.

| there is room                         | then                                              |
|---------------------------------------|---------------------------------------------------|
| for all that is to be added           | it is added, then what goes is removed            |
| once what nothing needs is removed    | SSH is added, that goes, the rest follows         |
| for the fewest rules that say it all  | they are added, then all that is not part of them |
|                                       | is removed                                        |
| for none of these                     | the provider refuses, with the numbers            |
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from cloudsync.provider.contract import Step, StepKind, Target, Touched, VendorRule
from cloudsync.provider.phrases import count
from cloudsync.provider.single_rules import Difference, SingleRule, in_fewest, letting_in
from cloudsync.rules import RuleSet
from cloudsync.rules.frozen import dataclass


@dataclass(frozen=True, slots=True)
class Call:
    """Rules to add (`widen`) or to remove (`narrow`), and what is open then."""

    adding: tuple[SingleRule, ...]
    removing: tuple[VendorRule, ...]
    """Empty if some are added."""
    after: RuleSet
    touches: tuple[Touched, ...] = ()
    """For `removing`, as a step has to name them."""

    @property
    def kind(self) -> StepKind:
        """What the call does."""
        return StepKind.WIDEN if self.adding else StepKind.NARROW

    def step(self, identity: str, native: object) -> Step:
        """The call as a step. `identity`: the firewall at the vendor."""
        summary = f'remove {count(len(self.removing), "rule")} from "{identity}"'
        if self.adding:
            summary = f'add {count(len(self.adding), "rule")} to "{identity}"'
        return Step(summary, self.kind, self.after, native=native, touches=self.touches)


HasRoom = Callable[[Sequence[SingleRule], Sequence[VendorRule]], bool]
"""Whether the quota has room for rules to add besides what is there, without rules to remove."""


def within_quota(
    rules: Sequence[VendorRule], target: Target, change: Difference, has_room: HasRoom
) -> tuple[Call, ...] | None:
    """The calls in order; None if no way fits. `rules`: those that are there and let networks
    in."""
    if has_room(change.adding, ()):
        return _add_then_remove(rules, target, change)
    if (calls := _making_room(rules, target, change, has_room)) is not None:
        return calls
    fewest = in_fewest(rules, target, change)
    return _add_then_remove(rules, target, fewest) if has_room(fewest.adding, ()) else None


def too_many(used: int, adding: int, removing: int, limit: int) -> str:
    """Why `within_quota` found no way, with the numbers of rules: how many are used and allowed,
    and are to be added and removed as they were asked for."""
    over = used + adding - limit
    text = f"{used} of {limit} rules are used and {adding} are to be added"
    if over > removing:
        return f"{text}: {over - removing} too many, even after all closings"
    return (
        f"{text}: after the closings they would fit, but no rule is removed before what it lets in "
        f"is open by another; delete {over} of the unwanted rules by hand"
    )


def _add_then_remove(
    rules: Sequence[VendorRule], target: Target, change: Difference
) -> tuple[Call, ...]:
    """What is wanted is opened before anything closes."""
    opened = letting_in(rules) | target.rules
    return _without_empty(
        Call(change.adding, (), opened), Call((), change.removing, target.rules, change.touches)
    )


def _making_room(
    rules: Sequence[VendorRule], target: Target, change: Difference, has_room: HasRoom
) -> tuple[Call, ...] | None:
    """Remove first what nothing needs (law 3: nothing of what stays wanted closes by it), once SSH
    is open (law 2)."""
    ssh = tuple(rule for rule in change.adding if rule.lets_in & target.ssh)
    others = tuple(rule for rule in change.adding if rule not in ssh)
    leaving = {rule.key for rule in change.removing}
    stays = letting_in((*(rule for rule in rules if rule.key not in leaving), *ssh))
    free = tuple(rule for rule in change.removing if stays.covers(rule.lets_in & target.rules))
    late = tuple(rule for rule in change.removing if rule not in free)
    opened = letting_in((*rules, *ssh))
    if not (free and opened.covers(target.ssh) and has_room(ssh, ())):
        return None
    if not has_room(change.adding, free):
        return None
    narrowed = stays | letting_in(late)
    return _without_empty(
        Call(ssh, (), opened),
        Call((), free, narrowed, _about(free, change.touches)),
        Call(others, (), narrowed | letting_in(others)),
        Call((), late, target.rules, _about(late, change.touches)),
    )


def _without_empty(*calls: Call) -> tuple[Call, ...]:
    return tuple(call for call in calls if call.adding or call.removing)


def _about(rules: Iterable[VendorRule], touches: Iterable[Touched]) -> tuple[Touched, ...]:
    keys = {rule.key for rule in rules}
    return tuple(touched for touched in touches if touched.key in keys)
