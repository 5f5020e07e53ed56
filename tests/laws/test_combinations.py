"""Combinations that single tests do not meet: two firewalls, a conflict and an approval, a memory
of another firewall, what a read-back must say."""

from __future__ import annotations

import json
import signal
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from cloudsync import exit_codes
from cloudsync.config.configuration import AccountTable, RunSettings
from cloudsync.model.memory import EngineMemory, Remembered
from cloudsync.model.plan import Granted
from cloudsync.model.plan_json import from_document, to_document
from cloudsync.model.ports import Complete, Failed
from cloudsync.provider.contract import FirewallSpec, Machine, Pending, Step, StepKind
from cloudsync.provider.errors import Conflict, ProviderError
from cloudsync.provider.guarded import guarded
from cloudsync.provider.machines import ActingFirewall, Marked
from cloudsync.provider.settings import AccountSettings
from cloudsync.reconcile import execute, make_plan
from cloudsync.reconcile import run as reconcile
from cloudsync.reconcile.run import Options, Report, Terms
from cloudsync.runtime.deadline import Deadline
from cloudsync.runtime.signals import PATIENCE_SECONDS, Interruption
from cloudsync.state import history, seen
from tests.world import (
    Cloud,
    MemoryProvider,
    MemoryReader,
    MemorySettings,
    World,
    both,
    rules,
)


def apply(world: World, terms: Terms = Terms(), **granted: Any) -> Report:
    return reconcile.apply(world.configuration, Options(granted=Granted(**granted)), terms)


@pytest.fixture
def two(world: World) -> World:
    """Two firewalls of one host, both applied, with grace of ten minutes."""
    world.add("db")
    world.policy(grace=timedelta(minutes=10))
    for name in ("web", "db"):
        world.has("tcp/22", name=name)
    world.needs("443", "8080")
    apply(world)
    return world


# Memories


def test_the_timers_of_a_firewall_survive_a_run_that_looks_at_another(two: World) -> None:
    two.needs("443")
    apply(two)
    before = seen.load(two.configuration.state, "shop").entries
    assert before["web"].missing
    assert before["db"].missing
    two.needs("443", "9443")
    reconcile.apply(two.configuration, Options(firewalls=("web",)))
    after = seen.load(two.configuration.state, "shop").entries
    assert after["db"] == before["db"]
    assert after["web"].hosts != before["web"].hosts


def test_a_memory_of_another_firewall_at_the_vendor_does_not_count(two: World) -> None:
    """The name in the configuration stays, the vendor's firewall is another one: what its rules
    were nobody knows, so they have no grace."""
    two.has("tcp/22", "tcp/8080", name="other", mine=False)
    two.cloud.markers["other"] = two.marker_of("web")
    two.firewall(settings=MemorySettings(name="other"))
    two.needs("443")
    plan = reconcile.plan(two.configuration, Options(firewalls=("web",))).plan
    assert [held.reason for held in plan.firewalls[0].held] == []


def test_the_entry_of_a_run_that_died_has_what_was_open_before(world: World) -> None:
    world.has("tcp/22", "tcp/8080")
    world.needs("443")

    class Killed(BaseException):
        """Stands for SIGKILL."""

    def die(_: object) -> None:
        raise Killed

    world.cloud.failing = die  # type: ignore[assignment]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(history, "end", lambda *_, **__: None)
        with pytest.raises(Killed):
            apply(world)
    (entry,) = history.entries(world.configuration.state, "shop")
    assert [rule["ports"] for rule in entry["firewalls"][0]["before"]] == ["22", "8080"]


# Approvals


def test_law6_what_a_conflict_brings_up_is_not_applied_beyond_what_was_approved(
    world: World,
) -> None:
    world.has("tcp/22")
    world.needs("443")
    shown = reconcile.plan(world.configuration, Options()).plan

    def meanwhile(_: Step) -> ProviderError | None:
        world.cloud.failing = lambda _: None
        world.needs("443", "9443")  # nobody was shown this
        return Conflict("changed meanwhile")

    world.cloud.failing = meanwhile
    report = apply(world, Terms(approved=shown))
    assert not world.cloud.firewalls["web"] & rules("tcp/9443")
    assert "planned again" in (report.outcomes[0].message or "")


def test_law6_a_conflict_is_settled_by_one_more_plan_within_the_approved_one(world: World) -> None:
    world.has("tcp/22")
    world.needs("443")
    shown = reconcile.plan(world.configuration, Options()).plan
    errors = [Conflict("changed meanwhile")]
    world.cloud.failing = lambda _: errors.pop() if errors else None
    report = apply(world, Terms(approved=shown))
    assert [outcome.status for outcome in report.outcomes] == ["done"]
    assert world.cloud.firewalls["web"] == rules("tcp/22", "tcp/443")


