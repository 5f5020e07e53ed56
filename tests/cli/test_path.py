"""The way of a port as `explain --html` draws it, and the report around it."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests.command import typed
from tests.unit.path_world import shop_in


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    with shop_in(tmp_path) as token:
        monkeypatch.setenv("HCLOUD_TOKEN", token)
        yield tmp_path


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
    return typed(*words, folder=folder, environment=os.environ)


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
