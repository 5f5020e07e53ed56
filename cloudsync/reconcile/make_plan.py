"""One plan, stage by stage: what is asked, what is there, what earlier runs left, what is decided.

Reads only: nothing in here holds an object that can write (law 5).
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from cloudsync import __version__
from cloudsync.config.configuration import Configuration, Firewall
from cloudsync.config.specs import spec_of
from cloudsync.model.inventory import Published
from cloudsync.model.memory import EngineMemory
from cloudsync.model.observed import Seen
from cloudsync.model.plan import FirewallPlan, Granted, Guard, Plan, ReadStatus
from cloudsync.model.ports import Complete, Discovery, Failed, Partial, name_of
from cloudsync.model.ssh_login import Login
from cloudsync.planning.decide import Case, Considered, consider
from cloudsync.planning.grace import Past
from cloudsync.planning.machine_exposure import foreign_guards, with_standings
from cloudsync.planning.orphans import orphans, unlooked
from cloudsync.planning.policy import unassigned
from cloudsync.planning.shared_ports import sharing_of
from cloudsync.planning.unpublished import about_unpublished
from cloudsync.provider.contract import (
    Account,
    FirewallSpec,
    Observation,
    Progress,
    Target,
    Unreadable,
    silent,
)
from cloudsync.provider.errors import ProviderError
from cloudsync.reconcile.identities import identified
from cloudsync.reconcile.inventories import Inventories
from cloudsync.reconcile.networks import resolved
from cloudsync.reconcile.observe import accounts_of, observe, only_this_machine, twins
from cloudsync.reconcile.ssh_session import own_login
from cloudsync.rules import NOTHING, RuleSet
from cloudsync.rules.frozen import dataclass
from cloudsync.runtime import clock
from cloudsync.runtime.pools import side_by_side
from cloudsync.sources.read_hosts import read_hosts
from cloudsync.state import seen
from cloudsync.state.applied import last_ssh
from cloudsync.state.engines import recall

_SOME_MACHINES = 50

if TYPE_CHECKING:
    from cloudsync.sources.docker.inspected import Inspections
    from cloudsync.state.shards import Shard


@dataclass(frozen=True, slots=True)
class Request:
    """What a plan is asked for."""

    firewalls: tuple[str, ...] = ()
    """Only these, by their names in the configuration, or by that of the table with `per_host` that
    they were made from; empty = all."""
    granted: Granted = field(default_factory=Granted)
    """What the user allowed."""
    still: Mapping[str, RuleSet] = field(default_factory=dict)
    """By firewall, what an approved plan showed as held by grace: it stays held (law 6)."""
    shard: Shard | None = None
    """Only the firewalls that this shard takes."""
    inventories: Inventories = field(default_factory=Inventories)
    """How published hosts are read."""
    inspections: Inspections | None = None
    """What engines need not be asked again."""


@dataclass(frozen=True, slots=True)
class Planned:
    """A plan, and what an apply would need to carry it out."""

    plan: Plan
    considered: tuple[Considered, ...]
    configuration: Configuration
    """With its networks that move as they were read."""
    discoveries: Mapping[str, Discovery] = field(default_factory=dict)
    engines: EngineMemory = field(default_factory=EngineMemory)
    """What earlier applies remember of the hosts."""


@dataclass(frozen=True, slots=True)
class Question:
    """The firewalls a plan is about, and how their vendors are asked."""

    firewalls: tuple[Firewall, ...]
    specs: Mapping[str, FirewallSpec]
    """By firewall."""
    accounts: Mapping[str, Account]
    """By the name of the provider's table."""


@dataclass(frozen=True, slots=True)
class Earlier:
    """What hosts are read with: what is remembered of their engines, what they published, and what
    engines need not be asked again."""

    engines: EngineMemory
    published: Mapping[str, Published]
    inspections: Inspections | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """The world as it was read."""

    observed: Mapping[str, Observation]
    """By firewall."""
    seen: Mapping[str, Seen]
    """By account: what the same readers reported of machines and marks."""
    discoveries: Mapping[str, Discovery]
    """By host."""


