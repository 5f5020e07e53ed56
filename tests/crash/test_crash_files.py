"""A run on files, killed at every file operation it makes: state, lock, history and the firewall's
own file are the old or the new ones."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from cloudsync.rules import RuleSet
from cloudsync.testing.language import meant
from tests.conformance.local import LocalStage
from tests.crash.deadly_files import COUNT_ONLY, Moment
from tests.crash.site import NAME, SSH, Site
from tests.crash.zygote import Zygote

HAS = (SSH, "tcp/80", "tcp/8080")
WANTS = ("tcp/80", "tcp/443")


def site(zygote: Zygote, folder: Path, *, new: bool) -> Site:
    (folder / "vendor").mkdir(parents=True)
    one = Site(zygote, LocalStage(folder / "vendor"), folder, WANTS)
    if not new:
        one.has(*HAS)
    return one


def old_or_new(one: Site, before: RuleSet | None) -> None:
    """The firewall's file is whole, and so is everything in the state directory."""
    found = one.stage.lets_in(NAME)
    assert found in (before, one.wanted)
    for path in (one.folder / "state").glob("*.json"):
        json.loads(path.read_text())


@pytest.mark.parametrize("new", [True, False], ids=["creates", "changes"])
def test_law3_killed_at_any_file_operation_the_old_or_the_new_is_left_and_the_next_run_ends_it(
    new: bool, zygotes: Callable[[str], Zygote], tmp_path: Path
) -> None:
    zygote = zygotes("local")
    dry = site(zygote, tmp_path / "dry", new=new)
    assert dry.apply(*dry.words, kill_at=COUNT_ONLY, moment="before").code == 0
    operations = (dry.folder / "operations").read_text().split("\n")
    assert {"write", "fsync", "replace", "flock"} <= set(operations), operations
    moments: list[tuple[int, Moment]] = [(number, "before") for number in range(len(operations))]
    moments += [
        (number, "half") for number, name in enumerate(operations) if name in ("write", "pwrite")
    ]
    moments.append((len(operations) - 1, "after"))
    for number, moment in moments:
        one = site(zygote, tmp_path / f"{number}-{moment}", new=new)
        before = None if new else meant(*HAS)
        assert one.apply(*one.words, kill_at=number, moment=moment).code == -9, operations[number]
        old_or_new(one, before)
        one.is_finished()


def test_law5_a_plan_makes_no_file_operation_that_writes(
    zygotes: Callable[[str], Zygote], tmp_path: Path
) -> None:
    one = site(zygotes("local"), tmp_path, new=False)
    assert one.types("plan", kill_at=COUNT_ONLY, moment="before").code == 0
    assert set((one.folder / "operations").read_text().split("\n")) <= {"open", ""}
    assert not (one.folder / "state").exists()
