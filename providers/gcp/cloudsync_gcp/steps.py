"""The calls in order: marker, what opens, what is replaced, denials, what closes; the kit's
`rewrites` has the laws of it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from cloudsync.provider.contract import Absent, Present, Refusal, Step, StepKind, Target
from cloudsync.provider.rewrites import Batch, Effects, lawful_batches
from cloudsync.provider.steps import take_marker_off
from cloudsync.rules import RuleSet
from cloudsync_gcp import denials
from cloudsync_gcp.matching import match
from cloudsync_gcp.native import Firewall, Write, Writes
from cloudsync_gcp.rewriting import apart, described, writes_of
from cloudsync_gcp.vpc_rules import MARKER
from cloudsync_gcp.wishes import inexpressible


def planned(observed: Present | Absent, target: Target) -> tuple[Step, ...] | Refusal:
    """Marker, widen, replace, narrow; one call per VPC rule that differs."""
    firewall = observed.native if isinstance(observed.native, Firewall) else Firewall(target.spec)
    if target.release:
        return _releasing(firewall, target)
    if rest := inexpressible(target.rules):
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
    objects = observed.objects if isinstance(observed, Present) else ()
    return _steps(firewall, target, frozenset(rule.key for rule in objects if not rule.ours))


def _steps(firewall: Firewall, target: Target, lasting: frozenset[str]) -> tuple[Step, ...]:
    """The whole way from `firewall` to `target`. `lasting`: as `match` has it."""

    def taken_apart(write: Write, taken: Collection[str]) -> Iterator[Write]:
        return apart(write, target, firewall.names.union(taken))

    effects: Effects = {owned.name: owned.effect for owned in firewall.owned}
    whole = writes_of(firewall, match(firewall, target, lasting), target)
    *opening, closing = lawful_batches(whole, effects, target, taken_apart)
    lifted, denied, surplus = denials.writes(firewall, target)
    batches = [
        Batch("stop denying what others let in: delete {}", StepKind.REPLACE, lifted),
        *opening,
        # Before anything closes: a denial that is wrong may be what stops SSH.
        Batch(
            "deny what others let in from the Internet: {}",
            StepKind.ATTACH,
            denied,
            (denials.TARGET,),
        ),
        closing,
        Batch("delete {}, which denies what another rule denies too", StepKind.REPLACE, surplus),
    ]
    batches.insert(1, _marking(firewall, target, batches))
    steps = []
    for batch in batches:
        if batch.writes:
            effects = batch.after(effects)
            steps.append(_step(batch, effects, firewall))
    return tuple(steps)


def _step(batch: Batch[Write], effects: Effects, firewall: Firewall) -> Step:
    """`effects`: once it is done. What passes others' denials by a priority that the user chose
    needs no confirmation."""
    passes = denials.passed(firewall, batch.writes)
    chosen = firewall.settings.priority is not None
    return Step(
        batch.title,
        batch.kind,
        RuleSet.union(effects.values()),
        batch.attaches,
        Writes(tuple(batch.writes)),
        warning=("; ".join(passes) or None) if chosen else None,
        touches=tuple(write.touched for write in batch.writes if write.touched is not None),
        passes_denials=() if chosen else passes,
    )


def _releasing(firewall: Firewall, target: Target) -> tuple[Step, ...]:
    """Takes the marker out of the descriptions; what people wrote and who needs a rule stays."""
    marked_rules = (owned for owned in firewall.owned if owned.rule.marker is not None)
    writes = tuple(described(owned, owned.rule.text) for owned in marked_rules)
    step = take_marker_off(firewall.prefix, target, Writes(writes))
    return (step,) if writes else ()


def _marking(firewall: Firewall, target: Target, batches: Sequence[Batch[Write]]) -> Batch[Write]:
    """The marker on rules that are not written anyway."""
    written = {write.name for batch in batches for write in batch.writes}
    unmarked = (
        owned
        for owned in firewall.owned
        if target.marker not in (None, owned.rule.marker) and owned.name not in written
    )
    marker = target.spec.marker
    marks = [described(owned, MARKER.write(marker, owned.rule.text)) for owned in unmarked]
    return Batch(f'write the owner marker of "{firewall.prefix}"', StepKind.MARK, marks)
