"""What `make mutants` breaks: the rooms where a survivor would hurt, and nothing that is not
there."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.mutants.run import ROOT, TARGETS

ROOMS = (
    "cloudsync/planning/policy.py",
    "cloudsync/planning/grace.py",
    "cloudsync/planning/decide.py",
    "cloudsync/planning/holds.py",
    "cloudsync/planning/guards.py",
    "cloudsync/reconcile",
    "cloudsync/state",
    "cloudsync/sources/docker",
    "cloudsync/sources/compose",
    "cloudsync/action",
    "cloudsync/watch",
    "cloudsync/notify",
    "providers",
)


@pytest.mark.parametrize("room", ROOMS)
def test_every_module_of_these_rooms_is_broken(room: str) -> None:
    broken = {file for target in TARGETS.values() for file in target.files}
    place = ROOT / room
    modules = [place] if place.is_file() else sorted(place.rglob("*.py"))
    names = {str(path.relative_to(ROOT)) for path in modules if path.name != "__init__.py"}
    assert names
    assert names - broken == set()


@pytest.mark.parametrize("name", TARGETS)
def test_what_should_notice_is_there(name: str) -> None:
    target = TARGETS[name]
    words = f"{target.tests} {target.further or ''}".split()
    for path in (*target.files, *(word for word in words if word.startswith("tests/"))):
        assert (ROOT / path).exists(), path
    assert any(Path(word).parts[0] == "tests" for word in words)
