"""Whole runs with their state in a real store: the laws hold, nothing that a run learnt is lost,
and no two controllers ever write at once, whatever the store does."""

from __future__ import annotations

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from cloudsync.model.plan import Granted
from cloudsync.model.ports import Failed
from cloudsync.model.state_url import StateUrl
from cloudsync.provider.contract import Step
from cloudsync.provider.errors import ProviderError
from cloudsync.reconcile import run as reconcile
from cloudsync.reconcile.inventories import with_hosts_from_store
from cloudsync.reconcile.run import Options, Report, Terms
from cloudsync.rules import RuleSet
from cloudsync.state import StateError, history, seen
from cloudsync.state import lease as leases
from cloudsync.state.applied import last_ssh, record_ssh
from cloudsync.state.engines import remember
from cloudsync.state.exclusive import exclusive
from cloudsync.state.lock import LockHeld
from cloudsync.state.shards import Shard
from cloudsync.state.store.contract import update
from cloudsync.state.store.opened import open_store
from tests.store.trouble import Asked, Proxy, Trouble
from tests.world import World, rules

pytestmark = pytest.mark.ceph
ROUNDS = int(os.environ.get("CLOUDSYNC_ROUNDS", "25"))
"""Of eight controllers each; 1,000 in the long run (docs/benchmarks.md)."""


def stored(world: World, place: StateUrl) -> World:
    world.configuration = replace(world.configuration, state=place)
    return world


def apply(world: World, options: Options | None = None, **terms: Any) -> Report:
    return reconcile.apply(world.configuration, options or Options(), Terms(**terms))


def test_an_apply_leaves_the_same_memory_in_a_store_as_in_a_folder(
    world: World, url: StateUrl
) -> None:
    folder = world.configuration.state
    world.needs("443", "8080")
    apply(world)
    first = (
        {name: memory.hosts for name, memory in seen.load(folder, "shop").entries.items()},
        last_ssh(folder, "shop"),
    )
    world.cloud.firewalls.clear()
    world.cloud.markers.clear()
    apply(stored(world, url))
    second = (
        {name: memory.hosts for name, memory in seen.load(url, "shop").entries.items()},
        last_ssh(url, "shop"),
    )
    assert first == second
    (entry,) = history.entries(url, "shop")
    assert entry["outcome"] == "done"


def test_grace_lasts_from_one_controller_to_the_next(world: World, url: StateUrl) -> None:
    stored(world, url)
    world.policy(grace=timedelta(hours=1))
    world.needs("443", "8080")
    apply(world)
    world.needs("443")
    for _ in range(3):
        report = apply(world)
        assert [held.reason for held in report.plan.firewalls[0].held] == ["grace"]
    assert world.cloud.firewalls["web"].covers(rules("tcp/8080"))


def test_law2_the_ssh_of_another_controllers_apply_is_guarded(world: World, url: StateUrl) -> None:
    stored(world, url)
    apply(world)
    world.ssh("any", numbers=(2222,))
    report = apply(world)
    assert "ssh-moved" in [guard.id for guard in report.plan.guards]
    assert world.cloud.firewalls["web"].covers(rules("tcp/22"))
    granted = Options(granted=Granted(ssh_moved=True))
    apply(world, granted)
    assert not world.cloud.firewalls["web"] & rules("tcp/22")


def test_law1_a_store_that_cannot_be_read_stops_the_run_before_any_write(
    world: World, troubled: tuple[StateUrl, Proxy], monkeypatch: pytest.MonkeyPatch
) -> None:
    place, proxy = troubled
    monkeypatch.setattr("cloudsync.state.store.bucket._PAUSES", (0.0, 0.0))
    world.has("tcp/22", "tcp/443", "tcp/8080")
    world.needs("443")
    stored(world, place)
    for trouble in ("lost", "503", "500", "404", "412"):
        proxy.choose = lambda _, trouble=trouble: trouble  # type: ignore[misc]
        with pytest.raises((StateError, LockHeld)):
            apply(world)
    assert world.cloud.history == []
    assert world.cloud.writers == 0


