"""Law 2's memory: the declared SSH that is still open, until it closed by `--ssh-moved`.

A closing that was held, withheld or failed is not forgotten: whatever kept the old SSH open in one
run, the next still needs the user's word before it closes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cloudsync.model.outcome import Outcome
from cloudsync.model.plan import Granted
from cloudsync.model.ports import Complete, Failed, Malformed
from cloudsync.provider.contract import Step, StepKind
from cloudsync.provider.errors import Conflict, ProviderError, Transient
from cloudsync.reconcile import run as reconcile
from cloudsync.reconcile.run import Options, Report, guarded_ssh
from cloudsync.rules import NOTHING
from cloudsync.state.applied import last_ssh, record_ssh
from tests.world import World, both, rules

OFFICE = "198.51.100.9/32"


def apply(world: World, **granted: Any) -> Report:
    return reconcile.apply(world.configuration, Options(granted=Granted(**granted)))


def ids(report: Report) -> list[str]:
    return [guard.id for guard in report.plan.guards]


@pytest.fixture
def moved(world: World) -> World:
    """SSH was applied on 22; now [ssh] declares 2222 instead."""
    world.has("tcp/22", "tcp/443", "tcp/8080")
    world.needs("443", "8080")
    apply(world)
    world.ssh("any", numbers=(2222,))
    return world


def down(world: World) -> Callable[[], None]:
    before = world.discoveries["web-1"]
    world.discoveries["web-1"] = Failed("the engine is down")
    return lambda: world.discoveries.update({"web-1": before})


def additive(world: World) -> Callable[[], None]:
    world.policy(mode="additive")
    return lambda: world.policy(mode="sync")


def max_close(world: World) -> Callable[[], None]:
    world.policy(max_close=0)
    return lambda: world.policy(max_close=5)


def malformed(world: World) -> Callable[[], None]:
    before = world.discoveries["web-1"]
    assert isinstance(before, Complete)
    bad = Malformed(both("443")[0].origin, "cloudsync.sources=here: malformed", None)
    world.discoveries["web-1"] = replace(before, malformed=(bad,))
    return lambda: world.discoveries.update({"web-1": before})


def another_plan_refused(world: World) -> Callable[[], None]:
    world.has("tcp/22", "tcp/443", "tcp/8080", mine=False)
    return lambda: world.has(
        "tcp/22", "tcp/443", "tcp/8080"
    )  # the marker is back, and nothing was written


@pytest.mark.parametrize("held", [down, additive, max_close, malformed, another_plan_refused])
def test_law2_old_ssh_whose_closing_was_held_still_needs_the_users_word(
    moved: World, held: Callable[[World], Callable[[], None]]
) -> None:
    released = held(moved)
    apply(moved)
    assert moved.cloud.firewalls["web"].covers(rules("tcp/22"))
    released()
    report = apply(moved)
    assert "ssh-moved" in ids(report)
    assert moved.cloud.firewalls["web"].covers(rules("tcp/22"))
    apply(moved, ssh_moved=True)
    assert not moved.cloud.firewalls["web"] & rules("tcp/22")
    assert last_ssh(moved.configuration.state, "shop") == {"web": rules("tcp/2222")}


def test_law2_an_ssh_source_that_was_held_needs_the_word_too(world: World) -> None:
    world.ssh("10.1.0.0/16", OFFICE)
    apply(world)
    world.needs("443")
    apply(world)
    world.ssh("10.1.0.0/16")
    released = down(world)
    apply(world)
    released()
    assert ids(apply(world)) == ["ssh-moved"]
    assert world.cloud.firewalls["web"].covers(rules(f"tcp/22 from {OFFICE}"))


def test_law2_allow_close_is_not_the_word_for_ssh(moved: World) -> None:
    moved.policy(max_close=0)
    apply(moved)
    assert "ssh-moved" in ids(apply(moved, allow_close=10))
    assert moved.cloud.firewalls["web"].covers(rules("tcp/22"))


def test_law2_the_word_that_did_not_close_it_is_needed_again(moved: World) -> None:
    """`--ssh-moved` in a run in which a host was unknown: nothing closed by it."""
    released = down(moved)
    apply(moved, ssh_moved=True)
    released()
    assert "ssh-moved" in ids(apply(moved))


@pytest.mark.parametrize("error", [Transient("503"), Conflict("changed meanwhile")])
def test_law2_ssh_whose_closing_failed_is_not_forgotten(moved: World, error: ProviderError) -> None:
    def failing(step: Step) -> ProviderError | None:
        return error if step.kind is StepKind.NARROW else None

    moved.cloud.failing = failing
    apply(moved, ssh_moved=True)
    assert moved.cloud.firewalls["web"].covers(rules("tcp/22", "tcp/2222"))
    moved.cloud.failing = lambda _: None
    assert "ssh-moved" in ids(apply(moved))


def test_law2_ssh_that_moved_twice_is_remembered_from_both_times(moved: World) -> None:
    apply_in_additive = additive(moved)
    apply(moved)
    moved.ssh("any", numbers=(2022,))
    apply(moved)
    apply_in_additive()
    report = apply(moved)
    message = next(guard.message for guard in report.plan.guards if guard.id == "ssh-moved")
    assert "22" in message
    assert "2222" in message


def test_law2_what_a_failed_apply_opened_of_the_declared_ssh_is_guarded(world: World) -> None:
    """Opened by us, then the run broke: a person may log in by it by now."""
    world.has("tcp/443")
    world.needs("443", "8080")
    world.ssh("any", numbers=(2222,))
    world.cloud.failing = lambda step: Transient("lost") if step.kind is StepKind.WIDEN else None
    world.cloud.applies_then_fails = True
    apply(world)
    assert last_ssh(world.configuration.state, "shop") == {"web": rules("tcp/2222")}


def test_the_table_of_what_is_remembered() -> None:
    old, new = rules("tcp/22"), rules("tcp/2222")
    done = Outcome("web", "done", before=old, after=new)
    assert guarded_ssh(old, new, done, exists=True) == new
    assert guarded_ssh(old, new, replace(done, after=old | new), exists=True) == old | new
    assert guarded_ssh(old, new, replace(done, before=None, after=None), exists=True) == old | new
    failed = replace(done, status="failed", after=old)
    assert guarded_ssh(old, new, failed, exists=True) == old
    assert guarded_ssh(None, new, failed, exists=True) is None
    assert guarded_ssh(None, new, replace(failed, after=None), exists=True) is None
    for status in ("refused", "not-begun"):
        assert guarded_ssh(old, new, replace(done, status=status), exists=True) == old  # type: ignore[arg-type]
    absent = Outcome("web", "unchanged")
    assert guarded_ssh(None, new, absent, exists=False) is None
    assert guarded_ssh(None, new, replace(absent, before=NOTHING), exists=True) == new


def test_a_memory_written_by_an_earlier_cloudsync_still_guards(tmp_path: Path) -> None:
    (tmp_path / "shop.applied.json").write_text(
        '{"version": 1, "ssh": {"web": {"ports": [22, 2222], "sources": ["0.0.0.0/0", "::/0"]}}}'
    )
    assert last_ssh(tmp_path, "shop") == {"web": rules("tcp/22", "tcp/2222")}
    record_ssh(tmp_path, "shop", {"db": rules("tcp/22")})
    assert set(last_ssh(tmp_path, "shop")) == {"web", "db"}
