"""The calls in order: marker, what opens, what is replaced, denials, what closes.

Calls of one step are started together and may end in any order; the stages make sure that what
stays wanted is open throughout, and that nothing closes before SSH is open (laws 2 and 3).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from cloudsync.provider.contract import Step, StepKind, Target, Touched
from cloudsync.rules import RuleSet
from cloudsync.rules.frozen import dataclass
from cloudsync_gcp import denials
from cloudsync_gcp.matching import match
from cloudsync_gcp.moves import Move, apart, mark, moves, unmark
from cloudsync_gcp.native import Firewall, Write, Writes, together
from cloudsync_gcp.passing import passed_denials
from cloudsync_gcp.settings import prefix_of, settings_of

Effects = Mapping[str, RuleSet]
"""By the name of a rule, what it lets in."""


@dataclass(frozen=True, slots=True)
class Stage:
    """Calls that may end in any order."""

    verb: str
    kind: StepKind
    moves: tuple[Move, ...]

    def after(self, effects: Effects) -> Effects:
        """What rules let in once all calls of the stage have ended."""
        return {**effects, **{move.write.name: move.after for move in self.moves}}

    @property
    def touches(self) -> tuple[Touched, ...]:
        """The vendor objects it deletes or rewrites."""
        return tuple(move.touched for move in self.moves if move.touched is not None)


def steps_of(firewall: Firewall, target: Target) -> tuple[Step, ...]:
    """The whole way from `firewall` to `target`."""
    before: Effects = {owned.name: owned.effect for owned in firewall.owned}
    stages = _lawful_stages(firewall, target, before)
    denied, surplus = _denying(firewall, target)
    steps = [*_lifting(firewall, target, before)]
    steps += _marking(firewall, target, stages, (*denied, *surplus), before)
    effects = before
    for stage in stages:
        if stage.kind is StepKind.NARROW:
            # Before it closes anything: a denial that is wrong may be what stops SSH.
            steps += _denial_step(denied, effects)
            denied = ()
        effects = stage.after(effects)
        steps.append(_stage_step(stage, effects, firewall, target))
    steps += _denial_step(denied, effects)
    if surplus:
        summary = "delete {}, which denies what another rule denies too"
        reason = "another rule denies the same"
        touches = tuple(
            Touched(f"rule {write.name}", "deletes", reason, counts=False) for write in surplus
        )
        steps.append(_step(summary, StepKind.REPLACE, effects, surplus, touches=touches))
    return tuple(steps)


def _step(
    summary: str, kind: StepKind, effects: Effects, writes: Sequence[Write], **more: Any
) -> Step:
    """`summary`: `{}` stands for the names of the rules. `more`: further fields of the step."""
    names = ", ".join(dict.fromkeys(write.name for write in writes))
    after = together(effects.values())
    return Step(summary.format(names), kind, after, native=Writes(tuple(writes)), **more)


def releasing(firewall: Firewall, target: Target) -> tuple[Step, ...]:
    """Takes the marker out of the descriptions; what people wrote and who needs a rule stays."""
    writes = tuple(unmark(owned) for owned in firewall.owned if owned.rule.marker is not None)
    summary = f'take the owner marker off "{prefix_of(target.spec)}"'
    return (Step(summary, StepKind.MARK, target.rules, native=Writes(writes)),) if writes else ()


def _lawful_stages(firewall: Firewall, target: Target, before: Effects) -> tuple[Stage, ...]:
    """The stages; if replacing rules in single writes would close something that stays wanted, each
    of them takes two."""
    whole = moves(firewall, match(firewall, target), target)
    stages = tuple(_stages(whole, before, target))
    if _is_lawful(stages, before, target):
        return stages
    taken = {*firewall.names, *(move.write.name for move in whole)}
    split: list[Move] = []
    for move in whole:
        parts = list(apart(move, target, taken))
        taken |= {move.write.name for move in parts}
        split += parts
    return tuple(_stages(split, before, target))


def _stages(whole: Sequence[Move], before: Effects, target: Target) -> Iterator[Stage]:
    """What only gains, together; what gains and loses; what only loses, together."""
    wider = tuple(move for move in whole if not move.loses)
    effects = before
    if wider:
        gains = any(move.gains for move in wider)
        verb, kind = ("widen", StepKind.WIDEN) if gains else ("put right", StepKind.REPLACE)
        stage = Stage(verb, kind, wider)
        effects = stage.after(effects)
        yield stage
    replaced = tuple(move for move in whole if move.gains and move.loses)
    groups: list[tuple[Move, ...]] = [(move,) for move in replaced]
    if replaced and _may_end_in_any_order(replaced, effects, target):
        groups = [replaced]
    yield from (Stage("replace", StepKind.REPLACE, group) for group in groups)
    if narrower := tuple(move for move in whole if move.loses and not move.gains):
        yield Stage("narrow", StepKind.NARROW, narrower)


def _may_end_in_any_order(replaced: Sequence[Move], effects: Effects, target: Target) -> bool:
    """Whether what has to be open is open in what none of the calls closes."""
    throughout = {**effects, **{move.write.name: move.before & move.after for move in replaced}}
    always = together(throughout.values())
    return always.covers(together(effects.values()) & target.rules) and always.covers(target.ssh)


def _is_lawful(stages: Sequence[Stage], before: Effects, target: Target) -> bool:
    """Whether the replacements close nothing that stays wanted, and nothing before SSH is open."""
    needed = together(before.values()) & target.rules
    effects = before
    for stage in stages:
        effects = stage.after(effects)
        if stage.kind is StepKind.REPLACE:
            now = together(effects.values())
            if not (now.covers(needed) and now.covers(target.ssh)):
                return False
    return True


def _stage_step(stage: Stage, effects: Effects, firewall: Firewall, target: Target) -> Step:
    writes = [move.write for move in stage.moves]
    step = _step(f"{stage.verb} {{}}", stage.kind, effects, writes, touches=stage.touches)
    passes = passed_denials(firewall, stage.moves)
    if settings_of(target.spec).priority is None:
        return replace(step, passes_denials=passes)
    return replace(step, warning="; ".join(passes) or None)


def _lifting(firewall: Firewall, target: Target, before: Effects) -> Iterator[Step]:
    """What others let in comes in again: before anything else, and without a confirmation."""
    if settings_of(target.spec).enforce == "allow" and (lifted := denials.lifting(firewall)):
        summary = "stop denying what others let in: delete {}"
        yield _step(summary, StepKind.REPLACE, before, lifted)


def _denying(firewall: Firewall, target: Target) -> tuple[tuple[Write, ...], tuple[Write, ...]]:
    if not denies_others(target):
        return (), ()
    settings = settings_of(target.spec)
    return denials.denying(firewall, prefix_of(target.spec), settings, target.spec.marker)


def denies_others(target: Target) -> bool:
    """Whether the denials of others are to be written or put right now."""
    asked = target.reapply or any(each.target == denials.TARGET for each in target.attach)
    return settings_of(target.spec).enforce == "deny-others" and asked


def _denial_step(writes: Sequence[Write], effects: Effects) -> Iterator[Step]:
    """Once everything that is to come in is let in."""
    if writes:
        summary, attaches = "deny what others let in from the Internet: {}", (denials.TARGET,)
        yield _step(summary, StepKind.ATTACH, effects, writes, attaches=attaches)


def _marking(
    firewall: Firewall,
    target: Target,
    stages: Sequence[Stage],
    others: Sequence[Write],
    before: Effects,
) -> Iterator[Step]:
    """The marker on rules that are not written anyway."""
    if target.marker is None:
        return
    written = {write.name for write in others}
    written |= {move.write.name for stage in stages for move in stage.moves}
    if settings_of(target.spec).enforce == "allow":
        written |= {write.name for write in denials.lifting(firewall)}
    unmarked = (owned for owned in firewall.owned if owned.rule.marker != target.marker)
    writes = [mark(owned, target.spec) for owned in unmarked if owned.name not in written]
    if writes:
        summary = f'write the owner marker of "{prefix_of(target.spec)}"'
        yield _step(summary, StepKind.MARK, before, writes)


def overruling(firewall: Firewall, target: Target) -> str | None:
    """Why denying what others let in would stop this owner's other firewalls."""
    if not (denies_others(target) and firewall.overruled):
        return None
    priority = settings_of(target.spec).denial_priority
    return (
        f"denying what others let in would stop {', '.join(firewall.overruled[:5])} of this "
        f"owner's other firewalls on the same machines; give those a priority below {priority}"
    )
