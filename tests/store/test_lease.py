"""Leases: one holder at a time, takeover by the store's clock, fencing, one layout of shards."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudsync.model.memory import Memory
from cloudsync.model.state_url import StateUrl
from cloudsync.runtime import clock
from cloudsync.state import StateError, seen
from cloudsync.state import lease as leases
from cloudsync.state.exclusive import exclusive
from cloudsync.state.lease import Standing, Unit, acquire
from cloudsync.state.lock import LockHeld
from cloudsync.state.shards import Shard, number_of
from cloudsync.state.store.contract import Store
from cloudsync.state.store.opened import open_store
from tests.store.trouble import Proxy

NAME = "shop/leases/0-of-1.json"


def test_one_run_holds_a_lease_and_the_next_is_told_who(store: Store) -> None:
    first = acquire(store, NAME, Unit("0-of-1"))
    with pytest.raises(LockHeld, match=f"process {os.getpid()} on"):
        acquire(store, NAME, Unit("0-of-1"))
    first.release()
    second = acquire(store, NAME, Unit("0-of-1"))
    assert second.number > first.number
    assert first.lost is not None
    assert second.lost is None


def test_of_eight_at_once_one_gets_the_lease(store: Store) -> None:
    def attempt(_: int) -> bool:
        try:
            acquire(store, NAME, Unit("0-of-1"))
        except LockHeld:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(attempt, range(8))).count(True) == 1


def test_a_lease_that_is_not_renewed_is_taken_over_by_the_stores_clock(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases, "_SLACK_SECONDS", 1.0)
    first = acquire(store, NAME, Unit("0-of-1"), seconds=2.0)
    until = time.monotonic() + 20
    second = None
    while second is None and time.monotonic() < until:
        try:
            second = acquire(store, NAME, Unit("0-of-1"))
        except LockHeld:
            # Whoever may not have it yet: the holder may still have, or stopped already.
            time.sleep(0.3)
    assert second is not None
    assert first.lost is not None, "the holder stops before a successor begins"
    assert second.number > first.number


def test_a_renewed_lease_lasts(store: Store) -> None:
    first = acquire(store, NAME, Unit("0-of-1"), seconds=2.0)
    with first.kept():
        until = time.monotonic() + 5
        while time.monotonic() < until:
            assert first.lost is None
            with pytest.raises(LockHeld):
                acquire(store, NAME, Unit("0-of-1"))
            time.sleep(0.5)
    acquire(store, NAME, Unit("0-of-1"))


def test_who_was_taken_over_knows_it_at_the_next_renewal(store: Store) -> None:
    first = acquire(store, NAME, Unit("0-of-1"))
    stored = store.get(NAME)
    assert stored is not None
    store.put(NAME, stored.data.replace(b'"beat": 0', b'"beat": 7'), stored.version)
    first.renew()
    assert first.lost is not None
    assert "taken over" in first.lost


def test_a_service_keeps_others_standing_by_between_its_runs_and_lets_a_person_in(
    store: Store,
) -> None:
    active, standby = Standing(60.0), Standing(60.0)
    acquire(store, NAME, Unit("0-of-1"), standing=active).release()
    with pytest.raises(LockHeld):
        acquire(store, NAME, Unit("0-of-1"), standing=standby)
    again = acquire(store, NAME, Unit("0-of-1"), standing=active)
    with pytest.raises(LockHeld):
        acquire(store, NAME, Unit("0-of-1"))
    again.release()
    acquire(store, NAME, Unit("0-of-1")).release()
    acquire(store, NAME, Unit("0-of-1"), standing=standby)


def test_a_service_that_died_between_its_runs_is_succeeded(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases, "_SLACK_SECONDS", 1.0)
    acquire(store, NAME, Unit("0-of-1"), standing=Standing(1.0)).release()
    until = time.monotonic() + 20
    while time.monotonic() < until:
        try:
            acquire(store, NAME, Unit("0-of-1"), standing=Standing(60.0))
        except LockHeld:
            time.sleep(0.3)
        else:
            return
    raise AssertionError("nobody took over")


def test_a_damaged_lease_is_nobodys_until_a_person_looks(store: Store) -> None:
    store.put(NAME, b"{}", None)
    with pytest.raises(StateError, match="damaged"):
        acquire(store, NAME, Unit("0-of-1"))


@pytest.mark.ceph
def test_a_shard_is_held_alone_and_others_beside_it(url: StateUrl) -> None:
    with exclusive(url, "shop", shard=Shard(0, 2)) as first:
        with pytest.raises(LockHeld), exclusive(url, "shop", shard=Shard(0, 2)):
            pass
        with exclusive(url, "shop", shard=Shard(1, 2)) as second:
            assert first.lost is None
            assert second.lost is None


@pytest.mark.ceph
def test_a_run_of_all_firewalls_excludes_every_shard(url: StateUrl) -> None:
    with exclusive(url, "shop", shard=Shard(0, 3)), pytest.raises(LockHeld), exclusive(url, "shop"):
        pass
    with exclusive(url, "shop"):
        for number in range(3):
            with pytest.raises(LockHeld), exclusive(url, "shop", shard=Shard(number, 3)):
                pass


@pytest.mark.ceph
def test_a_run_of_one_firewall_takes_the_lease_of_its_shard(url: StateUrl) -> None:
    mine = number_of("web", 4)
    other = (mine + 1) % 4
    with exclusive(url, "shop", shard=Shard(other, 4)), exclusive(url, "shop", ("web",)) as held:
        assert [lease.unit for lease in held.leases] == [f"{mine}-of-4"]


@pytest.mark.ceph
def test_another_number_of_shards_waits_until_the_old_ones_ended(url: StateUrl) -> None:
    with exclusive(url, "shop", shard=Shard(1, 2)) as old:
        for _ in range(2):  # the second time the layout is the new one already
            with pytest.raises(LockHeld), exclusive(url, "shop", shard=Shard(0, 3)):
                pass
        assert old.lost is None
    with exclusive(url, "shop", shard=Shard(0, 3)) as held:
        assert held.leases[0].number == (2, 1)


@pytest.mark.ceph
def test_several_shards_and_layouts_at_once_never_share_a_firewall(url: StateUrl) -> None:
    """Eight controllers with different numbers of shards: whoever holds a firewall holds it
    alone."""
    names = [f"fw-{number}" for number in range(12)]
    inside: set[str] = set()
    trouble: list[str] = []
    entered: list[int] = []

    def controller(seed: int) -> None:
        for turn in range(6):
            count = (1, 2, 2, 2, 3, 2, 2, 2)[(seed + turn) % 8]
            shard = Shard(seed % count, count)
            try:
                with exclusive(url, "shop", shard=shard, timeout=0.5):
                    mine = {name for name in names if shard.takes(name)}
                    trouble.extend(sorted(inside & mine))
                    inside.update(mine)
                    entered.append(count)
                    time.sleep(0.02)
                    inside.difference_update(mine)
            except LockHeld:
                continue

    with ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(controller, seed) for seed in range(8)]:
            done.result()
    assert trouble == []
    assert len(set(entered)) > 1


@pytest.mark.ceph
def test_a_memory_with_a_newer_fence_is_not_overwritten(url: StateUrl) -> None:
    memory = Memory("id", clock.now())
    with exclusive(url, "shop") as old:
        pass
    with exclusive(url, "shop") as new:
        seen.save(new.state, "shop", {"web": memory})
    asleep = replace(old.leases[0], why_lost=None, until=leases.clock() + 60)
    assert isinstance(old.state, StateUrl)
    fence = replace(old.state.fence, leases=(asleep,))  # type: ignore[type-var]
    stale = replace(old.state, fence=fence)
    with pytest.raises(StateError, match="another controller took over"):
        seen.save(stale, "shop", {"web": replace(memory, identity="other")})
    assert seen.load(url, "shop").entries["web"].identity == "id"


@pytest.mark.ceph
def test_who_lost_the_lease_writes_no_state(url: StateUrl) -> None:
    with exclusive(url, "shop") as held:
        held.leases[0].until = leases.clock() - 1
        with pytest.raises(StateError, match="ran out"):
            seen.save(held.state, "shop", {"web": Memory("id", clock.now())})
    assert seen.load(url, "shop", ("web",)).entries == {}


@pytest.mark.ceph
def test_a_renewal_that_the_store_does_not_answer_ends_the_lease_in_time(
    troubled: tuple[StateUrl, Proxy],
) -> None:
    place, proxy = troubled
    store = replace(open_store(place), pause=lambda _: None)  # type: ignore[type-var]
    held = acquire(store, NAME, Unit("0-of-1"), seconds=2.0)
    proxy.choose = lambda _: "lost"
    held.renew()
    assert held.lost is None, "a store that is away for a moment ends nothing"
    time.sleep(max(0.0, held.until - leases.clock()))
    assert held.lost is not None
    assert "ran out" in held.lost


_FROZEN = """
import sys, time
from pathlib import Path
from cloudsync.state.lease import Unit, acquire
from cloudsync.state.store.folder import FolderStore
store = FolderStore(Path(sys.argv[1]))
lease = acquire(store, "shop/leases/0-of-1.json", Unit("0-of-1"), seconds=2.0)
with lease.guarded():
    print("held", flush=True)
    while True:
        Path(sys.argv[2]).write_text("written")  # what a step would do, without looking
