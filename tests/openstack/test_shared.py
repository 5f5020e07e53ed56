"""The server is one for all processes of a test run."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.openstack.shared import answers

SCRIPT = (
    "from tests.openstack.shared import shared_server\nwith shared_server() as port: print(port)"
)
ROOT = Path(__file__).resolve().parents[2]


def port_in(checkout: Path) -> int:
    """The port that a process of this checkout is given."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], cwd=checkout, capture_output=True, text=True, check=True
    )
    return int(done.stdout)


@pytest.mark.emulator
def test_another_process_is_given_the_server_that_runs_and_leaves_it_running(neutron: int) -> None:
    assert [port_in(ROOT) for _ in range(2)] == [neutron, neutron]


@pytest.mark.emulator
def test_so_is_one_of_another_checkout(neutron: int, tmp_path: Path) -> None:
    package = tmp_path / "tests" / "openstack"
    package.mkdir(parents=True)
    (package.parent / "__init__.py").touch()
    for name in ("__init__.py", "shared.py", "serve.py", "constraints.txt"):
        shutil.copy(ROOT / "tests" / "openstack" / name, package)
    assert port_in(tmp_path) == neutron
    answers(neutron)