def make_plan(
    configuration: Configuration, request: Request, until: float, progress: Progress = silent
) -> Planned:
    """What an apply would change now, and why. `until`: when reading must be over
    (`time.monotonic()`). Raises `StateError` if the state cannot be read."""
    networks = resolved(identified(configuration), until, progress)
    configuration = networks.configuration
    question = _question(configuration, request, until, progress)
    past, damaged = _past(configuration, question, request.still)
    wanted = _hosts(configuration, request, question)
    engines = recall(configuration.state, configuration.owner, wanted)
    hosts = _in_turn(wanted, engines, configuration)
    published = request.inventories.read(configuration, hosts, until)
    earlier = Earlier(engines, published, request.inspections)
    answer = _read(configuration, question, hosts, earlier, until)
    considered = _decided(configuration, request.granted, question, answer, past)
    return Planned(
        Plan(
            tool_version=__version__,
            created=datetime.now(UTC),
            owner=configuration.owner,
            granted=request.granted,
            hosts=tuple(
                (name, _status(discovery)) for name, discovery in answer.discoveries.items()
            ),
            firewalls=tuple(judged.plan for judged in considered),
            guards=tuple(guard for judged in considered for guard in judged.guards),
            unassigned=unassigned(configuration, answer.discoveries),
            malformed=_malformed(answer.discoveries),
            malformed_on=_malformed_on(answer.discoveries),
            warnings=(
                *damaged,
                *networks.notes,
                *_warnings(considered, answer.discoveries),
                *unlooked(answer.seen),
            ),
            orphans=orphans(configuration, considered, answer.seen),
            networks=networks.readings,
            machines=tuple(_machines(answer.seen)),
            unpublished=tuple(
                container
                for discovery in answer.discoveries.values()
                if not isinstance(discovery, Failed)
                for container in discovery.unpublished
            ),
        ),
        considered,
        configuration,
        answer.discoveries,
        engines,
    )


def _question(
    configuration: Configuration, request: Request, until: float, progress: Progress
) -> Question:
    chosen, shard = frozenset(configuration.named(request.firewalls)), request.shard
    firewalls = tuple(
        firewall
        for name, firewall in configuration.firewalls.items()
        if (not chosen or name in chosen) and (shard is None or shard.takes(name))
    )
    return Question(
        firewalls,
        {firewall.name: spec_of(configuration, firewall) for firewall in firewalls},
        accounts_of(configuration, {firewall.account for firewall in firewalls}, until, progress),
    )


def _hosts(configuration: Configuration, request: Request, question: Question) -> list[str]:
    """The hosts behind the firewalls; with all firewalls also those that feed none, since their
    required ports are reported: in shards, each by the shard that takes its name."""
    wanted = {host for firewall in question.firewalls for host in firewall.hosts}
    if request.firewalls:
        return sorted(wanted)
    living = {host.name for host in configuration.hosts.values() if not host.retired}
    if request.shard is None:
        return sorted(wanted | living)
    feeding = {host for firewall in configuration.firewalls.values() for host in firewall.hosts}
    return sorted(wanted | {host for host in living - feeding if request.shard.takes(host)})