def test_law6_what_was_granted_in_a_plan_file_is_granted_all_of_it(two: World) -> None:
    """`--now` too: the approved closings do not wait for grace."""
    two.needs("443")
    options = Options(granted=Granted(now=True, allow_close=3, ssh_moved=True, adopt=("web",)))
    plan = reconcile.plan(two.configuration, options).plan
    read = from_document(json.dumps(to_document(plan)))
    assert read.granted == options.granted


def test_law6_a_plan_from_the_future_says_that_a_clock_is_wrong(world: World) -> None:
    world.has("tcp/22")
    world.needs("443")
    shown = reconcile.plan(world.configuration, Options()).plan
    for ahead, moved in ((4, False), (6, True)):
        later = replace(shown, created=shown.created + timedelta(minutes=ahead))
        report = apply(world, Terms(approved=later))
        assert ("is in the future: a clock is wrong" in (report.moved or "")) is moved
        world.has("tcp/22")


# What a read-back says


def test_a_machine_that_was_not_attached_is_not_reported_as_done(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.cloud.machines["web-1"] = Machine("7", "web-1", protected=True)
    world.firewall(settings=MemorySettings(servers=("web-1",)))
    world.has("tcp/22")
    monkeypatch.setattr(
        "tests.world.MemoryWriter.run", lambda self, step: None
    )  # accepted, and lost
    (outcome,) = apply(world).outcomes
    assert (outcome.status, outcome.message) == ("failed", "written, but server 7 is not attached")


def test_what_is_still_pending_is_not_reported_as_done(world: World) -> None:
    world.has("tcp/22")
    world.needs("443")
    run = world.provider.open_writer

    def open_writer(account: Any) -> Any:
        writer = run(account)
        world.cloud.pending["web"] = (Pending("server 7", "is still being applied"),)
        return writer

    world.provider.open_writer = open_writer  # type: ignore[method-assign]
    (outcome,) = apply(world).outcomes
    assert (outcome.status, outcome.message) == (
        "failed",
        "written, but server 7: is still being applied",
    )


@pytest.mark.parametrize("stopped", [False, True])
def test_after_a_signal_what_was_done_is_looked_at_for_seconds_only(
    world: World, monkeypatch: pytest.MonkeyPatch, stopped: bool
) -> None:
    """Without one it may take what is left of the run."""
    world.has("tcp/22")
    world.needs("443")
    stop, left = Interruption(), list[float]()
    open_reader = world.provider.open_reader

    def noted(account: Any) -> Any:
        left.append(account.deadline - time.monotonic())
        return open_reader(account)

    def interrupts(_: Step) -> None:
        if stopped:
            stop.request(signal.SIGTERM)

    monkeypatch.setattr(world.provider, "open_reader", noted)
    monkeypatch.setattr(world.cloud, "failing", interrupts)
    reconcile.apply(world.configuration, Options(), interruption=stop)
    assert (left[-1] <= PATIENCE_SECONDS) is stopped


# Side by side


class Crowded(MemoryProvider):
    """Notes how many writes run at once."""

    def __init__(self, cloud: Cloud, at_once: int) -> None:
        super().__init__(cloud)
        self.capabilities = replace(self.capabilities, at_once=at_once)
        self.now, self.most, self.lock = 0, 0, threading.Lock()

    def open_writer(self, account: Any) -> Any:
        writer = super().open_writer(account)
        run = writer.run

        def counted(step: Step) -> None:
            with self.lock:
                self.now += 1
                self.most = max(self.most, self.now)
            time.sleep(0.02)  # long enough for a second one, were there one
            run(step)
            with self.lock:
                self.now -= 1

        writer.run = counted  # type: ignore[method-assign]
        return writer


def test_a_provider_that_writes_one_at_a_time_is_never_asked_for_two(world: World) -> None:
    provider = Crowded(world.cloud, 1)
    table = replace(world.configuration.accounts["memory"], provider=guarded(provider, "memory"))
    world.configuration = replace(world.configuration, accounts={"memory": table})
    world.add(*(f"f{number}" for number in range(8)))
    world.needs("443")
    assert {outcome.status for outcome in apply(world).outcomes} == {"done"}
    assert provider.most == 1


# One account by two tables


class Marking(MemoryReader):
    def read_marked(
        self, owner: str, specs: Sequence[FirewallSpec], *, ask: bool
    ) -> Sequence[Marked]:
        mine = {spec.settings.name: spec.name for spec in specs}  # type: ignore[attr-defined]
        return [
            Marked(ActingFirewall(name, name, of=mine.get(name)), marker)
            for name, marker in self.cloud.markers.items()
            if marker is not None
        ]


@pytest.fixture
def split(world: World) -> World:
    """Firewalls web and db of one account, which the configuration has two tables for."""
    world.provider.open_reader = lambda _: Marking(world.cloud)  # type: ignore[method-assign, assignment]
    world.add("db")
    db = replace(world.configuration.firewalls["db"], account="second")
    second = AccountTable("second", "memory", guarded(world.provider, "memory"), AccountSettings())
    world.configuration = replace(
        world.configuration,
        accounts={**world.configuration.accounts, "second": second},
        firewalls={**world.configuration.firewalls, "db": db},
    )
    world.has("tcp/22")
    world.has("tcp/22", name="db")
    return world


def test_a_firewall_of_another_table_for_the_same_account_is_not_left_over(split: World) -> None:
    assert reconcile.plan(split.configuration, Options()).plan.orphans == ()
    assert reconcile.plan(split.configuration, Options(("web",))).plan.orphans == ()


def test_what_is_really_left_over_is_reported_once(split: World) -> None:
    split.cloud.markers["gone"] = replace(split.marker_of("db"), firewall="gone")
    orphans = reconcile.plan(split.configuration, Options()).plan.orphans
    assert [(orphan.id, orphan.firewall) for orphan in orphans] == [("gone", "gone")]


def test_one_firewall_by_two_tables_is_refused(split: World) -> None:
    db = replace(split.configuration.firewalls["db"], settings=MemorySettings(name="web"))
    split.configuration = replace(
        split.configuration, firewalls={**split.configuration.firewalls, "db": db}
    )
    plan = reconcile.plan(split.configuration, Options()).plan
    assert [guard.id for guard in plan.guards if guard.id == "same-firewall"] == [
        "same-firewall"
    ] * 2


# One deadline


def test_every_phase_ends_before_the_next_has_no_time_left() -> None:
    deadline = Deadline(1000.0, 300.0)
    assert deadline.begun < deadline.reading < deadline.writing < deadline.over


def test_hosts_are_read_within_the_time_for_reading(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Were it the run's whole deadline, hosts that hang would leave no time for any write."""
    given: list[RunSettings] = []

    def read_hosts(configuration: Any, names: Any, *_: Any) -> Any:
        given.append(configuration.run)
        return {name: Complete() for name in names}

    monkeypatch.setattr(make_plan, "read_hosts", read_hosts)
    world.configuration = replace(world.configuration, run=RunSettings(100.0, 60.0, 4))
    world.has("tcp/22")
    apply(world)
    (run,) = given
    assert 20 < run.deadline <= 30.0
    assert run.host_timeout <= run.deadline


def test_law1_hosts_that_take_all_the_time_stop_no_write_of_others(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read_hosts(configuration: Any, names: Any, *_: Any) -> Any:
        time.sleep(configuration.run.deadline)  # every engine hangs until it is given up
        return {
            name: Complete(both("443")) if name == "web-1" else Failed("no answer")
            for name in names
        }

    monkeypatch.setattr(make_plan, "read_hosts", read_hosts)
    world.configuration = replace(
        world.configuration,
        run=RunSettings(0.5, 8.0, 4),
        hosts={
            **world.configuration.hosts,
            "dead": replace(world.configuration.hosts["web-1"], name="dead"),
        },
    )
    world.has("tcp/22")
    assert [outcome.status for outcome in apply(world).outcomes] == ["done"]
    assert world.cloud.firewalls["web"] == rules("tcp/22", "tcp/443")


def test_a_write_that_was_never_begun_for_want_of_time_is_no_success(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reading took the whole deadline: exit 6, not 0 with nothing done."""

    def read_hosts(configuration: Any, names: Any, *_: Any) -> Any:
        time.sleep(1.2)
        return {name: Complete(both("443")) for name in names}

    monkeypatch.setattr(make_plan, "read_hosts", read_hosts)
    world.configuration = replace(world.configuration, run=RunSettings(0.5, 1.0, 4))
    world.has("tcp/22")
    report = apply(world)
    (outcome,) = report.outcomes
    assert outcome.status == "not-begun"
    assert "deadline" in (outcome.message or "")
    assert exit_codes.of_report(report) == 6


def test_nobody_is_always_the_last_to_be_read(world: World) -> None:
    """With more hosts than the time is enough for, chance decides, so that none is left out for
    ever; hosts that did not answer last time come at the end, but for a few of them."""
    hosts = [f"h{number:02}" for number in range(40)]
    memory = EngineMemory({name: Remembered(down=True) for name in hosts[:20]})
    configuration = replace(world.configuration, run=RunSettings(1.0, 60.0, 8))
    orders = [make_plan._in_turn(hosts, memory, configuration) for _ in range(200)]
    assert all(sorted(order) == hosts for order in orders)
    assert {order[-1] for order in orders} <= set(hosts[:20])
    assert {name for order in orders for name in order[:2]} == set(hosts[:20])
    assert len({order[2] for order in orders}) == 20


def test_a_vendor_that_sends_a_byte_now_and_then_stops_no_other_account(world: World) -> None:
    """A socket's time-out is about silence: whoever trickles passes all of them."""
    release = threading.Event()

    class Trickling(MemoryProvider):
        def open_reader(self, account: Any) -> Any:
            release.wait(60)
            return super().open_reader(account)

    world.add("slow")
    slow = AccountTable("slow", "memory", guarded(Trickling(Cloud()), "slow"), AccountSettings())
    world.configuration = replace(
        world.configuration,
        run=RunSettings(0.5, 6.0, 4),
        accounts={**world.configuration.accounts, "slow": slow},
        firewalls={
            **world.configuration.firewalls,
            "slow": replace(world.configuration.firewalls["slow"], account="slow"),
        },
    )
    world.has("tcp/22")
    world.needs("443")
    begun = time.monotonic()
    try:
        report = apply(world)
    finally:
        release.set()
    assert time.monotonic() - begun < 40
    assert [outcome.status for outcome in report.outcomes] == ["done", "not-begun"]


# Reads that lag behind writes


class Lagging(MemoryReader):
    """Shows what was there before the first `looks` looks after a write."""

    def __init__(self, cloud: Cloud, provider: LaggingProvider) -> None:
        super().__init__(cloud)
        self.provider = provider

    def read(self, specs: Any) -> Any:
        if self.provider.written and self.provider.looks > 0:
            self.provider.looks -= 1
            return self.provider.before
        self.provider.before = super().read(specs)
        return self.provider.before


class LaggingProvider(MemoryProvider):
    def __init__(self, cloud: Cloud, looks: int) -> None:
        super().__init__(cloud)
        self.capabilities = replace(self.capabilities, lag_seconds=30.0)
        self.looks, self.written, self.before = looks, False, None

    def open_reader(self, account: Any) -> Any:
        return Lagging(self.cloud, self)

    def open_writer(self, account: Any) -> Any:
        self.written = True
        return super().open_writer(account)


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    waited: list[float] = []
    monkeypatch.setattr(
        reconcile,
        "Conditions",
        lambda *given, **more: execute.Conditions(*given, **more, pause=waited.append),
    )
    return waited


def lagging(world: World, looks: int) -> LaggingProvider:
    provider = LaggingProvider(world.cloud, looks)
    table = replace(world.configuration.accounts["memory"], provider=guarded(provider, "memory"))
    world.configuration = replace(world.configuration, accounts={"memory": table})
    return provider


@pytest.mark.parametrize("new", [True, False])
def test_what_the_vendor_accepted_is_waited_for_until_it_can_be_read(
    world: World, pauses: list[float], new: bool
) -> None:
    lagging(world, looks=4)
    if not new:
        world.has("tcp/22", "tcp/8080")
    world.needs("443")
    (outcome,) = apply(world).outcomes
    assert (outcome.status, outcome.opened, outcome.closed) == (
        "done",
        2 if new else 1,
        int(not new),
    )
    assert len(pauses) == 4


def test_what_another_one_changed_meanwhile_is_no_lag(world: World, pauses: list[float]) -> None:
    provider = lagging(world, looks=0)
    world.has("tcp/22")
    world.needs("443")
    run = provider.open_writer

    def open_writer(account: Any) -> Any:
        writer = run(account)
        write = writer.run

        def and_more(step: Step) -> None:
            write(step)
            world.cloud.firewalls["web"] = world.cloud.firewalls["web"] | rules("tcp/9999")

        writer.run = and_more  # type: ignore[method-assign]
        return writer

    provider.open_writer = open_writer  # type: ignore[method-assign]
    (outcome,) = apply(world).outcomes
    assert outcome.status == "failed"
    assert "tcp/9999" in (outcome.message or "")
    assert pauses == []


def test_a_write_that_the_vendor_refused_is_not_waited_for(
    world: World, pauses: list[float]
) -> None:
    lagging(world, looks=100)
    world.has("tcp/22")
    world.needs("443")
    world.cloud.failing = lambda step: ProviderError("no") if step.kind is StepKind.WIDEN else None
    (outcome,) = apply(world).outcomes
    assert (outcome.status, pauses) == ("failed", [])
