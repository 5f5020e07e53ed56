"""The demo does what it prints."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def test_the_demo_runs_to_its_end_and_leaves_nothing(tmp_path: Path) -> None:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ["sh", str(ROOT / "examples" / "demo" / "run.sh")],
        env={**os.environ, "PATH": path, "TMPDIR": str(tmp_path), "HOME": str(tmp_path)},
        capture_output=True, text=True, timeout=110, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    for line in (
        "$ cloudsync apply --auto-approve",
        "Nothing to do.",
        "+ 25/tcp",
        "- 23/tcp",
    ):
        assert line in done.stdout
    assert list(tmp_path.iterdir()) == []


@pytest.mark.emulator
def test_the_second_part_shows_four_clouds_and_leaves_nothing(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "examples" / "demo" / "four_clouds.py")],
        env={**os.environ, "TMPDIR": str(tmp_path), "HOME": str(tmp_path)},
        capture_output=True, text=True, timeout=110, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    for name in ("frankfurt", "amsterdam", "belgium", "falkenstein"):
        assert f"{name}: created" in done.stdout
    assert "amsterdam: not begun" in done.stdout
    assert list(tmp_path.iterdir()) == []