def test_law5_a_plan_writes_nothing_into_the_store(
    world: World, troubled: tuple[StateUrl, Proxy]
) -> None:
    place, proxy = troubled
    world.needs("443")
    stored(world, place)
    proxy.asked.clear()
    reconcile.plan(world.configuration, Options())
    assert proxy.asked
    assert {asked.method for asked in proxy.asked} == {"GET"}


@pytest.mark.parametrize("every", [3, 4, 5, 7])
def test_laws_1_to_3_hold_while_the_store_makes_trouble(
    world: World,
    troubled: tuple[StateUrl, Proxy],
    monkeypatch: pytest.MonkeyPatch,
    every: int,
) -> None:
    """Every so many requests something goes wrong; applies end or refuse, and are repeated. SSH and
    what stays wanted is open throughout, nothing else ever opens, and the end is what was
    wanted."""
    place, proxy = troubled
    monkeypatch.setattr("cloudsync.state.store.bucket._PAUSES", (0.0, 0.0, 0.0))
    kinds: tuple[Trouble, ...] = ("unanswered", "503", "stale-list", "lost", "500", "412", "429")
    proxy.choose = lambda asked: kinds[asked.number % 7] if asked.number % every == 0 else "none"
    stored(world, place)
    world.policy(grace=timedelta())
    before, wanted = rules("tcp/22", "tcp/443", "tcp/8080"), rules("tcp/22", "tcp/443", "tcp/9443")
    world.has("tcp/22", "tcp/443", "tcp/8080")
    world.needs("443", "9443")
    done = 0
    for _ in range(40):
        try:
            apply(world)
        except (StateError, LockHeld):
            continue
        done += 1
        if done == 3:
            break
    assert done == 3
    for _, between in world.cloud.history:
        assert between.covers(before & wanted)
        assert (before | wanted).covers(between)
    assert world.cloud.firewalls["web"] == wanted


def test_law3_a_store_that_dies_while_clouds_are_written_leaves_a_run_that_is_finished(
    world: World, troubled: tuple[StateUrl, Proxy], monkeypatch: pytest.MonkeyPatch
) -> None:
    place, proxy = troubled
    monkeypatch.setattr("cloudsync.state.store.bucket._PAUSES", (0.0,))
    stored(world, place)
    world.has("tcp/22")
    world.needs("443", "8443")

    def dies(_: Step) -> ProviderError | None:
        proxy.choose = lambda _: "lost"
        return None

    world.cloud.failing = dies
    report = apply(world)
    assert report.notes, "what could not be remembered is said"
    assert world.cloud.firewalls["web"].covers(rules("tcp/22", "tcp/443", "tcp/8443"))
    world.cloud.failing = lambda _: None
    proxy.choose = lambda _: "none"
    # The lease was not given back: a successor waits until it ran out, by the store's clock.
    with pytest.raises(LockHeld):
        apply(world)


@dataclass
class Watcher:
    """Notices two at once who write one firewall."""

    inside: dict[str, int] = field(default_factory=dict)
    clashes: list[str] = field(default_factory=list)
    entered: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def writes(self, names: list[str], seconds: float = 0.0) -> None:
        with self.lock:
            self.entered += 1
            self.clashes += [name for name in names if self.inside.get(name)]
            for name in names:
                self.inside[name] = self.inside.get(name, 0) + 1
        time.sleep(seconds)
        with self.lock:
            for name in names:
                self.inside[name] -= 1


