"""The order in which rules are added and removed, within the vendor's quota. Pure.

For vendors whose rules are objects of their own: any number of them is added, or removed, and what
is there in between counts for the quota.

| there is room                         | then                                      |
|---------------------------------------|-------------------------------------------|
| for all that is to be added           | it is added, then what goes is removed    |
| once what nothing needs is removed    | SSH is added, that goes, the rest follows |
| for neither                           | the provider finds another way, or none   |
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Generic, Protocol, TypeVar

from cloudsync.provider.contract import Step, StepKind, Target, Touched
from cloudsync.provider.phrases import count
from cloudsync.rules import RuleSet
from cloudsync.rules.frozen import dataclass


class Counted(Protocol):
    """A rule of the vendor's, there or to be added."""

    @property
    def key(self) -> str:
        """As `VendorRule.key`."""
        ...

    @property
    def lets_in(self) -> RuleSet:
        """What it lets in by itself."""
        ...


R = TypeVar("R", bound=Counted)


@dataclass(frozen=True, slots=True)
class Difference(Generic[R]):
    """What makes a firewall what it is to be."""

    adding: tuple[R, ...]
    removing: tuple[R, ...]
    touches: tuple[Touched, ...] = ()
    """For `removing`, as steps have to name them."""


@dataclass(frozen=True, slots=True)
class Call(Generic[R]):
    """Rules to add (`widen`) or to remove (`narrow`), and what is open then."""

    kind: StepKind
    rules: tuple[R, ...]
    after: RuleSet
    touches: tuple[Touched, ...] = ()

    def step(self, identity: str, native: object) -> Step:
        """The call as a step. `identity`: the firewall at the vendor."""
        rules = count(len(self.rules), "rule")
        add = self.kind is StepKind.WIDEN
        summary = f'add {rules} to "{identity}"' if add else f'remove {rules} from "{identity}"'
        return Step(summary, self.kind, self.after, native=native, touches=self.touches)


HasRoom = Callable[[Sequence[R], Sequence[R]], bool]
"""Whether the quota has room for rules to add besides what is there, without rules to remove."""


def add_then_remove(before: RuleSet, target: Target, change: Difference[R]) -> tuple[Call[R], ...]:
    """What is wanted is opened before anything closes."""
    adding = Call(StepKind.WIDEN, change.adding, before | target.rules)
    removing = Call(StepKind.NARROW, change.removing, target.rules, change.touches)
    return tuple(call for call in (adding, removing) if call.rules)


def within_quota(
    present: Iterable[R],
    before: RuleSet,
    target: Target,
    change: Difference[R],
    has_room: HasRoom[R],
) -> tuple[Call[R], ...] | None:
    """The calls in order; None if no order of them fits. `present`: the rules that are there and
    let networks in, `before`: what they let in together."""
    if has_room(change.adding, ()):
        return add_then_remove(before, target, change)
    # Remove first what nothing needs (law 3: nothing of what stays wanted closes by it), once SSH
    # is open (law 2).
    ssh = tuple(rule for rule in change.adding if rule.lets_in & target.ssh)
    others = tuple(rule for rule in change.adding if rule not in ssh)
    leaving = {rule.key for rule in change.removing}
    stays = letting_in((*(rule for rule in present if rule.key not in leaving), *ssh))
    free = tuple(rule for rule in change.removing if stays.covers(rule.lets_in & target.rules))
    late = tuple(rule for rule in change.removing if rule not in free)
    opened = before | letting_in(ssh)
    if not (free and opened.covers(target.ssh) and has_room(ssh, ())):
        return None
    if not has_room(change.adding, free):
        return None
    narrowed = stays | letting_in(late)
    calls = (
        Call(StepKind.WIDEN, ssh, opened),
        Call(StepKind.NARROW, free, narrowed, _about(free, change.touches)),
        Call(StepKind.WIDEN, others, narrowed | letting_in(others)),
        Call(StepKind.NARROW, late, target.rules, _about(late, change.touches)),
    )
    return tuple(call for call in calls if call.rules)


def letting_in(rules: Iterable[Counted]) -> RuleSet:
    """What rules let in together."""
    return RuleSet.union(rule.lets_in for rule in rules)


def _about(rules: Iterable[Counted], touches: Iterable[Touched]) -> tuple[Touched, ...]:
    keys = {rule.key for rule in rules}
    return tuple(touched for touched in touches if touched.key in keys)
