"""A vendor that accepts a change and puts it into effect later: what the suite makes of a step
after which something changed that the step itself did not write."""

from __future__ import annotations

from pathlib import Path

import pytest

from cloudsync.provider.contract import Step, StepKind
from cloudsync.testing import SCENARIOS, meant
from cloudsync.testing.run import Run, Seen
from tests.conformance.local import LocalStage

BEFORE, AFTER = meant("tcp/22"), meant("tcp/22", "tcp/443")
WAIT = Step("wait", StepKind.REPLACE, AFTER)


def looks(*, writes: tuple[int, int, int], in_effect: bool) -> list[Seen]:
    """Before the first step, after a write that shows nothing yet, and after a step that waits."""
    write = Step("write", StepKind.REPLACE, BEFORE)
    first = Seen(write, None, BEFORE, writes[0], 0, None, in_effect=True)
    written = Seen(write, None, BEFORE, writes[1], 0, None, in_effect=in_effect)
    return [first, written, Seen(WAIT, None, AFTER, writes[2], 0, None, in_effect=True)]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(SCENARIOS[0], LocalStage(tmp_path / "vendor"), tmp_path)


def test_a_step_that_only_waits_for_the_vendor_writes_nothing(run: Run) -> None:
    run.hold_to_its_word(looks(writes=(0, 1, 1), in_effect=False))


def test_a_write_that_took_effect_later_than_its_step_is_the_providers_fault(run: Run) -> None:
    with pytest.raises(AssertionError, match="what an earlier step wrote took effect only now"):
        run.hold_to_its_word(looks(writes=(0, 1, 1), in_effect=True))


def test_a_change_without_any_write_is_the_stages_fault(run: Run) -> None:
    with pytest.raises(AssertionError, match="the stage did not count the write"):
        run.hold_to_its_word(looks(writes=(0, 0, 0), in_effect=True))
