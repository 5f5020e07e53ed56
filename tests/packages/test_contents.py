"""What the wheel holds: the core and the provider packages, typed, with their schemas and entry
points, and nothing else on top."""

from __future__ import annotations

import configparser
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from tests.packages.conftest import ROOT, build

PROVIDERS = ("aws", "digitalocean", "gcp", "hetzner", "host", "local", "openstack")
PACKAGES = tuple(f"cloudsync_{name}" for name in PROVIDERS)


def test_the_wheel_has_the_packages_and_no_top_level_providers(wheel: zipfile.ZipFile) -> None:
    tops = {
        name.split("/")[0]
        for name in wheel.namelist()
        if ".dist-info" not in name and ".data/" not in name
    }
    assert tops == {"cloudsync", *PACKAGES}


@pytest.mark.parametrize("package", ["cloudsync", *PACKAGES])
def test_every_package_is_typed(wheel: zipfile.ZipFile, package: str) -> None:
    assert f"{package}/py.typed" in wheel.namelist()


def test_the_schemas_ship(wheel: zipfile.ZipFile) -> None:
    assert {
        "cloudsync/audit/audit.schema.json",
        "cloudsync/config/schema.json",
        "cloudsync/model/plan.schema.json",
    } <= set(wheel.namelist())


def test_the_entry_points_name_the_command_and_the_providers(wheel: zipfile.ZipFile) -> None:
    (name,) = [name for name in wheel.namelist() if name.endswith("entry_points.txt")]
    points = configparser.ConfigParser()
    points.read_string(wheel.read(name).decode())
    assert dict(points["console_scripts"]) == dict.fromkeys(
        ("cloudsync", "cloudsync-firewall"), "cloudsync.__main__:main"
    )
    assert dict(points["cloudsync_firewall.providers"]) == {
        name: f"cloudsync_{name}:provider" for name in PROVIDERS
    }


def test_the_constraints_hold_names_and_versions_only() -> None:
    lines = (ROOT / "constraints.txt").read_text().split()
    assert lines
    assert all(line.count("==") == 1 and "/" not in line and "@" not in line for line in lines)


def test_a_wheel_from_the_checkout_holds_the_same_as_one_from_the_sdist(
    wheel: zipfile.ZipFile, tmp_path: Path
) -> None:
    direct = zipfile.ZipFile(build(ROOT, "wheel", tmp_path))
    assert sorted(direct.namelist()) == sorted(wheel.namelist())


def test_the_sdist_has_what_builds_tests_and_explains_it(sdist: Path) -> None:
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    needed = {
        "LICENSE",
        "README.md",
        "action.yml",
        "Dockerfile",
        "Makefile",
        "constraints.txt",
        "config.example.toml",
        "pyproject.toml",
    }
    assert needed <= names
    assert {
        "tests/packages/conftest.py",
        "examples/github/cloudsync-plan.yml",
        "docs/install.md",
    } <= names
    assert not [
        name
        for name in names
        if "__pycache__" in name or name.startswith((".venv", ".git/", "node_modules"))
    ]


def test_pypi_would_take_and_show_the_metadata(sdist: Path, wheel_path: Path) -> None:
    words = [sys.executable, "-m", "twine", "check", "--strict", str(sdist), str(wheel_path)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_wheel_is_small_and_for_every_platform(wheel_path: Path) -> None:
    assert wheel_path.name.endswith("-py3-none-any.whl")
    assert wheel_path.stat().st_size < 1_200_000
