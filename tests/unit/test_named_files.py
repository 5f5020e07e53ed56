"""Files that a user names: written where they are, never replaced by something else."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import pytest

from cloudsync.runtime.files import open_file, write_named


def kind(path: Path) -> int:
    return stat.S_IFMT(path.lstat().st_mode)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to make a device")
def test_a_device_stays_a_device(tmp_path: Path) -> None:
    null = tmp_path / "null"
    try:
        os.mknod(null, 0o666 | stat.S_IFCHR, os.makedev(1, 3))
        null.open("wb").close()
    except OSError:
        pytest.skip("this machine lets nobody make devices")
    before = null.lstat()
    write_named(null, b"the plan")
    assert (null.lstat().st_mode, null.lstat().st_ino) == (before.st_mode, before.st_ino)


def test_a_fifo_is_written_and_stays_a_fifo(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    heard: list[bytes] = []
    reader = threading.Thread(target=lambda: heard.append(fifo.read_bytes()))
    reader.start()
    write_named(fifo, b"the plan")
    reader.join(10)
    assert heard == [b"the plan"]
    assert kind(fifo) == stat.S_IFIFO


@pytest.mark.parametrize("target", ["real", "sub/real", "chain"])
def test_a_link_stays_a_link_and_its_target_is_written(tmp_path: Path, target: str) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "chain").symlink_to("sub/real")
    link = tmp_path / "plan.json"
    link.symlink_to(target)
    write_named(link, b"one")
    write_named(link, b"two")
    assert link.is_symlink()
    assert link.read_bytes() == b"two"
    assert (tmp_path / "chain").is_symlink()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to make a link of somebody else")
def test_a_link_that_another_user_planted_is_refused(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_bytes(b"precious")
    link = tmp_path / "metrics.prom"
    link.symlink_to(precious)
    os.lchown(link, 4711, 4711)
    with pytest.raises(PermissionError, match="another user"):
        write_named(link, b"metrics")
    assert precious.read_bytes() == b"precious"


def test_links_in_a_circle_are_an_error(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(OSError, match="symbolic links"):
        write_named(tmp_path / "a", b"")


def test_a_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError):
        write_named(tmp_path, b"")


def test_a_file_is_replaced_as_a_whole_with_its_permissions(tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    write_named(path, b"x" * 1000)
    write_named(path, b"plan", 0o644)
    assert path.read_bytes() == b"plan"
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert [entry.name for entry in tmp_path.iterdir()] == ["plan.json"]


@pytest.mark.parametrize("name", ["-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"])
def test_standard_output_has_four_names(name: str) -> None:
    assert open_file(Path(name)) == 1


def test_an_open_file_is_written_where_it_stands(tmp_path: Path) -> None:
    """As with `--out /dev/fd/3 3>file`: what was written there before stays."""
    with (tmp_path / "log").open("wb", buffering=0) as log:
        log.write(b"before ")
        write_named(Path(f"/dev/fd/{log.fileno()}"), b"after")
    assert (tmp_path / "log").read_bytes() == b"before after"