"""


def test_a_process_that_was_frozen_past_its_lease_writes_nothing_when_it_wakes(
    tmp_path: Path,
) -> None:
    mark = tmp_path / "mark"
    process = subprocess.Popen(
        [sys.executable, "-c", _FROZEN, str(tmp_path / "store"), str(mark)],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, process.pid, os.WSTOPPED)
        time.sleep(2.5)  # its lease runs out meanwhile
        mark.write_text("a successor's")
        process.send_signal(signal.SIGCONT)
        assert process.wait(30) == -signal.SIGALRM
        assert mark.read_text() == "a successor's"
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


@given(st.text("abcdefghij-0123456789", min_size=1, max_size=12), st.integers(1, 64))
def test_a_firewall_is_in_exactly_one_shard(name: str, count: int) -> None:
    assert sum(Shard(number, count).takes(name) for number in range(count)) == 1


def test_shards_are_counted_from_zero_or_from_one() -> None:
    assert Shard.of("0/4") == Shard.of("4/4") == Shard(0, 4)
    assert [Shard.of(f"{number}/3").number for number in (1, 2, 3)] == [1, 2, 0]
    for words in ("5/4", "1", "-1/4", "1/0", "1/9999", "a/b", " 1/4"):
        with pytest.raises(ValueError, match="must be"):
            Shard.of(words)


def test_the_hash_of_a_name_is_for_ever() -> None:
    assert [number_of(name, 16) for name in ("web", "db", "edge-web-1")] == [9, 4, 6]
