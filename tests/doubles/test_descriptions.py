"""The doubles are held against the vendors' own descriptions, or the run says loudly that they are
not."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.doubles.hetzner import HetznerDouble
from tests.doubles.http import DESCRIPTIONS, not_at_hand, openapi

ROOT = Path(__file__).resolve().parents[2]


def test_the_descriptions_are_at_hand() -> None:
    """Without them every check of every double is off: CI fails (.ci/check_ran.py)."""
    if (why := not_at_hand()) is not None:
        pytest.skip(why)
    assert all(openapi(name) for name in DESCRIPTIONS)


def test_a_run_without_them_says_so_in_its_last_lines(tmp_path: Path) -> None:
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            "tests/unit/test_lock.py",
            "-k",
            "thousand",
        ],
        cwd=ROOT,
        env={**os.environ, "CLOUDSYNC_SPECS": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert "NOT CHECKED: requests and answers of the doubles" in done.stdout
    assert str(tmp_path) in done.stdout


def test_what_the_vendor_does_not_describe_is_a_violation_at_once() -> None:
    if not_at_hand() is not None:
        pytest.skip("the vendor's description is not at hand")
    import requests

    with HetznerDouble() as cloud:
        requests.get(
            f"{cloud.endpoint}/firewalls",
            params={"size": "9"},
            headers={"Authorization": f"Bearer {cloud.token}"},
            timeout=10,
        )
        assert any("size is not described" in text for text in cloud.violations)
        requests.post(
            f"{cloud.endpoint}/firewalls",
            json={"name": "web", "colour": "red", "rules": []},
            headers={"Authorization": f"Bearer {cloud.token}"},
            timeout=10,
        )
        assert any("colour: not described" in text for text in cloud.violations)
