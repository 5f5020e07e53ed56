"""The road of a stranger's plugin: `pip install`, then `cloudsync plan` knows it, and the suite
runs on it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent / "acme"
CONFIGURATION = """
version = 1
owner = "shop"
state = "file://{folder}/state"
[ssh]
ports = [22]
sources = ["any"]
[policy]
expose = "published"
[providers.acme]
folder = "files"
[hosts.web-1]
ports = ["443/tcp"]
[firewalls.web]
provider = "acme"
hosts = ["web-1"]
name = "web"
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment in which the distribution `cloudsync-acme` is installed beside cloudsync.
    Nothing is fetched."""
    folder = tmp_path_factory.mktemp("site")
    source = tmp_path_factory.mktemp("source") / "acme"
    subprocess.run(["cp", "-r", str(HERE), str(source)], check=True)
    words = [
        "install",
        "--quiet",
        "--no-index",
        "--no-deps",
        "--no-build-isolation",
        "--target",
        str(folder),
        str(source),
    ]
    subprocess.run(
        [sys.executable, "-m", "pip", "--disable-pip-version-check", *words],
        check=True,
        timeout=110,
    )
    return {**os.environ, "PYTHONPATH": str(folder), "NO_COLOR": "1"}


def types(
    environment: dict[str, str], folder: Path, *words: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "cloudsync", *words],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_from_pip_install_to_plan_and_apply(installed: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "cloudsync.toml").write_text(CONFIGURATION.format(folder=tmp_path))
    (tmp_path / "files").mkdir()
    assert "acme" in types(installed, tmp_path, "providers").stdout
    done = types(installed, tmp_path, "plan", "--detailed-exitcode")
    assert (done.returncode, "443/tcp  everyone" in done.stdout) == (2, True), (
        done.stdout + done.stderr
    )
    assert types(installed, tmp_path, "apply", "--auto-approve").returncode == 0
    assert "tcp 443 0.0.0.0/0,::/0" in (tmp_path / "files" / "web").read_text()
    assert types(installed, tmp_path, "plan", "--detailed-exitcode").returncode == 0


def test_without_it_the_type_is_unknown(tmp_path: Path) -> None:
    (tmp_path / "cloudsync.toml").write_text(CONFIGURATION.format(folder=tmp_path))
    done = types(dict(os.environ), tmp_path, "plan")
    assert done.returncode == 64
    assert "acme" in done.stderr


def pytest_on(
    installed: dict[str, str], folder: Path, *words: str
) -> subprocess.CompletedProcess[str]:
    (folder / "conftest.py").write_text('pytest_plugins = ["cloudsync.testing"]\n')
    (folder / "check_acme.py").write_text((HERE / "check_acme.py").read_text())
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "check_acme.py",
        *words,
    ]
    return subprocess.run(
        command, cwd=folder, env=installed, capture_output=True, text=True, timeout=110, check=False
    )


def test_the_suite_runs_on_it(installed: dict[str, str], tmp_path: Path) -> None:
    done = pytest_on(installed, tmp_path)
    assert done.returncode == 0, done.stdout[-3000:]
    assert " passed" in done.stdout
    assert "failed" not in done.stdout


def test_a_capability_that_no_scenario_showed_fails_the_suite(
    installed: dict[str, str], tmp_path: Path
) -> None:
    extra = "\n    @pytest.fixture(autouse=True)\n    def _none_of_it(self, monkeypatch):\n"
    extra += (
        "        monkeypatch.setattr('cloudsync.testing.suite.lacking', lambda s, c: s.needs)\n"
    )
    (tmp_path / "more").mkdir()
    done = pytest_on(installed, tmp_path / "more")
    assert done.returncode == 0
    path = tmp_path / "more" / "check_acme.py"
    path.write_text(path.read_text() + extra)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "check_acme.py"]
    done = subprocess.run(
        command,
        cwd=path.parent,
        env=installed,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 1
    assert "no scenario of it was carried out" in done.stdout


def test_a_part_of_the_suite_is_not_held_against_it(
    installed: dict[str, str], tmp_path: Path
) -> None:
    done = pytest_on(installed, tmp_path, "-k", "port-opens or capability")
    assert done.returncode == 0
    assert "1 passed, 1 skipped" in done.stdout
