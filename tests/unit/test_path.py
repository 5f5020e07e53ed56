"""The way of a port: each hop says whether it lets a packet through, and by what rule."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest

from cloudsync.config import load
from cloudsync.planning.explain import Asked
from cloudsync.planning.path import Path as Way
from cloudsync.planning.path import of_rows, paths
from cloudsync.planning.status_table import status_rows
from cloudsync.reconcile import run as reconcile
from tests.doubles.hetzner import HetznerDouble

COMPOSE = """\
name: shop
services:
  web: {ports: ["443:8443"]}
  db: {ports: ["5432:5432"]}
  admin: {ports: ["127.0.0.1:8081:80"]}
"""
CONFIGURATION = """\
version = 1
owner = "shop"
state = "file://{folder}/state"
[ssh]
ports = [22]
sources = ["any"]
[policy]
expose = "published"
[providers.hetzner]
token = {{ env = "HCLOUD_TOKEN" }}
endpoint = "{endpoint}"
[hosts.web-1]
compose = ["compose.yaml"]
[hosts.web-2]
compose = ["nothing.yaml"]
[firewalls.web]
provider = "hetzner"
hosts = ["web-1"]
servers = ["web-1"]
[firewalls.other]
provider = "hetzner"
hosts = ["web-2"]
"""


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    with HetznerDouble() as cloud:
        server = cloud.add_server("web-1")
        rules = [
            {"direction": "in", "protocol": "tcp", "port": port, "source_ips": ["0.0.0.0/0"]}
            for port in ("22", "443", "8080")
        ]
        cloud.add_firewall("cloudsync-web", rules, servers=[server])
        monkeypatch.setenv("HCLOUD_TOKEN", cloud.token)
        (tmp_path / "compose.yaml").write_text(COMPOSE)
        (tmp_path / "cloudsync.toml").write_text(
            CONFIGURATION.format(folder=tmp_path, endpoint=cloud.endpoint)
        )
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


class Items(HTMLParser):
    """The classes of list items."""

    def __init__(self, content: str) -> None:
        super().__init__()
        self.classes: list[str] = []
        self.feed(content)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "li":
            self.classes.append(dict(attrs).get("class") or "")


def cloudsync(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "cloudsync", *words], cwd=folder, env=dict(os.environ),
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_explain_draws_it_as_one_file_that_loads_nothing(shop: Path) -> None:
    done = cloudsync(shop, "explain", "443", "--html", "--out", "way.html")
    assert done.returncode in (0, 1), done.stderr
    content = (shop / "way.html").read_text()
    assert "443/tcp on web-1" in content
    assert Items(content).classes[:4] == ["open"] * 4
    for word in ("<script", "http://", "https://", " src=", "unsafe-inline"):
        assert word not in content


def test_a_udp_port_that_is_needed_is_drawn_also_while_the_cloud_stops_it(shop: Path) -> None:
    compose = shop / "compose.yaml"
    compose.write_text(compose.read_text().replace('"443:8443"', '"443:8443", "443:8443/udp"'))
    content = cloudsync(shop, "explain", "443", "--html").stdout
    assert "443/tcp on web-1" in content
    assert "443/udp on web-1" in content
    assert "5432/udp" not in cloudsync(shop, "explain", "5432", "--html").stdout


def test_out_goes_with_html_only(shop: Path) -> None:
    done = cloudsync(shop, "explain", "443", "--out", "way.html")
    assert done.returncode == 64


def test_the_report_has_findings_of_the_audit_unless_they_are_not_wanted(shop: Path) -> None:
    with_audit = json.loads(cloudsync(shop, "report", "--output", "json").stdout)
    assert "CS002" in {finding["id"] for finding in with_audit["audit"]["findings"]}
    without = json.loads(cloudsync(shop, "report", "--output", "json", "--no-audit").stdout)
    assert without["audit"] is None
