"""Decide about one firewall: what it has, what it should have, the changes, the guards and the
steps. Pure.

`consider` is the story; each stage below it takes values and returns values.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from cloudsync.config.configuration import Configuration, Firewall
from cloudsync.config.networks import ssh_rules
from cloudsync.model.memory import Memory
from cloudsync.model.plan import (
    FirewallPlan,
    Granted,
    Guard,
    ReadStatus,
    Refused,
    StepSummary,
)
from cloudsync.model.ports import Discovery, Failed, Unpublished
from cloudsync.model.ssh_login import Login
from cloudsync.planning import guards
from cloudsync.planning.diff import Around, changes_of, no_room, rewrites, rewriting
from cloudsync.planning.grace import Past, attributed, remembered, waits, with_switched_policy
from cloudsync.planning.holds import Holding, hold, keep_ssh, withhold
from cloudsync.planning.login_ways import together, unreached, ways_in
from cloudsync.planning.own_rules import asked_rules, by_family, claimed, still_written
from cloudsync.planning.policy import Desired, desire, unknown_hosts
from cloudsync.planning.unlisted import unlisted
from cloudsync.planning.unread_networks import unread_ssh
from cloudsync.provider.contract import (
    Absent,
    Account,
    Description,
    FirewallSpec,
    Observation,
    OnMachine,
    Present,
    Refusal,
    Step,
    Target,
    Touched,
    Unreadable,
)
from cloudsync.provider.phrases import count
from cloudsync.provider.spelling import Spelling, spell
from cloudsync.rules import NOTHING, RuleSet
from cloudsync.rules.address_classes import PRIVATE
from cloudsync.rules.frozen import dataclass
from cloudsync.rules.networks import ANY

if TYPE_CHECKING:
    from cloudsync.provider.machines import Fleet


@dataclass(frozen=True, slots=True)
class Case:
    """One firewall, and all that a decision about it may know."""

    configuration: Configuration
    """All of it."""
    firewall: Firewall
    """The one to decide."""
    account: Account
    """Where it lives."""
    spec: FirewallSpec
    """It, as its plugin reads and writes it."""
    observed: Observation
    """The firewall as its reader found it."""
    discoveries: Mapping[str, Discovery]
    """What the hosts of the run answered, by name."""
    past: Past
    """What earlier runs left."""
    granted: Granted
    """What the user allowed on the command line."""
    login: Login | None = None
    """The SSH connection of the person who runs this."""
    same: Sequence[str] = ()
    """Other firewalls of the configuration that turned out to be this one at the vendor."""
    fleet: Fleet | Unreadable | None = None
    """The machines of the account; None if they were not asked for, or the provider cannot say."""


@dataclass(frozen=True, slots=True)
class Considered:
    """The part of a plan that is about one firewall, and what an apply needs to carry it out."""

    plan: FirewallPlan
    """What the plan document says of it."""
    account: Account
    """Where it lives."""
    spec: FirewallSpec
    """It, as its plugin reads and writes it."""
    observed: Observation
    """What was read of it."""
    target: Target
    """What the firewall is to be."""
    guards: tuple[Guard, ...] = ()
    """What an apply refuses to go past without leave."""
    steps: tuple[Step, ...] = ()
    """Run unless `withheld`."""
    warnings: tuple[str, ...] = ()
    """Sentences for people."""
    desired: Desired | None = None
    """What policy asks for, for `explain`."""
    memory: Memory | None = None
    """What an apply remembers from now on; None if it learnt nothing."""
    login_ways: RuleSet = NOTHING
    """How people log in today, of a firewall that is being adopted: guarded like the SSH of an
    applied plan until it really closed."""

    @property
    def withheld(self) -> bool:
        """Whether a guard withholds the whole firewall."""
        return any(guard.withholds == "firewall" for guard in self.guards)


@dataclass(frozen=True, slots=True)
class _Closings:
    """What closes after every guard that withholds closings had its say."""

    holding: Holding
    guards: tuple[Guard, ...]
    notes: tuple[str, ...]
    ssh_guard: Guard | None
    login_ways: RuleSet


@dataclass(frozen=True, slots=True)
class _Written:
    """The steps, and what they mean."""

    target: Target
    spelling: Spelling
    steps: tuple[Step, ...] = ()
    touched: tuple[Touched, ...] = ()
    guards: tuple[Guard, ...] = ()
    refused: tuple[Refused, ...] = ()


def consider(case: Case, foreign: Guard | None = None) -> Considered:
    """Decide about one firewall. `foreign`: the guard of `policy.foreign = "fail"`, if other
    firewalls leave something open."""
    table = case.configuration.accounts[case.firewall.account]
    desired = by_family(
        desire(
            case.firewall,
            case.configuration,
            table.provider.capabilities,
            case.discoveries,
            _private(case.configuration, case.observed),
            {} if isinstance(case.observed, Unreadable) else case.observed.lists,
        )
    )
    desired = with_switched_policy(desired, case.past)
    blank = _blank(case, desired)
    if (why := unread_ssh(case.configuration)) is not None:
        return replace(blank, plan=replace(blank.plan, read=ReadStatus("failed", why)))
    if isinstance(case.observed, Unreadable):
        error = case.observed.error
        read = ReadStatus("failed", error.message, temporary=error.temporary)
        return replace(blank, plan=replace(blank.plan, read=read))
    observed = claimed(case.observed, case.past.memory)
    unknown = unknown_hosts(case.firewall, case.discoveries)
    around, postponed = _around(case, observed, desired, unknown)
    blank = replace(blank, warnings=(*blank.warnings, *postponed))
    if isinstance(observed, Absent) and postponed:
        return blank
    owner = guards.ownership(case.firewall.name, observed, case.spec.marker, case.granted)
    if owner is not None and owner.id == "foreign-owner":
        return replace(blank, guards=(owner,))
    known = _known(case, observed, desired)
    closings = _closings(case, observed, desired, known, foreign)
    holding = _without_lists(closings.holding, observed, desired)
    written = _written(case, observed, desired, holding, around)
    refusing = (
        owner,
        *closings.guards,
        foreign,
        *_about_the_firewall(case, observed, holding, around),
        closings.ssh_guard,
        *written.guards,
    )
    memory = None
    if owner is None:
        identity = blank.plan.identity
        before = observed.rules if isinstance(observed, Present) else NOTHING
        memory = remembered(case.past, known, identity, desired, before, complete=not unknown)
    considered = replace(
        blank,
        plan=_plan(case, blank, observed, holding, written, around),
        target=written.target,
        guards=tuple(guard for guard in refusing if guard is not None),
        steps=written.steps,
        warnings=(*blank.warnings, *closings.notes, *_notes(case, observed, holding, written)),
        memory=memory,
        login_ways=closings.login_ways,
    )
    return _remembering(case, considered, observed)


def _blank(case: Case, desired: Desired) -> Considered:
    """The firewall with nothing decided yet."""
    table = case.configuration.accounts[case.firewall.account]
    observed = case.observed
    plan = FirewallPlan(
        name=case.firewall.name,
        provider=table.name,
        type=table.type,
        endpoint=table.provider.endpoint(case.account),
        identity=table.provider.identity(case.spec),
        id=observed.id if isinstance(observed, Present) else None,
        exists=None if isinstance(observed, Unreadable) else isinstance(observed, Present),
        read=ReadStatus("complete"),
        hosts=case.firewall.hosts,
        refused=desired.refused,
    )
    return Considered(
        plan,
        case.account,
        case.spec,
        observed,
        Target(case.spec, NOTHING),
        warnings=desired.warnings,
        desired=desired,
    )


def _around(
    case: Case, observed: Present | Absent, desired: Desired, unknown: Mapping[str, str]
) -> tuple[Around, tuple[str, ...]]:
    """What happens apart from rules, and why some of it is put off.

    Law 1: attaching counts as closing. What is unknown may be open on the machine and would be cut.
    """
    attach = tuple(attachment for attachment in observed.attachments if not attachment.attached)
    pending = observed.pending if isinstance(observed, Present) else ()
    around = Around(guards.adopting(observed, case.spec.marker), attach, pending)
    closing = any(not change.lifts for change in pending)
    why = _postponing(unknown, desired)
    if why is None or not (attach or closing):
        return around, ()
    what = ", ".join(a.target for a in attach) or "what is pending at the vendor"
    lifting = tuple(change for change in pending if change.lifts)
    put_off = f"not put into effect now: {what}, because {why}"
    return replace(around, attach=(), reapply=lifting), (put_off,)


def _known(case: Case, observed: Present | Absent, desired: Desired) -> Mapping[str, RuleSet]:
    """What is known to have been a container's, by host; nothing of a firewall that is not ours
    yet."""
    if isinstance(observed, Absent):
        return {}
    if case.past.memory is None and (
        observed.marker is None or observed.marker.owner != case.configuration.owner
    ):
        return {}
    extra = observed.rules - desired.rules
    return attributed(case.past, observed, extra, case.firewall.hosts)


def _closings(
    case: Case,
    observed: Present | Absent,
    desired: Desired,
    known: Mapping[str, RuleSet],
    foreign: Guard | None,
) -> _Closings:
    """What closes and what stays, and the guards that withhold closings."""
    name, policy, granted = case.firewall.name, case.configuration.policy, case.granted
    unknown = unknown_hosts(case.firewall, case.discoveries)
    grace = timedelta() if granted.now else policy.grace
    present = observed if isinstance(observed, Present) else None
    holding = hold(
        present,
        desired,
        policy,
        unknown,
        lambda extra: waits(case.past, known, extra, grace),
        case.past.ssh or NOTHING,
    )
    notes = _no_memory(case, holding)
    if present is None:
        return _Closings(holding, (), notes, None, NOTHING)
    rules = present.vendor_rules
    of_hosts = {host: rules for host, rules in known.items() if host in case.firewall.hosts}
    refusing = (
        _unlisted(case, present, holding.closing),
        guards.max_close(name, guards.closings(rules, holding.closing), policy.max_close, granted),
        guards.everything_would_close(name, desired, rules, holding.closing, of_hosts, granted),
    )
    refused = tuple(guard for guard in refusing if guard is not None)
    for guard in (*refused, foreign):
        if guard is not None:
            detail = f"the guard {guard.id} withholds it"
            holding = withhold(holding, desired, present, guard.id, detail)
    holding = keep_ssh(holding, _moving_ssh(case))
    ssh_guard, login_ways = _moved_ssh(case, present, holding.closing)
    return _Closings(holding, refused, notes, ssh_guard, login_ways)


def _without_lists(holding: Holding, observed: Present | Absent, desired: Desired) -> Holding:
    """The same without what rules of others let in already by lists of addresses: to open it again
    would only repeat them, network by network. SSH has rules of its own."""
    if isinstance(observed, Absent) or not observed.by_lists:
        return holding
    let_in = observed.by_lists - observed.rules - desired.ssh
    return replace(holding, final=holding.final - let_in)


def _no_memory(case: Case, holding: Holding) -> tuple[str, ...]:
    if case.past.memory is not None or all(held.reason != "grace" for held in holding.held):
        return ()
    note = (
        f"no earlier run left a state in {case.configuration.state}, so container ports close only"
        " at a second run that finds this directory again. If the directory does not last (an"
        ' ephemeral runner), set policy.grace = "0s" or pass --now'
    )
    return (note,)


def _unlisted(case: Case, observed: Present, closing: RuleSet) -> Guard | None:
    name = case.firewall.name
    if isinstance(case.fleet, Unreadable):
        adopted = guards.adopting(observed, case.spec.marker) is not None
        if not adopted or "*" in case.firewall.shared_with or case.firewall.static:
            return None
        return guards.unread_machines(name, case.fleet.error.message, closing)
    if case.fleet is None:
        return None
    machines = unlisted(case.firewall, observed, case.fleet)
    return guards.unlisted_machines(name, machines, closing)


def _moving_ssh(case: Case) -> RuleSet:
    """The SSH of earlier applies, on ports that are still declared, if its sources move."""
    ssh = case.configuration.ssh
    if not ssh.written.moving or case.granted.ssh_moved or case.past.ssh is None:
        return NOTHING
    return case.past.ssh & ssh_rules(ssh.ports, ANY)


def _moved_ssh(case: Case, observed: Present, closing: RuleSet) -> tuple[Guard | None, RuleSet]:
    """Law 2: the guard of SSH that closes, and how people log in today if only the firewall
    itself tells."""
    name, ssh = case.firewall.name, case.configuration.ssh
    if case.past.ssh is not None or guards.adopting(observed, case.spec.marker) is None:
        return guards.ssh_moved(name, case.past.ssh, closing, case.granted), NOTHING
    guard = guards.ssh_of_today(
        name,
        ways_in(observed, ssh, closing),
        unreached(observed, ssh, _otherwise_reached(case, observed)),
        case.granted,
    )
    # Rules for private networks are their makers', and kept (or managed) as such.
    ways = together(ways_in(observed, ssh, observed.rules))
    return guard, ways - ways.where(PRIVATE)


def _otherwise_reached(case: Case, observed: Present) -> RuleSet:
    """What reaches the machines today by other ways than the firewall: through others of theirs, or
    because none acts on them."""
    from cloudsync.planning.exposure import EVERYTHING, exposure_of

    coming = [
        machine for attachment in observed.attachments for machine in attachment.newly_covered
    ]
    if any(not machine.protected for machine in coming):
        return EVERYTHING
    if case.fleet is None or isinstance(case.fleet, Unreadable):
        return NOTHING
    return RuleSet.of(
        rule
        for machine in case.fleet.machines
        if case.firewall.name in machine.concerns
        for rule in exposure_of(machine).rules
    )


def _unpublished(case: Case) -> tuple[Unpublished, ...]:
    discoveries = (case.discoveries[host] for host in case.firewall.hosts)
    return tuple(
        container
        for discovery in discoveries
        if not isinstance(discovery, Failed)
        for container in discovery.unpublished
    )


def _about_the_firewall(
    case: Case, observed: Present | Absent, holding: Holding, around: Around
) -> tuple[Guard | None, ...]:
    """The guards about attachments, twins and the connection the run was started through."""
    name = case.firewall.name
    before = observed.rules if isinstance(observed, Present) else NOTHING
    return (
        guards.attaching(name, around.attach, case.granted, _unpublished(case)),
        guards.same_firewall(name, observed.id if isinstance(observed, Present) else "", case.same),
        guards.own_ssh(
            name,
            case.login,
            before,
            holding.final,
            attaches=bool(around.attach),
            here=_is_here(case.configuration, case.firewall, case.spec),
        ),
    )


def _written(
    case: Case,
    observed: Present | Absent,
    desired: Desired,
    holding: Holding,
    around: Around,
) -> _Written:
    """The provider's steps to the final rules. If it has no room for all that is asked for, the
    closings alone are written: they need none."""
    target = _target(case, observed, desired, holding.final, around)
    written, refusal = _steps(case, observed, desired, target, holding.closing, around)
    if refusal is None:
        return written
    guard = guards.unsupported(case.firewall.name, refusal)
    refusing = (guard,) if guard is not None else ()
    if isinstance(observed, Absent) or refusal.guard != "unsupported" or not holding.closing:
        return replace(written, guards=refusing)
    narrower = _target(
        case, observed, desired, (observed.rules & holding.final) | desired.ssh, around
    )
    closing_only, too_much = _steps(case, observed, desired, narrower, holding.closing, around)
    if too_much is not None or closing_only.guards or guard is None:
        return replace(written, guards=refusing)
    unopened = no_room(desired, holding.final - narrower.rules)
    openings = replace(guard, withholds="openings")
    return replace(closing_only, guards=(openings,), refused=unopened)


def _target(
    case: Case,
    observed: Present | Absent,
    desired: Desired,
    rules: RuleSet,
    around: Around,
) -> Target:
    adopting = isinstance(observed, Absent) or around.adopt is not None
    return Target(
        spec=case.spec,
        rules=rules,
        ssh=desired.ssh,
        descriptions=tuple(Description(wish.rules, wish.description) for wish in desired.wanted),
        attach=around.attach,
        marker=case.spec.marker if adopting else None,
        reapply=any(not pending.lifts for pending in around.reapply),
        asked=asked_rules(desired, rules),
    )


def _steps(
    case: Case,
    observed: Present | Absent,
    desired: Desired,
    target: Target,
    closing: RuleSet,
    around: Around,
) -> tuple[_Written, Refusal | None]:
    """Ask the provider, and hold its steps to the laws."""
    unread = bool(unknown_hosts(case.firewall, case.discoveries)) or bool(desired.unread)
    if isinstance(observed, Present) and (unread or case.configuration.policy.mode == "additive"):
        # What is not known now may need the narrower rule later; additive deletes nothing.
        plain = tuple(replace(rule, ours=False) for rule in observed.objects)
        observed = replace(observed, objects=plain)
    before = observed.rules if isinstance(observed, Present) else NOTHING
    rules = observed.vendor_rules if isinstance(observed, Present) else ()
    written = _Written(target, spell(rules, target))
    provider = case.configuration.accounts[case.firewall.account].provider
    steps = provider.plan_steps(observed, target)
    changing = isinstance(observed, Absent) or bool(
        around.adopt is not None or around.attach or around.reapply or before != target.rules
    )
    if isinstance(steps, Refusal):
        return written, steps if changing else None
    reapplied = {pending.target for pending in around.reapply}
    touched = tuple(
        touch for touch in rewrites(observed, closing, steps) if touch.target not in reapplied
    )
    if not steps or not (changing or touched):
        return written, None
    name, granted = case.firewall.name, case.granted
    verdicts = (
        guards.lawful_steps(name, before, target, steps),
        guards.rewriting(
            name,
            guards.rewritten(rules, touched),
            case.configuration.policy.max_close,
            granted,
        ),
        guards.passing_denials(name, steps),
    )
    refusing = tuple(guard for guard in verdicts if guard is not None)
    return replace(written, steps=steps, touched=touched, guards=refusing), None


def _plan(
    case: Case,
    blank: Considered,
    observed: Present | Absent,
    holding: Holding,
    written: _Written,
    around: Around,
) -> FirewallPlan:
    desired = blank.desired
    changes = (
        *(
            changes_of(
                observed,
                desired,
                replace(holding, final=written.target.rules),
                written.spelling,
                around,
            )
            if desired is not None
            else ()
        ),
        *rewriting(written.touched),
    )
    return replace(
        blank.plan,
        changes=changes,
        steps=tuple(StepSummary(step.summary, step.kind) for step in written.steps),
        unchanged=len(written.spelling.staying),
        held=holding.held,
        refused=(*blank.plan.refused, *written.refused),
        kept=(*holding.kept, *_foreign(case.configuration, observed)),
    )


def _notes(
    case: Case, observed: Present | Absent, holding: Holding, written: _Written
) -> Iterable[str]:
    """What a person should know besides."""
    before = observed.rules if isinstance(observed, Present) else NOTHING
    here = _is_here(case.configuration, case.firewall, case.spec)
    note = guards.own_ssh_elsewhere(case.login, before, holding.final, here=here)
    if note is not None:
        yield note
    yield from (step.warning for step in written.steps if step.warning is not None)
    yield from _cut_descriptions(case, written.spelling)
    if case.configuration.policy.icmp == "keep" and any(a.in_place for a in written.target.attach):
        name = case.firewall.name
        yield (
            'policy.icmp = "keep" keeps the ICMP rules of this firewall; pings that rules of'
            f" others let in today close, unless [[firewalls.{name}.allow]] asks for ports ="
            ' ["icmp"]'
        )
    if isinstance(observed, Absent) or guards.adopting(observed, case.spec.marker) is None:
        return
    if observed.managed_by:
        yield (
            f"{'; '.join(observed.managed_by)} seems to own this firewall too: both would change "
            "it back and forth. Let one of them own it"
        )
    if case.fleet is None or isinstance(case.fleet, Unreadable):
        return
    if any(held.reason == "unlisted-machines" for held in holding.held):
        return
    if machines := unlisted(case.firewall, observed, case.fleet):
        names = ", ".join(f"{machine.name} ({machine.target})" for machine in machines)
        yield f"the firewall also acts on {names}: what opens here opens there too"


def _cut_descriptions(case: Case, spelling: Spelling) -> Iterable[str]:
    """What the vendor's rules cannot say in full."""
    table = case.configuration.accounts[case.firewall.account]
    most = table.provider.capabilities.longest_description
    for written in spelling.writing if most is not None else ():
        if most is not None and len(written.description) > most:
            yield (
                f"the description of {written.rule.protocol}/{written.rule.ports} has "
                f"{count(len(written.description), 'character')}, {table.type} takes {most}: it is "
                "cut"
            )


