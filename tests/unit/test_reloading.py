"""The configuration of a service is read again when any of its files changed."""

from __future__ import annotations

from pathlib import Path

import pytest

from cloudsync.watch import reloading
from cloudsync.watch.reloading import Reloading

MAIN = """version = 1
owner = "shop"
include = ["hosts.d/*.toml"]
[ssh]
ports = [22]
sources = ["any"]
[policy]
expose = "published"
"""


@pytest.fixture
def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Reloading:
    monkeypatch.setattr(reloading, "STEADY_SECONDS", 0.0)
    (tmp_path / "hosts.d").mkdir()
    (tmp_path / "hosts.d" / "a.toml").write_text('[hosts.a]\nports = ["443/tcp"]\n')
    (tmp_path / "cloudsync.toml").write_text(MAIN)
    return Reloading(tmp_path / "cloudsync.toml", lambda _: None)


def test_nothing_changed_is_nothing_to_read(service: Reloading) -> None:
    assert not service.changed()


def test_an_included_file_that_changed_is_read_again(service: Reloading) -> None:
    file = service.path.parent / "hosts.d" / "a.toml"
    file.write_text('[hosts.a]\nports = ["443/tcp", "80/tcp"]\n')
    assert service.changed()
    assert service.reload()
    assert len(service.current.hosts["a"].ports) == 2
    assert not service.changed()


def test_a_new_file_in_an_included_folder_is_read(service: Reloading) -> None:
    (service.path.parent / "hosts.d" / "b.toml").write_text('[hosts.b]\nports = ["80/tcp"]\n')
    assert service.changed()
    assert service.reload()
    assert sorted(service.current.hosts) == ["a", "b"]


def test_a_new_include_that_cannot_be_used_leaves_the_old_configuration(
    service: Reloading,
) -> None:
    (service.path.parent / "hosts.d" / "b.toml").write_text("[hosts.b]\n")
    assert service.changed()
    assert not service.reload()
    assert sorted(service.current.hosts) == ["a"]
    assert "b.toml" in str(service.problem)
