"""What the wheel holds: the core and the provider packages, typed, with their schemas and entry points, and nothing else on top."""

from __future__ import annotations

import configparser
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROVIDERS = ("aws", "digitalocean", "gcp", "hetzner", "local")
PACKAGES = tuple(f"cloudsync_{name}" for name in PROVIDERS)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    folder = tmp_path_factory.mktemp("wheel")
    words = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(words, cwd=ROOT, check=True, capture_output=True, timeout=120)
    (built,) = folder.glob("*.whl")
    return zipfile.ZipFile(built)


def test_the_wheel_has_the_packages_and_no_top_level_providers(wheel: zipfile.ZipFile) -> None:
    tops = {name.split("/")[0] for name in wheel.namelist() if ".dist-info" not in name}
    assert tops == {"cloudsync", *PACKAGES}


@pytest.mark.parametrize("package", ["cloudsync", *PACKAGES])
def test_every_package_is_typed(wheel: zipfile.ZipFile, package: str) -> None:
    assert f"{package}/py.typed" in wheel.namelist()


def test_the_schemas_ship(wheel: zipfile.ZipFile) -> None:
    assert {"cloudsync/plan.schema.json", "cloudsync/config/schema.json"} <= set(wheel.namelist())


def test_the_entry_points_name_the_command_and_the_providers(wheel: zipfile.ZipFile) -> None:
    (name,) = [name for name in wheel.namelist() if name.endswith("entry_points.txt")]
    points = configparser.ConfigParser()
    points.read_string(wheel.read(name).decode())
    assert points["console_scripts"]["cloudsync"] == "cloudsync.__main__:main"
    assert dict(points["cloudsync_firewall.providers"]) == {name: f"cloudsync_{name}:provider" for name in PROVIDERS}


def test_the_constraints_hold_names_and_versions_only() -> None:
    lines = (ROOT / "constraints.txt").read_text().split()
    assert lines
    assert all(line.count("==") == 1 and "/" not in line and "@" not in line for line in lines)
