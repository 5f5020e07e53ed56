"""Several workers begin with what takes longest (`tests/order.py`)."""

from __future__ import annotations

from pathlib import Path

from tests.order import SECONDS, USUAL_SECONDS, seconds

ROOT = Path(__file__).resolve().parents[2]


def test_what_is_timed_is_there() -> None:
    missing = [
        beginning
        for beginning in SECONDS
        if not (ROOT / beginning.partition("::")[0].strip()).exists()
    ]
    assert missing == []


def test_the_longest_beginning_counts() -> None:
    assert seconds("tests/unit/test_rules.py", 10) == 10 * SECONDS["tests/unit/"]
    assert seconds("tests/store/test_runs.py", 2) == 2 * SECONDS["tests/store/test_runs.py"]
    assert seconds("tests/laws/test_laws.py", 2) == 2 * USUAL_SECONDS
