"""The command that adds a missing library fits how cloudsync was installed."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from cloudsync.provider import registry
from cloudsync.provider.installation import install_command, packages_of


@pytest.mark.parametrize(
    ("receipt", "command"),
    [
        ("pipx_metadata.json", "PIPX_HOME={home} pipx inject cloudsync-firewall boto3"),
        ("uv-receipt.toml", "uv tool install cloudsync-firewall --with boto3"),
    ],
)
def test_the_receipt_of_the_installer_decides(tmp_path: Path, receipt: str, command: str) -> None:
    (tmp_path / receipt).touch()
    assert install_command("aws", "boto3", str(tmp_path)) == command.format(
        home=tmp_path.parents[1]
    )


def test_a_virtual_environment_is_named_by_its_own_python(tmp_path: Path) -> None:
    assert install_command("aws", "boto3", str(tmp_path)) == (
        f"{tmp_path}/bin/python -m pip install 'cloudsync-firewall[aws]'"
    )


def test_the_image_is_built_again() -> None:
    assert "EXTRAS=gcp" in install_command("gcp", "google.auth", "/opt/cloudsync")


def test_the_systems_python_and_a_strangers_plugin() -> None:
    command = install_command(None, "acme_sdk", sys.base_prefix)
    assert command == "python3 -m pip install acme_sdk"


def test_an_extra_stands_for_the_packages_that_the_distribution_declares() -> None:
    assert packages_of("aws") == ("boto3",)
    assert packages_of("hetzner") == ()
    assert packages_of("nothing") == ()


def test_a_missing_library_is_named_with_its_command(monkeypatch: pytest.MonkeyPatch) -> None:
    provider = registry.load("aws")
    monkeypatch.setattr(registry, "find_spec", lambda _: None)
    missing = registry.sdk_missing(provider)
    assert missing is not None
    assert missing.startswith("aws needs boto3, which is not installed: ")


def test_an_environment_in_pipxs_own_place_needs_no_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    prefix = tmp_path / ".local" / "share" / "pipx" / "venvs" / "cloudsync-firewall"
    prefix.mkdir(parents=True)
    (prefix / "pipx_metadata.json").touch()
    assert install_command("aws", "boto3", str(prefix)) == "pipx inject cloudsync-firewall boto3"