def test_of_eight_controllers_each_round_one_writes_and_no_update_is_lost(url: StateUrl) -> None:
    """Each round all eight want the one lease; who gets it writes memory that the last one wrote,
    plus one. All of them also merge an entry of their own into one document."""
    watcher, store = Watcher(), open_store(url)
    barrier = threading.Barrier(8)
    held: list[int] = []

    def one_more(raw: bytes | None) -> bytes:
        return str(int(raw or b"0") + 1).encode()

    def controller(number: int) -> None:
        for _ in range(ROUNDS):
            barrier.wait(120)
            try:
                with exclusive(url, "shop", ("web",)) as mine:
                    watcher.writes(["web"])
                    ssh = last_ssh(mine.state, "shop", ("web",)).get("web", RuleSet())
                    ports = max((rule.last for rule in ssh), default=0)
                    record_ssh(mine.state, "shop", {"web": rules(f"tcp/1-{ports + 1}")})
                    held.append(number)
            except LockHeld:
                pass
            update(store, f"counts/{number % 2}", one_more)

    with ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(controller, number) for number in range(8)]:
            done.result()
    assert watcher.clashes == []
    assert len(held) >= ROUNDS
    assert last_ssh(url, "shop") == {"web": rules(f"tcp/1-{len(held)}")}
    counts = [int(getattr(store.get(f"counts/{number}"), "data", b"0")) for number in range(2)]
    assert sum(counts) == 8 * ROUNDS


def test_shards_side_by_side_do_what_one_run_would(world: World, url: StateUrl) -> None:
    stored(world, url)
    world.add(*(f"fw-{number}" for number in range(12)))
    world.needs("443")

    def run(number: int) -> Report:
        return apply(world, Options(shard=Shard(number, 4)), trigger=f"shard {number}")

    with ThreadPoolExecutor(4) as pool:
        reports = list(pool.map(run, range(4)))
    planned = [plan.name for report in reports for plan in report.plan.firewalls]
    assert sorted(planned) == sorted(world.configuration.firewalls)
    assert all(world.cloud.firewalls[name].covers(rules("tcp/22")) for name in planned)
    assert set(seen.load(url, "shop").entries) == set(planned)
    assert {entry["why"] for entry in history.entries(url, "shop")} == {
        f"shard {number}" for number in range(4)
    }
    assert apply(world).plan.has_changes is False


def test_a_shard_without_a_firewall_does_nothing_at_all(world: World, url: StateUrl) -> None:
    stored(world, url)
    world.needs("443")
    empty = next(Shard(number, 8) for number in range(8) if not Shard(number, 8).takes("web"))
    report = apply(world, Options(shard=empty))
    assert report.plan.firewalls == ()
    assert world.cloud.history == []


def test_a_host_that_feeds_no_firewall_is_reported_by_one_shard(
    world: World, url: StateUrl
) -> None:
    stored(world, url)
    world.firewall(hosts=(), marker_hosts=(), static=True)
    world.needs("443")
    plans = [
        reconcile.plan(world.configuration, Options(shard=Shard(number, 3))).plan
        for number in range(3)
    ]
    assert sum(bool(plan.unassigned) for plan in plans) == 1


