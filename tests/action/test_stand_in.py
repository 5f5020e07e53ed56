"""What the jobs of these tests have for `python3` does what Python does."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.action.conftest import REAL_PYTHON
from tests.command import stand_in


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["-I", "-m", "cloudsync", "--version"], 0),
        (["-I", "-m", "cloudsync", "plan", "--config=none.toml"], 64),
        (["-I", "-m", "cloudsync.action"], 64),
        (["-I", "-m", "cloudsync.nothing"], 1),
        (["-I", "-m", "venv"], 2),
        (["-I", "-c", "import os; os.kill(os.getpid(), 9)"], -9),
    ],
)
def test_the_stand_in_says_and_ends_as_python_does(
    tmp_path: Path, words: list[str], code: int
) -> None:
    def ran(python: Path) -> tuple[int, str, str]:
        done = subprocess.run(
            [str(python), *words],
            cwd=tmp_path,
            env={"PATH": os.environ["PATH"], "CLOUDSYNC_INPUT_COMMAND": "nonsense"},
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        return done.returncode, done.stdout, done.stderr

    assert ran(stand_in()) == ran(REAL_PYTHON)
    assert ran(stand_in())[0] == code
