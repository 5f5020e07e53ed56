"""The calls in order: marker, what opens, what is replaced, denials, what closes.

Calls of one step are started together and may end in any order; the stages make sure that what
stays wanted is open throughout, and that nothing closes before SSH is open (laws 2 and 3).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cloudsync.provider.contract import Absent, Present, Refusal, Step, StepKind, Target
from cloudsync.provider.steps import take_marker_off
from cloudsync.rules import RuleSet
from cloudsync.rules.frozen import dataclass
from cloudsync_gcp import denials, provider
from cloudsync_gcp.matching import match
from cloudsync_gcp.native import Firewall, Write, Writes
from cloudsync_gcp.rewriting import apart, described, writes_of
from cloudsync_gcp.vpc_rules import marked
from cloudsync_gcp.wishes import inexpressible

Effects = Mapping[str, RuleSet]
"""By the name of a rule, what it lets in."""


@dataclass(frozen=True, slots=True)
class Stage:
    """Calls that may end in any order."""

    summary: str
    """What they do, for people; `{}` stands for the names of the rules."""
    kind: StepKind
    writes: Sequence[Write]
    attaches: tuple[str, ...] = ()

    def after(self, effects: Effects) -> Effects:
        """What rules let in once all calls of the stage have ended."""
        return {**effects, **{write.name: write.after for write in self.writes}}

    def throughout(self, effects: Effects) -> RuleSet:
        """What is open until and when they have ended, in whatever order they do. A single call
        closes and opens at once."""
        if len(self.writes) == 1:
            return RuleSet.union(self.after(effects).values())
        both = {write.name: write.before & write.after for write in self.writes}
        return RuleSet.union({**effects, **both}.values())

    def step(self, effects: Effects, firewall: Firewall) -> Step:
        """`effects`: once it is done. What passes others' denials by a priority that the user
        chose needs no confirmation."""
        passes = denials.passed(firewall, self.writes)
        chosen = firewall.settings.priority is not None
        return Step(
            self.summary.format(", ".join(dict.fromkeys(write.name for write in self.writes))),
            self.kind,
            RuleSet.union(effects.values()),
            self.attaches,
            Writes(tuple(self.writes)),
            warning=("; ".join(passes) or None) if chosen else None,
            touches=tuple(write.touched for write in self.writes if write.touched is not None),
            passes_denials=() if chosen else passes,
        )


def planned(observed: Present | Absent, target: Target) -> tuple[Step, ...] | Refusal:
    """Marker, widen, replace, narrow; one call per VPC rule that differs."""
    firewall = observed.native if isinstance(observed.native, Firewall) else Firewall(target.spec)
    if target.release:
        return _releasing(firewall, target)
    if rest := inexpressible(target.rules, provider.capabilities.protocols or ()):
        return Refusal(
            "VPC rules have ports for tcp and udp only, and no ICMP types; they cannot express: "
            + ", ".join(map(str, rest))
        )
    if strange := [owned.name for owned in firewall.owned if owned.kind == "strange"]:
        return Refusal(
            f"{', '.join(strange)} begins with this firewall's prefix and denies traffic; "
            "rename or delete it by hand"
        )
    if (reason := denials.overruling(firewall, target)) is not None:
        return Refusal(reason)
    return _steps(firewall, target)


def _steps(firewall: Firewall, target: Target) -> tuple[Step, ...]:
    """The whole way from `firewall` to `target`."""
    effects: Effects = {owned.name: owned.effect for owned in firewall.owned}
    *opening, closing = _lawful_stages(firewall, target, effects)
    lifted, denied, surplus = denials.writes(firewall, target)
    stages = [
        Stage("stop denying what others let in: delete {}", StepKind.REPLACE, lifted),
        *opening,
        # Before anything closes: a denial that is wrong may be what stops SSH.
        Stage(
            "deny what others let in from the Internet: {}",
            StepKind.ATTACH,
            denied,
            (denials.TARGET,),
        ),
        closing,
        Stage("delete {}, which denies what another rule denies too", StepKind.REPLACE, surplus),
    ]
    stages.insert(1, _marking(firewall, target, stages))
    steps = []
    for stage in stages:
        if stage.writes:
            effects = stage.after(effects)
            steps.append(stage.step(effects, firewall))
    return tuple(steps)


def _releasing(firewall: Firewall, target: Target) -> tuple[Step, ...]:
    """Takes the marker out of the descriptions; what people wrote and who needs a rule stays."""
    marked_rules = (owned for owned in firewall.owned if owned.rule.marker is not None)
    writes = tuple(described(owned, owned.rule.text) for owned in marked_rules)
    step = take_marker_off(firewall.prefix, target, Writes(writes))
    return (step,) if writes else ()


def _marking(firewall: Firewall, target: Target, stages: Sequence[Stage]) -> Stage:
    """The marker on rules that are not written anyway."""
    written = {write.name for stage in stages for write in stage.writes}
    unmarked = (
        owned
        for owned in firewall.owned
        if target.marker not in (None, owned.rule.marker) and owned.name not in written
    )
    marker = target.spec.marker
    marks = [described(owned, marked(marker, owned.rule.text)) for owned in unmarked]
    return Stage(f'write the owner marker of "{firewall.prefix}"', StepKind.MARK, marks)


def _lawful_stages(firewall: Firewall, target: Target, before: Effects) -> Sequence[Stage]:
    """The stages, the last of them what closes. Rules that gain and lose are replaced side by side
    in single calls, or one after the other; if both would close something that stays wanted, each
    of them takes two calls."""
    whole = writes_of(firewall, match(firewall, target), target)
    replaced = [write for write in whole if write.gains and write.loses]
    for groups in ([replaced], [[write] for write in replaced]):
        stages = _stages(whole, groups)
        if _is_lawful(stages, before, target):
            return stages
    taken = {*firewall.names, *(write.name for write in whole)}
    split: list[Write] = []
    for write in whole:
        calls = list(apart(write, target, taken))
        taken |= {call.name for call in calls}
        split += calls
    return _stages(split, [])


def _stages(writes: Sequence[Write], replaced: Sequence[Sequence[Write]]) -> Sequence[Stage]:
    """What only gains, together; what gains and loses, in these groups; what only loses,
    together."""
    wider = [write for write in writes if not write.loses]
    narrower = [write for write in writes if write.loses and not write.gains]
    widening = Stage("widen {}", StepKind.WIDEN, wider)
    if not any(write.gains for write in wider):
        widening = Stage("put right {}", StepKind.REPLACE, wider)
    return (
        widening,
        *(Stage("replace {}", StepKind.REPLACE, group) for group in replaced),
        Stage("narrow {}", StepKind.NARROW, narrower),
    )


def _is_lawful(stages: Sequence[Stage], before: Effects, target: Target) -> bool:
    """Whether the replacements close nothing that stays wanted, and nothing before SSH is open."""
    effects = before
    for stage in stages:
        if stage.kind is StepKind.REPLACE and stage.writes:
            open_throughout = stage.throughout(effects)
            needed = RuleSet.union(effects.values()) & target.rules
            if not (open_throughout.covers(needed) and open_throughout.covers(target.ssh)):
                return False
        effects = stage.after(effects)
    return True
