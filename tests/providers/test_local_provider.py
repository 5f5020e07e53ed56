"""The provider `local` and the path a user gave it: links, devices, FIFOs."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from cloudsync.provider.errors import ProviderError
from cloudsync.provider.marker import Marker
from cloudsync_local.file import Content, ListedRule, read, write
from tests.world import rules

MARK = Marker("shop", "web", "0123abcd")


def content(*texts: str) -> Content:
    return Content(MARK, tuple(ListedRule(rule, "") for rule in rules(*texts)), ())


def test_a_link_stays_a_link_and_the_file_behind_it_is_the_firewall(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    link, behind = tmp_path / "web.json", tmp_path / "between.json"
    behind.symlink_to("real/web.json")
    link.symlink_to("between.json")
    write(link, content("tcp/22"))
    assert link.is_symlink()
    assert behind.is_symlink()
    assert read(tmp_path / "real" / "web.json") == read(link) == content("tcp/22")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["between.json", "real", "web.json"]


def test_a_file_keeps_its_permissions(tmp_path: Path) -> None:
    path = tmp_path / "web.json"
    write(path, content("tcp/22"))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.chmod(0o640)
    write(path, content("tcp/80"))
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes devices and gives files away")
def test_a_device_is_never_replaced(tmp_path: Path) -> None:
    null = tmp_path / "null"
    os.mknod(null, 0o666 | stat.S_IFCHR, os.makedev(1, 3))
    for act in (lambda: write(null, content("tcp/22")), lambda: read(null)):
        with pytest.raises(ProviderError, match="is not a file"):
            act()
    assert stat.S_ISCHR(null.stat().st_mode)


@pytest.mark.timeout(20)
def test_a_fifo_is_neither_waited_for_nor_replaced(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    for act in (lambda: read(fifo), lambda: write(fifo, content("tcp/22"))):
        with pytest.raises(ProviderError, match="is not a file"):
            act()
    assert stat.S_ISFIFO(fifo.stat().st_mode)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes devices and gives files away")
def test_a_link_of_another_user_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "victim.json").write_text("mine")
    link = tmp_path / "web.json"
    link.symlink_to("victim.json")
    os.lchown(link, 65534, 65534)
    with pytest.raises(ProviderError, match="symbolic link of another user"):
        write(link, content("tcp/22"))
    with pytest.raises(ProviderError, match="symbolic link of another user"):
        read(link)
    assert (tmp_path / "victim.json").read_text() == "mine"


def test_links_in_a_circle_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.json").symlink_to("b.json")
    (tmp_path / "b.json").symlink_to("a.json")
    with pytest.raises(ProviderError, match=r"a\.json"):
        read(tmp_path / "a.json")
    with pytest.raises(ProviderError, match="cannot be written"):
        write(tmp_path / "a.json", content("tcp/22"))
