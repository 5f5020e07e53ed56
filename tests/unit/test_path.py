"""The way of a port: each hop says whether it lets a packet through, and by what rule."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from cloudsync.config import load
from cloudsync.planning.explain import Asked
from cloudsync.planning.path import Path as Way
from cloudsync.planning.path import of_rows, paths
from cloudsync.planning.status_table import status_rows
from cloudsync.reconcile import run as reconcile
from tests.unit.path_world import shop_in


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    with shop_in(tmp_path) as token:
        monkeypatch.setenv("HCLOUD_TOKEN", token)
        yield tmp_path


def way(folder: Path, port: int, host: str = "web-1") -> Way:
    planned = reconcile.plan(load(folder / "cloudsync.toml"), reconcile.Options())
    part = Asked("tcp", port, port).rules
    (only,) = paths(planned.considered, planned.discoveries, part, (host,))
    return only


def hops(path: Way) -> list[tuple[str, str]]:
    return [(hop.kind, hop.verdict) for hop in path.hops]


def test_a_port_that_is_wanted_and_open_is_reached_and_each_rule_is_said(shop: Path) -> None:
    path = way(shop, 443)
    assert path.verdict == "open"
    assert hops(path) == [
        ("internet", "open"),
        ("cloud", "open"),
        ("engine", "open"),
        ("container", "open"),
    ]
    assert "443" in path.hops[1].rule
    assert path.hops[2].rule == "publishes 443/tcp on every address to container port 8443"
    assert path.hops[3].name == "shop/web"


def test_a_published_port_that_the_cloud_stops_is_not_reached(shop: Path) -> None:
    path = way(shop, 5432)
    assert path.verdict == "closed"
    assert hops(path)[1:] == [("cloud", "closed"), ("engine", "open"), ("container", "open")]
    assert path.hops[1].rule == "no rule lets it in"


def test_a_port_that_the_cloud_lets_in_and_nobody_publishes_ends_at_the_engine(shop: Path) -> None:
    path = way(shop, 8080)
    assert hops(path)[1:] == [("cloud", "open"), ("engine", "closed")]


def test_a_loopback_publish_ends_at_the_engine(shop: Path) -> None:
    path = way(shop, 8081)
    assert hops(path)[-1] == ("engine", "closed") or path.verdict == "closed"


def test_ssh_needs_no_container(shop: Path) -> None:
    path = way(shop, 22)
    assert path.verdict == "open"
    assert path.hops[-1].name.startswith("SSH")


def test_law1_what_was_not_read_is_not_known_and_never_closed(shop: Path) -> None:
    path = way(shop, 443, "web-2")
    assert path.verdict == "unknown"
    assert path.hops[-1].verdict == "unknown"
    assert "does not exist yet" in path.hops[1].rule


def test_every_row_of_the_page_has_its_way(shop: Path) -> None:
    planned = reconcile.plan(load(shop / "cloudsync.toml"), reconcile.Options())
    rows = status_rows(planned.considered)
    ways = of_rows(planned.considered, planned.discoveries, rows)
    assert set(ways) == set(rows)
