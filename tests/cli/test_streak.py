"""A quiet run from cron reports the same trouble once, then daily, and its end."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from cloudsync.cli.streak import AGAIN, Told, is_news, noted
from tests.cli.conftest import Shell

DOWN = 'docker = "unix:///nowhere/docker.sock"'
CRON = ("apply", "--auto-approve", "--quiet")
NOW = datetime(2026, 3, 1, tzinfo=UTC)


def test_the_same_trouble_is_reported_once_and_its_end_too(shell: Shell) -> None:
    shell.code("apply", "--auto-approve")
    shell.configure(host=DOWN)
    first, second = shell.types(*CRON), shell.types(*CRON)
    assert "web-1 could not be read" in first.stdout
    assert (second.returncode, second.stdout, second.stderr) == (75, "", "")
    shell.configure()
    recovered = shell.types(*CRON)
    assert recovered.stdout.startswith("recovered: exit 75, host web-1 not read (since 20")
    assert shell.types(*CRON).stdout == ""


def test_other_trouble_is_news(shell: Shell) -> None:
    shell.configure(host=DOWN)
    shell.types(*CRON)
    (shell.folder / "fw.json").write_text("[")
    assert "fw.json" in shell.types(*CRON).stdout


def test_what_a_run_changed_is_printed_whatever_was_reported(shell: Shell) -> None:
    shell.configure(host=DOWN)
    shell.types(*CRON)
    shell.configure('"443/tcp", "8443/tcp"', host=DOWN)
    assert shell.types(*CRON).stdout == "web: opened 8443/tcp\n"


def test_a_person_who_waits_for_an_answer_always_gets_one(shell: Shell) -> None:
    shell.configure(host=DOWN)
    shell.types(*CRON)
    assert "could not be read" in shell.types("apply", "--auto-approve").stdout
    assert "could not be read" in shell.types("plan", "--quiet").stdout


@pytest.mark.parametrize(
    ("age", "news"),
    [
        (timedelta(minutes=5), False),
        (AGAIN - timedelta(seconds=1), False),
        (AGAIN, True),
        (-timedelta(hours=1), True),
    ],
)
def test_the_same_trouble_is_news_again_after_a_day(age: timedelta, news: bool) -> None:
    told = Told(("exit 75",), NOW - age, NOW - age)
    assert is_news(("exit 75",), told, NOW) is news
    assert is_news(("exit 3",), told, NOW)
    assert not is_news((), None, NOW)


OUT_OF_RANGE = dict.fromkeys(("since", "reported"), "0001-01-01T00:00:00+14:00")


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[",
        "[]",
        '{"trouble": "x"}',
        '{"trouble": []}',
        json.dumps({"trouble": ["exit 3"], **OUT_OF_RANGE}),
    ],
)
def test_a_damaged_memory_repeats_a_report_and_stops_no_run(tmp_path: Path, content: str) -> None:
    (tmp_path / "shop.told.json").write_text(content)
    assert noted(tmp_path, "shop", ("exit 3",)) == (True, None)
    assert json.loads((tmp_path / "shop.told.json").read_text())["trouble"] == ["exit 3"]
    news, before = noted(tmp_path, "shop", ("exit 3",))
    assert not news
    assert before is not None
