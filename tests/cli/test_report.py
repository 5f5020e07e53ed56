"""`cloudsync report` as typed."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.command import typed

CONFIGURATION = """\
version = 1
owner = "shop"
state = "file://{folder}/state"
[ssh]
ports = [22]
sources = ["any"]
[policy]
expose = "published"
[providers.local]
[hosts.web-1]
ports = ["443/tcp", "53/udp"]
[firewalls.web]
provider = "local"
hosts = ["web-1"]
path = "firewall.json"
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "cloudsync.toml").write_text(CONFIGURATION.format(folder=tmp_path))
    return tmp_path


def types(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(folder)}
    return typed(*words, folder=folder, environment=environment)


def states(folder: Path) -> dict[str, str]:
    done = types(folder, "report", "--output", "json")
    assert done.returncode == 0, done.stderr
    return {f"{r['ports']}/{r['protocol']}": r["state"] for r in json.loads(done.stdout)["rows"]}


def test_what_opens_is_open_after_the_apply_and_the_run_is_listed(folder: Path) -> None:
    assert states(folder) == {"22/tcp": "opens", "443/tcp": "opens", "53/udp": "opens"}
    assert types(folder, "apply", "--auto-approve").returncode == 0
    assert states(folder) == {"22/tcp": "open", "443/tcp": "open", "53/udp": "open"}
    document = json.loads(types(folder, "report", "--output", "json").stdout)
    assert [run["trigger"] for run in document["runs"]] == ["apply, --auto-approve"]


def test_the_page_is_written_to_a_file(folder: Path) -> None:
    done = types(folder, "report", "--out", "ports.html")
    assert (done.returncode, done.stdout) == (0, "")
    assert (folder / "ports.html").read_text().startswith("<!doctype html>")


def test_law5_a_report_records_nothing(folder: Path) -> None:
    types(folder, "report")
    assert sorted(path.name for path in folder.iterdir()) == ["cloudsync.toml"]


def test_a_page_cannot_be_written_where_there_is_no_folder(folder: Path) -> None:
    done = types(folder, "report", "--out", "nowhere/ports.html")
    assert done.returncode == 1
    assert "nowhere/ports.html cannot be written" in done.stderr


def test_a_closing_port_that_a_container_asks_for_does_not_read_as_asked_for_by_nothing(
    folder: Path,
) -> None:
    compose = 'services:\n  db:\n    image: postgres:16\n    ports: ["5432:5432"]\n'
    (folder / "compose.yaml").write_text(compose)
    configuration = CONFIGURATION.format(folder=folder).replace(
        "[hosts.web-1]", '[hosts.web-1]\ncompose = ["compose.yaml"]'
    )
    allowed = configuration.replace(
        "[policy]", '[policy]\ngrace = "0s"\nallow_sensitive = ["5432/tcp"]'
    )
    (folder / "cloudsync.toml").write_text(allowed)
    assert types(folder, "apply", "--auto-approve").returncode == 0
    (folder / "cloudsync.toml").write_text(allowed.replace('allow_sensitive = ["5432/tcp"]', ""))
    rows = json.loads(types(folder, "report", "--output", "json").stdout)["rows"]
    shown = {row["state"]: row for row in rows if row["ports"] == "5432"}
    assert set(shown) == {"closes", "refused"}
    assert shown["closes"]["reason"] == "what asks for it is refused"
    assert shown["closes"]["needed_by"] == shown["refused"]["needed_by"] != []
