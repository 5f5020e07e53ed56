"""What the Internet can reach on a machine, over all firewalls that act on it: exact, pure, the
same for every vendor.

A packet goes through the stages of an interface in order. In a stage the rules are looked at by
priority, the lowest number first:

| the first rule that matches it | then                                                     |
|--------------------------------|----------------------------------------------------------|
| denies (before the others of its priority) | it is stopped                                |
| says `next`                    | the rest of this stage is skipped, the next one looks    |
| allows                         | it is let in                                             |
| none                           | the stage's `otherwise` decides                          |

What is left after the last stage is stopped. Firewalls that only allow are one stage whose rules
all have one priority: a union. An interface without any stage is under no firewall: `Open`, which
is a value of its own and not a long list of rules.

A rule that applies to an unknown part of what it matches (`certain = False`) counts as far as it
opens and not as far as it stops, so that the answer is never less than the truth.

`openings` names every rule that lets a packet in *by itself*: an allowance does not take packets
away from those behind it, because whoever takes one rule out wants to know which other would let
the same packet in. Their union is exactly what is reachable.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from cloudsync.model.plan import Beyond
from cloudsync.provider.machines import (
    BOTH_FAMILIES,
    ActingFirewall,
    Action,
    Interface,
    ObservedMachine,
    Stage,
    StageRule,
)
from cloudsync.rules import NOTHING, Rule, RuleSet
from cloudsync.rules.address_classes import NOT_PUBLIC
from cloudsync.rules.frozen import dataclass
from cloudsync.rules.networks import (
    ANY,
    ANY4,
    ANY6,
    Family,
    NetworkSet,
)

EVERYTHING = RuleSet.of((Rule.of("all", "", ANY),))
_ORDER = {Action.DENY: 0, Action.NEXT: 1, Action.ALLOW: 2}
_OF_FAMILY: dict[Family, NetworkSet] = {4: ANY4, 6: ANY6}


@dataclass(frozen=True, slots=True)
class Opening:
    """What one rule lets in by itself."""

    by: StageRule
    """The rule, as the vendor has it."""
    rules: RuleSet
    """What it lets in."""


@dataclass(frozen=True, slots=True)
class Filtered:
    """What firewalls let in: `rules` together, `openings` rule by rule (they may overlap)."""

    rules: RuleSet
    openings: tuple[Opening, ...] = ()


@dataclass(frozen=True, slots=True)
class Open:
    """No firewall acts: everything that is sent arrives."""


Verdict = Filtered | Open
CLOSED = Filtered(NOTHING)


def evaluate(stages: Sequence[Stage]) -> Verdict:
    """What the stages of one interface let in, from all addresses there are."""
    if not stages:
        return Open()
    openings: list[Opening] = []
    here = EVERYTHING
    for stage in stages:
        here = _through(stage, here, openings)
    return Filtered(RuleSet.union(opening.rules for opening in openings), tuple(openings))


def _through(stage: Stage, arriving: RuleSet, openings: list[Opening]) -> RuleSet:
    """What the stage hands on to the next one; what it lets in is added to `openings`."""
    here, on = arriving, NOTHING
    for rule in sorted(
        (rule for rule in stage.rules if not rule.disabled),
        key=lambda rule: (rule.priority, _ORDER[rule.action]),
    ):
        passing = rule.matches if here is EVERYTHING else rule.matches & here
        if not passing:
            continue
        if rule.action is Action.ALLOW:
            openings.append(Opening(rule, passing))
            continue
        if rule.action is Action.NEXT:
            on = on | passing
        if rule.certain:
            here = here - passing
    if stage.otherwise is Action.ALLOW:
        default = StageRule(
            ActingFirewall(stage.name, stage.name, "stage"), EVERYTHING, "what no rule matches"
        )
        openings.append(Opening(default, here))
    return on | here if stage.otherwise is Action.NEXT else on


@dataclass(frozen=True, slots=True)
class Reached:
    """One interface with its verdict, as far as the Internet can send packets to it at all."""

    interface: Interface
    """The interface, with its public addresses."""
    verdict: Verdict
    """What gets through to it, and what is not known."""


@dataclass(frozen=True, slots=True)
class Exposure:
    """What the Internet can reach on one machine, interface by interface; interfaces without a
    public address are left out."""

    machine: ObservedMachine
    """As the vendor lists it."""
    reached: tuple[Reached, ...]
    """Its public interfaces."""

    @property
    def protected(self) -> bool:
        """Whether a firewall acts on every interface the Internet reaches."""
        return not any(isinstance(reached.verdict, Open) for reached in self.reached)

    @property
    def rules(self) -> RuleSet:
        """Everything reachable; an open interface is everything its address families allow."""
        return RuleSet.union(
            (
                _within(reached.interface)
                if isinstance(reached.verdict, Open)
                else reached.verdict.rules
            )
            for reached in self.reached
        )


def exposure_of(machine: ObservedMachine, inner: ObservedMachine | None = None) -> Exposure:
    """The exposure of one machine. `inner`: the same machine as its own kernel filters it."""
    reached = []
    own = Open() if inner is None else _of_kernel(inner)
    for interface in machine.interfaces:
        if not interface.families:
            continue
        verdict = behind(evaluate(interface.stages), own)
        if isinstance(verdict, Filtered):
            verdict = _arriving(verdict, interface)
        reached.append(Reached(interface, verdict))
    return Exposure(machine, tuple(reached))


def _arriving(verdict: Filtered, interface: Interface) -> Filtered:
    """The part in the families in which packets can be sent to the interface."""
    if interface.families == BOTH_FAMILIES:
        return verdict
    within = _within(interface)
    openings = (Opening(opening.by, opening.rules & within) for opening in verdict.openings)
    return Filtered(verdict.rules & within, tuple(opening for opening in openings if opening.rules))


def _of_kernel(inner: ObservedMachine) -> Verdict:
    """What the kernel of a machine lets in, on any of its interfaces."""
    verdicts = [evaluate(interface.stages) for interface in inner.interfaces]
    filtered = [verdict for verdict in verdicts if isinstance(verdict, Filtered)]
    if len(filtered) < len(verdicts) or not filtered:
        return Open()
    openings = tuple(opening for verdict in filtered for opening in verdict.openings)
    return Filtered(RuleSet.union(verdict.rules for verdict in filtered), openings)


def sendable(machine: ObservedMachine) -> RuleSet:
    """Everything that can be sent to a machine, by the address families it has."""
    return RuleSet.union(_within(interface) for interface in machine.interfaces)


def behind(outer: Verdict, inner: Verdict) -> Verdict:
    """What passes two walls one after the other."""
    if isinstance(inner, Open):
        return outer
    if isinstance(outer, Open):
        return inner
    openings = (Opening(opening.by, opening.rules & inner.rules) for opening in outer.openings)
    return Filtered(outer.rules & inner.rules, tuple(o for o in openings if o.rules))


def beyond(
    exposure: Exposure, wanted: RuleSet, ours: Callable[[ActingFirewall], bool]
) -> tuple[Beyond, ...]:
    """What other firewalls leave open on the machine beside `wanted`, or that none acts on it.

    `ours`: whether a firewall is one of this configuration; what *that* has too much is in its own
    plan. Rules for private networks only are not the Internet's and are left out, those for what
    the machine's firewall spares too.
    """
    distinct: dict[tuple[object, ...], Beyond] = {}
    for reached in exposure.reached:
        for each in _of(reached, exposure.machine, wanted, ours):
            distinct.setdefault((each.rule, each.firewall, each.through), each)
    return tuple(distinct.values())


def _of(
    reached: Reached,
    machine: ObservedMachine,
    wanted: RuleSet,
    ours: Callable[[ActingFirewall], bool],
) -> Iterable[Beyond]:
    if isinstance(reached.verdict, Open):
        advice = f"put a firewall on it: everything on {machine.name} is open to the Internet"
        if machine.pending:
            advice = (
                f"see that what is pending on {machine.name} takes effect; until then"
                " everything may be open"
            )
        for rule in _within(reached.interface):
            yield Beyond(rule, f"no firewall acts on {reached.interface.name}", advice)
        return
    for opening in reached.verdict.openings:
        firewall = opening.by.firewall
        if ours(firewall):
            continue
        unknown = (
            ""
            if opening.by.certain
            else "; who exactly it lets in cannot be told, this is the most it can be"
        )
        way_out = firewall.advice or (
            f"take the rule out of {firewall} or take that off {machine.name}"
        )
        advice = f"{way_out}; if it is right, allow it in the configuration"
        for rule in opening.rules - wanted:
            if not (NOT_PUBLIC | machine.spared).covers(rule.sources):
                yield Beyond(rule, f"{firewall}, rule {opening.by.text}{unknown}", advice, firewall)


def _within(interface: Interface) -> RuleSet:
    """Everything that can be sent to the interface: an IPv4 address is reached from IPv4 addresses
    only."""
    sources = NetworkSet.union(_OF_FAMILY[family] for family in sorted(interface.families))
    return RuleSet.of((Rule.of("all", "", sources),)) if sources else NOTHING
