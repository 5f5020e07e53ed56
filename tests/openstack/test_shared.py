"""The server is one for all processes of a test run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = (
    "from tests.openstack.shared import shared_server\nwith shared_server() as port: print(port)"
)
ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.emulator
def test_another_process_is_given_the_server_that_runs_and_leaves_it_running(neutron: int) -> None:
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT], cwd=ROOT, capture_output=True, text=True, check=True
        )
        assert int(done.stdout) == neutron
