"""How much time passed, whoever turned the clock."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from cloudsync.provider.contract import Account
from cloudsync.reconcile import run as reconcile
from cloudsync.reconcile.run import Options
from cloudsync.runtime.clock import Moment, elapsed, instant, now
from cloudsync.runtime.deadline import Deadline
from tests.world import World

THEN = Moment(datetime(2026, 3, 1, tzinfo=UTC), "boot", 1000.0, "web-1")


def later(
    seconds: float,
    *,
    wall: float | None = None,
    boot: str = "boot",
    up: float | None = None,
    machine: str = "web-1",
) -> Moment:
    moved = THEN.wall + timedelta(seconds=seconds if wall is None else wall)
    return Moment(moved, boot, THEN.up + seconds if up is None else up, machine)


@pytest.mark.parametrize("wall", [-1e6, 0, 60, 1e6])
def test_within_one_boot_the_wall_clock_does_not_count(wall: float) -> None:
    assert elapsed(THEN, later(60, wall=wall)) == 60


@pytest.mark.parametrize(
    ("wall", "up", "passed"), [(600, 300, 300), (200, 300, 200), (1e8, 300, 300), (-5, 300, 0)]
)
def test_after_a_reboot_no_more_passed_than_the_machine_is_up(
    wall: float, up: float, passed: float
) -> None:
    assert elapsed(THEN, later(0, wall=wall, boot="other", up=up)) == passed


def test_an_instant_that_was_written_down_is_in_utc() -> None:
    assert instant("2026-03-01T02:00:00+02:00") == THEN.wall
    assert instant("2026-03-01T02:00:00+02:00").tzinfo is UTC


@pytest.mark.parametrize(
    "written",
    [
        "2026-03-01T00:00:00",
        "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:59:59-14:00",
        "yesterday",
        "",
    ],
)
def test_what_is_no_instant_is_a_value_error(written: str) -> None:
    """Also one that is out of range in UTC: whoever reads a damaged file catches nothing else."""
    with pytest.raises(ValueError, match=r"zone|range|isoformat"):
        instant(written)


def test_on_another_machine_the_wall_clock_counts_and_never_backwards() -> None:
    assert elapsed(THEN, later(0, wall=600, boot="other", up=5, machine="runner")) == 600
    assert elapsed(THEN, later(0, wall=-600, boot="other", up=5, machine="runner")) == 0


def test_a_system_without_boot_ids_is_never_taken_for_the_same_boot() -> None:
    nameless = replace(THEN, boot="")
    assert elapsed(nameless, replace(later(60, wall=0), boot="")) == 0


def test_time_passes() -> None:
    first = now()
    assert 0 <= elapsed(first, now()) < 60


def test_a_run_has_one_deadline_and_time_to_look_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.has("tcp/22")
    world.needs("443")
    told: list[tuple[str, float]] = []
    for name in ("reader", "writer"):
        real = getattr(world.provider, f"open_{name}")

        def noting(account: Account, name: str = name, real: Any = real) -> Any:
            told.append((name, account.deadline))
            return real(account)

        monkeypatch.setattr(world.provider, f"open_{name}", noting)
    before = time.monotonic()
    reconcile.apply(world.configuration, Options())
    (_, reading), (_, writing), (_, looking) = told
    assert [name for name, _ in told] == ["reader", "writer", "reader"]
    whole = world.configuration.run.deadline
    assert reading < writing < looking <= time.monotonic() + whole
    assert looking - before >= whole
    assert (looking - writing, looking - reading) == (
        pytest.approx(whole / 4),
        pytest.approx(whole / 2),
    )


def test_a_deadline_leaves_half_for_writing_and_a_quarter_for_looking_again() -> None:
    short, long = Deadline(100.0, 40.0), Deadline(100.0, 300.0)
    assert (short.reading, short.writing, short.over) == (120.0, 130.0, 140.0)
    assert (long.reading, long.writing, long.over) == (250.0, 370.0, 400.0)