def _in_turn(hosts: list[str], memory: EngineMemory, configuration: Configuration) -> list[str]:
    """The order in which hosts are read: where the time does not suffice for all of them, chance
    decides each time who is left out, so that no host is left out for ever.

    Hosts whose engines did not answer last time cost the most time. They come last, but for a few:
    else one that is back would wait until all others are quick.
    """
    if len(hosts) <= configuration.run.concurrency:
        return hosts  # all are begun at once
    shuffled = random.sample(hosts, len(hosts))
    down = [host for host in shuffled if host in memory.hosts and memory.hosts[host].down]
    up = [host for host in shuffled if host not in set(down)]
    few = max(1, configuration.run.concurrency // 4)
    return [*down[:few], *up, *down[few:]]


def _read(
    configuration: Configuration,
    question: Question,
    hosts: list[str],
    earlier: Earlier,
    until: float,
) -> Answer:
    """Hosts and firewalls, side by side."""
    progress = next((account.progress for account in question.accounts.values()), silent)
    asked = {f.name: (f.account, question.specs[f.name]) for f in question.firewalls}

    def read() -> Mapping[str, Discovery]:
        return read_hosts(
            _within(configuration, until),
            hosts,
            progress,
            earlier.engines,
            earlier.published,
            earlier.inspections,
        )

    if len(hosts) == 1 and only_this_machine(configuration, asked):
        # Both in milliseconds: threads would take longer than they save.
        readings = observe(configuration, question.accounts, asked, look_further=True, here=True)
        discoveries = read()
    else:
        with side_by_side(1, "hosts") as pool:
            reading = pool.submit(read)
            readings = observe(configuration, question.accounts, asked, look_further=True)
            discoveries = reading.result()
    return Answer(
        readings.observed, readings.seen, {name: discoveries[name] for name in sorted(hosts)}
    )


def _within(configuration: Configuration, until: float) -> Configuration:
    """The configuration with no more time for its hosts than is left of this phase."""
    left = max(until - time.monotonic(), 0.1)
    run = replace(
        configuration.run, host_timeout=min(configuration.run.host_timeout, left), deadline=left
    )
    return replace(configuration, run=run)


def _past(
    configuration: Configuration, question: Question, still: Mapping[str, RuleSet]
) -> tuple[dict[str, Past], tuple[str, ...]]:
    """What earlier runs left of each firewall, and a warning if it cannot be read."""
    names = [firewall.name for firewall in question.firewalls]
    ssh = last_ssh(configuration.state, configuration.owner, names)
    loaded = seen.load(configuration.state, configuration.owner, names)
    now = clock.now()
    past = {}
    for firewall in question.firewalls:
        name = firewall.name
        memory = loaded.entries.get(name)
        if memory is not None and memory.identity != _identity(
            configuration, firewall, question.specs[name]
        ):
            memory = None
        past[name] = Past(
            now, ssh.get(name), memory, loaded.damaged is not None, still.get(name, NOTHING)
        )
    if loaded.damaged is None:
        return past, ()
    return past, (
        f"{loaded.damaged}: all grace starts again, and the next apply rewrites the file",
    )


def _identity(configuration: Configuration, firewall: Firewall, spec: FirewallSpec) -> str | None:
    try:
        return configuration.accounts[firewall.account].provider.identity(spec)
    except ProviderError:
        return None  # the firewall cannot be planned at all, see `unusable`


def _decided(
    configuration: Configuration,
    granted: Granted,
    question: Question,
    answer: Answer,
    past: Mapping[str, Past],
) -> tuple[Considered, ...]:
    """Every firewall decided, with what the Internet reaches on its machines. What other firewalls
    leave open is known only once all are decided; `policy.foreign = "fail"` then withholds the
    closings of those that it concerns."""
    same = twins(configuration, question.accounts, question.firewalls, answer.observed)
    judge = _Judge(configuration, granted, question, answer, past, same, own_login(os.environ))
    judged = [judge.judged(firewall) for firewall in question.firewalls]
    first = with_standings(judged, answer.seen, configuration.policy)
    withheld = foreign_guards(configuration.policy, first)
    return tuple(
        judge.under(withheld[firewall.name], firewall, judged)
        if firewall.name in withheld
        else judged
        for firewall, judged in zip(question.firewalls, first, strict=True)
    )


@dataclass(frozen=True, slots=True)
class _Judge:
    """Everything that the decisions of one plan are made of."""

    configuration: Configuration
    granted: Granted
    question: Question
    answer: Answer
    past: Mapping[str, Past]
    same: Mapping[str, Sequence[str]]
    """By firewall, others of the configuration that are the same one at the vendor."""
    login: Login | None
    """The SSH connection of the person who runs this."""

    def judged(self, firewall: Firewall, foreign: Guard | None = None) -> Considered:
        """One firewall decided; one whose plugin fails is like one that could not be read."""
        try:
            return self._considered(firewall, foreign)
        except ProviderError as error:
            account = self.question.accounts[firewall.account]
            spec = self.question.specs[firewall.name]
            return unusable(self.configuration, account, spec, error)

    def under(self, guard: Guard, firewall: Firewall, before: Considered) -> Considered:
        """The same firewall with its closings withheld by `guard`."""
        after = self.judged(firewall, guard)
        return replace(after, plan=replace(after.plan, standing=before.plan.standing))

    def _considered(self, firewall: Firewall, foreign: Guard | None) -> Considered:
        name, answer = firewall.name, self.answer
        case = Case(
            self.configuration,
            firewall,
            self.question.accounts[firewall.account],
            self.question.specs[name],
            answer.observed[name],
            answer.discoveries,
            self.past[name],
            self.granted,
            self.login,
            self.same.get(name, ()),
            answer.seen.get(firewall.account, Seen()).fleet,
        )
        judged = consider(case, foreign)
        shared = sharing_of(self.configuration, firewall, judged.target.rules, answer.discoveries)
        return replace(judged, plan=replace(judged.plan, shared=shared))


def unusable(
    configuration: Configuration, account: Account, spec: FirewallSpec, error: ProviderError
) -> Considered:
    """A firewall whose provider failed while it was decided: like one that could not be read."""
    firewall = configuration.firewalls[spec.name]
    table = configuration.accounts[firewall.account]
    plan = FirewallPlan(
        name=firewall.name,
        provider=table.name,
        type=table.type,
        endpoint="",
        identity="",
        id=None,
        exists=None,
        read=ReadStatus("failed", error.message, temporary=error.temporary),
        hosts=firewall.hosts,
    )
    return Considered(plan, account, spec, Unreadable(error), Target(spec, NOTHING))


def _machines(seen_by_account: Mapping[str, Seen]) -> Iterable[tuple[str, tuple[str, ...]]]:
    """Some machines of each account, always the same ones."""
    for name, account in sorted(seen_by_account.items()):
        if account.fleet is not None and not isinstance(account.fleet, Unreadable):
            targets = sorted(machine.target for machine in account.fleet.machines)
            if targets:
                yield name, tuple(targets[:_SOME_MACHINES])


def _status(discovery: Discovery) -> ReadStatus:
    if isinstance(discovery, Failed):
        return ReadStatus("failed", discovery.reason, temporary=discovery.temporary)
    if isinstance(discovery, Partial):
        return ReadStatus("partial", "; ".join(discovery.reasons), temporary=discovery.temporary)
    return ReadStatus("complete")


def _malformed(discoveries: Mapping[str, Discovery]) -> tuple[str, ...]:
    return tuple(
        f"{container.origin.container or name_of(container.origin)} on {host}: {container.problem}"
        for host, discovery in discoveries.items()
        if isinstance(discovery, Complete | Partial)
        for container in discovery.malformed
    )


def _malformed_on(discoveries: Mapping[str, Discovery]) -> frozenset[str]:
    return frozenset(
        host
        for host, discovery in discoveries.items()
        if isinstance(discovery, Complete | Partial) and discovery.malformed
    )


def _warnings(
    considered: Iterable[Considered], discoveries: Mapping[str, Discovery]
) -> tuple[str, ...]:
    warnings = [f"{judged.plan.name}: {text}" for judged in considered for text in judged.warnings]
    for host, discovery in discoveries.items():
        if isinstance(discovery, Complete | Partial):
            unpublished = about_unpublished(discovery.unpublished)
            warnings += [f"{host}: {text}" for text in (*discovery.remarks, *unpublished)]
    return tuple(dict.fromkeys(warnings))
