"""The Prometheus text: read by Prometheus' own parser, escaped, counting on from run to run."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from cloudsync.notify import metrics
from cloudsync.notify.counters import (
    AuditFigures,
    Figures,
    Memory,
    Streak,
    recall,
    remembering,
)
from cloudsync.notify.run import Run
from cloudsync.notify.tally import tally
from tests.world import World


def parsed(text: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return {
        (
            sample.name,
            tuple(sorted((k, v) for k, v in sample.labels.items() if k != "owner")),
        ): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_every_metric_is_there_under_its_name_and_kind() -> None:
    figures = Figures(
        provider="p",
        read=True,
        held={"grace": 1},
        refused={"sensitive": 2},
        guards={"attach": 1},
        foreign=3,
    )
    memory = Memory(
        owner="shop", runs={0: 3, 75: 1}, hosts={"h": False}, firewalls={"web": figures},
        audit=AuditFigures(ended=7.0, findings={"critical": 1, "high": 0}, blind=2),
    )  # fmt: skip
    families = {
        family.name: family.type for family in text_string_to_metric_families(metrics.text(memory))
    }
    assert families == {one.name.removesuffix("_total"): one.kind for one in metrics.METRICS}


def test_foreign_exposure_is_absent_as_long_as_nobody_looked() -> None:
    assert "foreign" not in metrics.text(
        Memory(owner="shop", firewalls={"web": Figures(provider="p", read=True)})
    )


@pytest.mark.parametrize("name", ['a"b', "a\\b", "a\nb", 'a\\"\n"', "ä€😀", "\\n"])
def test_label_values_are_escaped(name: str) -> None:
    text = metrics.text(
        Memory(owner="shop", firewalls={name: Figures(provider=name, read=True, held={name: 1})})
    )
    labels = (("firewall", name), ("provider", name), ("reason", name))
    assert parsed(text)["cloudsync_held_rules", labels] == 1
    assert all(line.startswith(("#", "cloudsync_")) for line in text.splitlines())


def test_the_file_is_replaced_as_a_whole_and_others_may_read_it(tmp_path: Path) -> None:
    path = tmp_path / "c.prom"
    path.write_text("old")
    opened = path.open()
    metrics.write(path, Memory(owner="shop"))
    assert opened.read() == "old"
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert [one.name for one in tmp_path.iterdir()] == ["c.prom"]


def test_a_file_that_cannot_be_written_fails_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    metrics.write(tmp_path / "missing" / "c.prom", Memory(owner="shop"))
    assert "cannot be written" in caplog.text


def run(code: int, world: World | None = None, **more: object) -> Run:
    return Run("shop", "apply", 1000.0, 2.0, code, **more)  # type: ignore[arg-type]  # the fields of `Run`


def test_counters_count_on_from_run_to_run_and_survive_the_process(tmp_path: Path) -> None:
    for code in (0, 75, 75, 0):
        with remembering(tmp_path, "shop") as memory:
            tally(
                memory,
                run(code, error=None if code == 0 else "x", kind=None if code == 0 else "state"),
                ["web"],
            )
    memory = recall(tmp_path, "shop")
    assert memory.runs == {0: 2, 75: 2}
    assert memory.errors == {"state": 2}


def test_a_failure_keeps_the_time_of_the_last_success_and_marks_since_when(tmp_path: Path) -> None:
    memory = Memory(owner="shop")
    tally(memory, run(0), [])
    tally(memory, Run("shop", "apply", 2000.0, 1.0, 75), [])
    tally(memory, Run("shop", "apply", 3000.0, 1.0, 3), [])
    found = parsed(metrics.text(memory))
    assert found["cloudsync_last_success_timestamp_seconds", ()] == 1002
    assert found["cloudsync_last_run_timestamp_seconds", ()] == 3001
    assert found["cloudsync_failing_since_timestamp_seconds", ()] == 2001
    assert found["cloudsync_last_run_exit_code", ()] == 3


def test_a_run_that_found_the_lock_held_is_no_failure_that_begins_a_streak() -> None:
    memory = Memory(owner="shop")
    tally(memory, run(5, error="held", kind="locked"), [])
    assert memory.streak is None
    assert memory.errors == {"locked": 1}


def test_firewalls_that_left_the_configuration_are_forgotten() -> None:
    memory = Memory(
        owner="shop",
        firewalls={
            "old": Figures(provider="p", read=True),
            "web": Figures(provider="p", read=True),
        },
    )
    tally(memory, run(0), ["web"])
    assert list(memory.firewalls) == ["web"]


@pytest.mark.parametrize(
    "damage",
    ["", "{", "[]", '{"version": 2, "owner": "shop"}', '{"version": 1, "owner": "other"}', "\x00"],
)
def test_a_damaged_memory_starts_again(
    tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "shop.report.json").write_text(damage)
    assert recall(tmp_path, "shop") == Memory(owner="shop")
    assert "start again at 0" in caplog.text


def test_a_state_directory_that_cannot_be_written_is_told_and_nothing_more(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with remembering(tmp_path / "missing", "shop") as memory:
        memory.runs[0] = 1
    assert "cannot be remembered" in caplog.text


def test_the_memory_is_json_a_person_can_read(tmp_path: Path) -> None:
    with remembering(tmp_path, "shop") as memory:
        memory.streak = Streak(since=1.0, told=[75])
    assert json.loads((tmp_path / "shop.report.json").read_text())["streak"] == {
        "since": 1.0,
        "told": [75],
        "over": False,
    }
