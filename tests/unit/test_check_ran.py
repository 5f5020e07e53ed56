"""What CI makes of the tests that were skipped (`.ci/check_ran.py`)."""

from __future__ import annotations

import re
import runpy
from pathlib import Path
from typing import Any

import pytest

from cloudsync.testing import suite

ROOT = Path(__file__).resolve().parents[2]
CHECK = runpy.run_path(str(ROOT / ".ci" / "check_ran.py"))
REASONS = re.findall(r'pytest\.skip\(f?"([^{"]+)', Path(suite.__file__).read_text())


def report(folder: Path, *skipped: str, short: str | None = None) -> Path:
    """A report in which enough tests ran everywhere but in `short`, and some were skipped."""
    cases = [
        f'<testcase classname="{name}x" name="t{number}"/>'
        for name, least in CHECK["LEAST"].items()
        for number in range(least if name != short else least - 1)
    ]
    cases += [
        f'<testcase classname="tests.host.x" name="s"><skipped message="{reason}"/></testcase>'
        for reason in skipped
    ]
    path = folder / "junit.xml"
    path.write_text(f"<testsuites><testsuite>{''.join(cases)}</testsuite></testsuites>")
    return path


def ends(path: Path) -> Any:
    return CHECK["main"](path)


def test_enough_tests_that_ran_are_fine(tmp_path: Path) -> None:
    assert ends(report(tmp_path)) == 0


def test_one_test_too_few_is_not(tmp_path: Path) -> None:
    assert ends(report(tmp_path, short="tests.openstack")) == 1


@pytest.mark.parametrize("reason", [r for r in REASONS if r != "not all scenarios were selected"])
def test_a_scenario_that_is_not_for_the_provider_may_be_skipped(
    tmp_path: Path, reason: str
) -> None:
    assert ends(report(tmp_path, reason)) == 0


@pytest.mark.parametrize(
    "reason", ["needs root to make a network namespace", "not all scenarios were selected"]
)
def test_a_test_that_could_not_run_may_not(tmp_path: Path, reason: str) -> None:
    assert ends(report(tmp_path, reason)) == 1


def test_the_suites_reasons_are_known() -> None:
    assert len(REASONS) == 3


def long_modules() -> dict[str, str]:
    """The marks of each module whose tests all take minutes, by its file."""
    marks = {
        path.name: re.search(r"(?ms)^pytestmark = \[(.*?)^\]", path.read_text())
        for path in (ROOT / "tests").rglob("test_*.py")
    }
    return {name: text[1] for name, text in marks.items() if text and "CLOUDSYNC_LONG" in text[1]}


def test_long_tests_that_nobody_asked_for_say_so_even_where_a_tool_is_missing() -> None:
    """The report has the first reason that holds, and CI takes this one only."""
    modules = long_modules()
    assert modules.keys() >= {"test_whole_suite.py", "test_roots.py"}
    for name, marks in modules.items():
        first = marks.split("skipif(")[1]
        assert "CLOUDSYNC_LONG" in first, name
        assert 'reason="takes minutes: ' in first, name