def _remembering(case: Case, considered: Considered, observed: Present | Absent) -> Considered:
    """With the rules that cloudsync itself writes, or wrote and that are still there."""
    memory = considered.memory
    if memory is None:
        return considered
    opening = [change.rule for change in considered.plan.changes if change.action == "open"]
    fresh = () if considered.withheld else tuple(rule for rule in opening if rule is not None)
    written = still_written(case.past.memory, observed, fresh)
    return replace(considered, memory=replace(memory, written=written))


def _is_here(configuration: Configuration, firewall: Firewall, spec: FirewallSpec) -> bool:
    """Whether a host of the firewall is this machine: its provider says so, or its engine is read
    through a local socket."""
    provider = configuration.accounts[firewall.account].provider
    if isinstance(provider, OnMachine):
        return provider.is_here(spec)
    hosts = (configuration.hosts[name] for name in firewall.hosts)
    return any(
        isinstance(engine, str) and engine.startswith("unix://")
        for host in hosts
        for engine in host.docker
    )


def _private(configuration: Configuration, observed: Observation) -> RuleSet:
    """What to let in from private networks: only a new firewall, unless the configuration manages
    private sources too."""
    if isinstance(observed, Unreadable) or (
        isinstance(observed, Present) and configuration.policy.private == "keep"
    ):
        return NOTHING
    return observed.private


def _foreign(configuration: Configuration, observed: Present | Absent) -> tuple[str, ...]:
    return (
        ()
        if configuration.policy.foreign == "ignore"
        else tuple(kept.summary for kept in observed.foreign)
    )


def _postponing(unknown: Mapping[str, str], desired: Desired) -> str | None:
    """Why nothing may be attached now; None if everything is known."""
    if unknown:
        return "; ".join(
            f"{host} was not read completely: {reason}" for host, reason in sorted(unknown.items())
        )
    if desired.doubtful is None or desired.doubtful:
        return "the labels of a container do not parse"
    if desired.unread:
        return desired.unread.reason
    return None
