"""A configuration that was found, and not named, is the caller's own or root's."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cloudsync.config import ConfigError, find
from cloudsync.config.find import unsafe

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to give files away")
SOMEBODY = 4711


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    here = tmp_path / "here"
    here.mkdir(mode=0o755)
    here.chmod(0o755)
    monkeypatch.chdir(here)
    (here / "cloudsync.toml").write_text("")
    (here / "cloudsync.toml").chmod(0o644)
    return here


def refused() -> str:
    with pytest.raises(ConfigError) as error:
        find(None, {"HOME": "/nonexistent"})
    message = str(error.value)
    assert "--config ./cloudsync.toml" in message
    return message


def test_the_callers_own_file_is_used(folder: Path) -> None:
    assert find(None, {"HOME": "/nonexistent"}) == Path("cloudsync.toml")


@needs_root
def test_a_file_of_somebody_else_is_refused(folder: Path) -> None:
    os.chown(folder / "cloudsync.toml", SOMEBODY, 0)
    assert "belongs to" in refused()


@needs_root
def test_a_folder_of_somebody_else_is_refused(folder: Path) -> None:
    os.chown(folder, SOMEBODY, 0)
    assert "a folder of" in refused()


@pytest.mark.parametrize("mode", [0o777, 0o1777, 0o757])
def test_a_folder_that_others_can_write_is_refused(folder: Path, mode: int) -> None:
    folder.chmod(mode)
    assert "folder that other users can write" in refused()


@pytest.mark.parametrize("mode", [0o666, 0o646])
def test_a_file_that_others_can_write_is_refused(folder: Path, mode: int) -> None:
    (folder / "cloudsync.toml").chmod(mode)
    assert "written by other users" in refused()


@needs_root
def test_a_group_is_others_unless_it_is_private(folder: Path) -> None:
    (folder / "cloudsync.toml").chmod(0o664)
    assert unsafe(Path("cloudsync.toml")) is None  # root's own group
    os.chown(folder / "cloudsync.toml", 0, SOMEBODY)
    assert "written by other users" in refused()


@needs_root
def test_a_link_that_somebody_else_made_is_refused(folder: Path) -> None:
    (folder / "real.toml").write_text("")
    (folder / "cloudsync.toml").unlink()
    (folder / "cloudsync.toml").symlink_to("real.toml")
    assert unsafe(Path("cloudsync.toml")) is None
    os.lchown(folder / "cloudsync.toml", SOMEBODY, SOMEBODY)
    assert "belongs to" in refused()


def test_what_a_link_points_to_is_judged_too(folder: Path) -> None:
    outside = folder.parent / "outside"
    outside.mkdir()
    (outside / "real.toml").write_text("")
    outside.chmod(0o777)
    (folder / "cloudsync.toml").unlink()
    (folder / "cloudsync.toml").symlink_to(outside / "real.toml")
    assert "folder that other users can write" in refused()


@pytest.mark.parametrize("named", ["option", "variable"])
def test_a_file_that_is_named_is_used_whoever_can_write_it(folder: Path, named: str) -> None:
    folder.chmod(0o777)
    environ = {"CLOUDSYNC_CONFIG": "cloudsync.toml"} if named == "variable" else {}
    explicit = "cloudsync.toml" if named == "option" else None
    assert find(explicit, environ) == Path("cloudsync.toml")


def test_the_next_candidate_is_not_taken_instead(folder: Path) -> None:
    """Silently managing by another configuration than the one in sight would be a surprise too."""
    home = folder.parent / "xdg" / "cloudsync"
    home.mkdir(parents=True)
    (home / "config.toml").write_text("")
    (folder / "cloudsync.toml").chmod(0o666)
    with pytest.raises(ConfigError):
        find(None, {"XDG_CONFIG_HOME": str(folder.parent / "xdg")})


def test_a_candidate_in_the_home_folder_is_judged_alike(folder: Path) -> None:
    (folder / "cloudsync.toml").unlink()
    home = folder.parent / "xdg" / "cloudsync"
    home.mkdir(parents=True)
    (home / "config.toml").write_text("")
    home.chmod(0o777)
    with pytest.raises(ConfigError, match="folder that other users can write"):
        find(None, {"XDG_CONFIG_HOME": str(folder.parent / "xdg")})