def test_a_controller_that_loses_its_lease_before_a_step_does_not_take_it(
    world: World, url: StateUrl, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Frozen between the plan and the first step, and awake again after its time."""
    stored(world, url)
    world.has("tcp/22")
    world.needs("443")
    real = leases.clock
    frozen: list[float] = []
    monkeypatch.setattr(leases, "clock", lambda: real() + sum(frozen))
    with pytest.raises(StateError, match="ran out") as caught:
        reconcile.apply(
            world.configuration, Options(), announce=lambda _: frozen.append(leases.SECONDS)
        )
    assert caught.value.temporary
    assert world.cloud.history == []


def test_a_controller_that_loses_its_lease_between_two_steps_stops_there(
    world: World, url: StateUrl, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored(world, url)
    world.policy(grace=timedelta())
    world.has("tcp/22", "tcp/8080")
    world.needs("443")
    real = leases.clock
    frozen: list[float] = []
    monkeypatch.setattr(leases, "clock", lambda: real() + sum(frozen))

    def freeze(_: Step) -> ProviderError | None:
        frozen.append(leases.SECONDS)
        return None

    world.cloud.failing = freeze
    report = apply(world)
    assert len(world.cloud.history) == 1
    assert world.cloud.firewalls["web"].covers(rules("tcp/22", "tcp/443", "tcp/8080"))
    assert report.outcomes[0].status == "failed"
    assert any("ran out" in note for note in report.notes)


def test_a_run_that_died_is_told_by_the_next_holder_of_its_lease(
    world: World, url: StateUrl
) -> None:
    stored(world, url)
    world.needs("443")
    died = {"id": "20261128T120000-abcdef", "started": "2026-11-28T12:00:00+00:00"}
    died["outcome"] = "begun"
    with exclusive(url, "shop") as held:
        history.begin(held.state, "shop", died)
        assert [entry["outcome"] for entry in history.entries(url, "shop")] == ["begun"]
    assert [entry["outcome"] for entry in history.entries(url, "shop")] == ["died"]
    apply(world)
    entries = history.entries(url, "shop")
    assert [entry["outcome"] for entry in entries] == ["died", "done"]
    assert list(open_store(url).list("shop/running/")) == []


def test_runs_that_change_nothing_do_not_fill_the_store(world: World, url: StateUrl) -> None:
    stored(world, url)
    world.needs("443")
    apply(world)
    before = len(open_store(url).list("shop/"))
    for _ in range(3):
        apply(world)
    after = open_store(url).list("shop/")
    assert len(after) <= before + 1
    assert len(history.entries(url, "shop")) == 4


def test_a_stale_list_hides_no_host_that_was_read_before(world: World, url: StateUrl) -> None:
    published = replace(world.discoveries["web-1"], sequence=7)  # type: ignore[type-var]
    with exclusive(url, "shop") as held:
        remember(held.state, "shop", {"web-9": published}, datetime.now(UTC))
    configuration = replace(world.configuration, state=url, hosts_from_store="web-*")
    asked: list[tuple[str, ...]] = []

    def expand(_: object, names: Any) -> Any:
        asked.append(tuple(names))
        return configuration

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cloudsync.reconcile.inventories.with_published", expand)
        with_hosts_from_store(configuration)
    assert asked == [("web-9",)]


def test_a_gateway_that_is_killed_and_comes_back_loses_nothing(
    world: World, url: StateUrl, ceph: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cloudsync.state.store.bucket._PAUSES", (0.0,))
    stored(world, url)
    world.needs("443")
    apply(world)
    ceph.kill_gateway()
    try:
        with pytest.raises(StateError) as caught:
            apply(world)
        assert caught.value.temporary
        world.discoveries["web-1"] = Failed("down")
    finally:
        ceph.start_gateway()
    report = apply(world)
    assert not report.plan.has_changes
    assert last_ssh(url, "shop") == {"web": rules("tcp/22")}


def test_many_controllers_on_a_slow_store_take_turns(
    world: World, troubled: tuple[StateUrl, Proxy]
) -> None:
    place, proxy = troubled
    proxy.slow_seconds = 0.05
    proxy.choose = lambda _: "slow"
    stored(world, place)
    world.needs("443")
    watcher = Watcher()

    def failing(_: Step) -> ProviderError | None:
        watcher.writes(["web"], 0.05)
        return None

    world.cloud.failing = failing

    def run(number: int) -> str:
        world.needs("443", str(8000 + number))
        try:
            apply(world, lock_timeout=30.0)
        except LockHeld:
            return "locked"
        return "done"

    with ThreadPoolExecutor(4) as pool:
        ended = list(pool.map(run, range(4)))
    assert "done" in ended
    assert watcher.clashes == []


def test_a_list_of_yesterday_changes_no_decision(
    world: World, troubled: tuple[StateUrl, Proxy]
) -> None:
    place, proxy = troubled
    proxy.choose = lambda asked: _stale(asked)
    stored(world, place)
    world.policy(grace=timedelta(hours=1))
    world.needs("443", "8080")
    apply(world)
    world.needs("443")
    report = apply(world)
    assert [held.reason for held in report.plan.firewalls[0].held] == ["grace"]
    assert world.cloud.firewalls["web"].covers(rules("tcp/8080"))


def _stale(asked: Asked) -> Trouble:
    return "stale-list" if asked.lists else "none"
