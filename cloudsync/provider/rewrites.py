"""The order of calls that write one rule each: what opens, what is replaced, what closes. Pure.

For vendors whose rules are objects with several ports or sources that are changed in place (`quota`
is for those that are only added and removed). The calls of one batch are started together and may
end in any order; the batches make sure that what stays wanted is open throughout, and that nothing
closes before SSH is open (laws 2 and 3).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Generic, Protocol, TypeVar

from cloudsync.provider.contract import StepKind, Target
from cloudsync.rules import RuleSet
from cloudsync.rules.frozen import dataclass


class Rewrite(Protocol):
    """One call about one rule; a new rule lets in nothing before it, a deleted one nothing
    after."""

    @property
    def name(self) -> str:
        """Tells the rule from all others of its firewall."""
        ...

    @property
    def before(self) -> RuleSet:
        """What the rule lets in before it."""
        ...

    @property
    def after(self) -> RuleSet:
        """What the rule lets in after it."""
        ...

    @property
    def gains(self) -> bool:
        """Whether something opens by it."""
        ...

    @property
    def loses(self) -> bool:
        """Whether something closes by it, or the rule goes."""
        ...


Write = TypeVar("Write", bound=Rewrite)
Effects = Mapping[str, RuleSet]
"""By the name of a rule, what it lets in."""
Apart = Callable[[Write, Collection[str]], Iterable[Write]]
"""A call that gains and loses as two, first what gains, then what loses; any other as it is. With
the names that a new rule must not have."""


@dataclass(frozen=True, slots=True)
class Batch(Generic[Write]):
    """Calls that may end in any order."""

    summary: str
    """What they do, for people; `{}` stands for the names of the rules."""
    kind: StepKind
    writes: Sequence[Write]
    attaches: tuple[str, ...] = ()
    """As `Step.attaches`."""

    @property
    def title(self) -> str:
        """The summary with the names of the rules."""
        return self.summary.format(", ".join(dict.fromkeys(write.name for write in self.writes)))

    def after(self, effects: Effects) -> Effects:
        """What rules let in once all calls of the batch have ended."""
        return {**effects, **{write.name: write.after for write in self.writes}}

    def throughout(self, effects: Effects) -> RuleSet:
        """What is open until and when they have ended, in whatever order they do. A single call
        closes and opens at once."""
        if len(self.writes) == 1:
            return RuleSet.union(self.after(effects).values())
        both = {write.name: write.before & write.after for write in self.writes}
        return RuleSet.union({**effects, **both}.values())


def lawful_batches(
    writes: Sequence[Write], effects: Effects, target: Target, apart: Apart[Write]
) -> tuple[Batch[Write], ...]:
    """The batches, the last of them what closes; one without calls is nothing to do. `effects`:
    what the rules let in before all of them.

    Rules that gain and lose are replaced side by side in single calls, or one after the other; if
    both would close something that stays wanted, each of them takes two calls.
    """
    replaced = [write for write in writes if write.gains and write.loses]
    for groups in ([replaced], [[write] for write in replaced]):
        batches = _batches(writes, groups)
        if _is_lawful(batches, effects, target):
            return batches
    taken = {*effects, *(write.name for write in writes)}
    split: list[Write] = []
    for write in writes:
        calls = list(apart(write, taken))
        taken |= {call.name for call in calls}
        split += calls
    return _batches(split, [])


def _batches(
    writes: Sequence[Write], replaced: Sequence[Sequence[Write]]
) -> tuple[Batch[Write], ...]:
    """What only gains, together; what gains and loses, in these groups; what only loses,
    together."""
    wider = [write for write in writes if not write.loses]
    narrower = [write for write in writes if write.loses and not write.gains]
    widening = Batch("widen {}", StepKind.WIDEN, wider)
    if not any(write.gains for write in wider):
        widening = Batch("put right {}", StepKind.REPLACE, wider)
    return (
        widening,
        *(Batch("replace {}", StepKind.REPLACE, group) for group in replaced),
        Batch("narrow {}", StepKind.NARROW, narrower),
    )


def _is_lawful(batches: Iterable[Batch[Write]], before: Effects, target: Target) -> bool:
    """Whether the replacements close nothing that stays wanted, and nothing before SSH is open."""
    effects = before
    for batch in batches:
        if batch.kind is StepKind.REPLACE and batch.writes:
            open_throughout = batch.throughout(effects)
            needed = RuleSet.union(effects.values()) & target.rules
            if not (open_throughout.covers(needed) and open_throughout.covers(target.ssh)):
                return False
        effects = batch.after(effects)
    return True
