"""`cloudsync doctor` and `cloudsync status` as a person meets them."""

from __future__ import annotations

import json
import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from cloudsync.cli.doctor import _state
from cloudsync.config import load
from tests.cli.conftest import Shell

HETZNER = """version = 1
owner = "shop"
state = "file://{folder}/state"
[ssh]
ports = [22]
sources = ["any"]
[policy]
expose = "published"
[providers.hetzner]
token = {{ file = "token" }}
endpoint = "http://127.0.0.1:9/v1"
[hosts.web-1]
ports = ["443/tcp"]
[firewalls.web]
provider = "hetzner"
hosts = ["web-1"]
"""

AWS = (
    HETZNER.replace(
        """[providers.hetzner]
token = {{ file = "token" }}
endpoint = "http://127.0.0.1:9/v1"
""",
        """[providers.aws]
region = "eu-central-1"
""",
    ).replace('"hetzner"', '"aws"')
    + 'vpc_id = "vpc-00000000000000001"\n'
)


def checks(shell: Shell) -> dict[str, tuple[str, str, str | None]]:
    rows = json.loads(shell.types("doctor", "--output", "json").stdout)
    return {row["area"]: (row["state"], row["finding"], row["cure"]) for row in rows}


def test_doctor_finds_nothing_broken_and_says_that_nothing_keeps_it_in_step(shell: Shell) -> None:
    shell.code("apply", "--auto-approve")
    done = shell.types("doctor")
    assert done.returncode == 0, done.stdout
    found = checks(shell)
    assert found["state"] == ("ok", f"{shell.folder}/state can be written", None)
    assert found["engine"] == ("ok", "web-1: 1 port", None)
    assert found["schedule"][0] == "look"
    assert "the last apply ran less than a minute ago" in found["schedule"][1]
    assert "docs/unattended.md" in (found["schedule"][2] or "")
    assert done.stdout.endswith("Nothing is broken. 1 thing deserves a look.\n")


def test_doctor_names_what_is_broken_with_its_cure_and_ends_with_1(shell: Shell) -> None:
    shell.configure(host='docker = "unix:///nowhere.sock"')
    done = shell.types("doctor")
    assert done.returncode == 1
    assert "broken  web-1: " in done.stdout
    assert "→ cloudsync discover" in done.stdout


@pytest.mark.parametrize("left", [{"f_bfree": 0, "f_bavail": 0}, {"f_ffree": 0}])
def test_doctor_names_a_file_system_that_is_full_of_blocks_or_of_files(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, left: dict[str, int]
) -> None:
    shell.code("apply", "--auto-approve")
    space = {"f_bfree": 9, "f_bavail": 9, "f_files": 9, "f_ffree": 9, **left}
    monkeypatch.setattr(os, "statvfs", lambda _: SimpleNamespace(**space))
    (check,) = _state(load(shell.folder / "cloudsync.toml"))
    assert (check.state, "is full: no apply can begin" in check.finding) == ("broken", True)
    monkeypatch.undo()
    (check,) = _state(load(shell.folder / "cloudsync.toml"))
    assert check.state == "ok"


def test_doctor_of_a_configuration_that_does_not_load_shows_each_mistake(shell: Shell) -> None:
    path = shell.folder / "cloudsync.toml"
    path.write_text(path.read_text().replace("expose =", "exposed ="))
    done = shell.types("doctor")
    assert done.returncode == 1
    assert "cloudsync.toml:" in done.stdout
    assert "→ cloudsync config check" in done.stdout


def test_doctor_warns_of_a_token_that_everybody_can_read(shell: Shell) -> None:
    (shell.folder / "cloudsync.toml").write_text(HETZNER.format(folder=shell.folder))
    (shell.folder / "token").write_text("s3cret")
    (shell.folder / "token").chmod(0o644)
    done = shell.types("doctor")
    assert f"everyone can read {shell.folder}/token" in done.stdout
    assert f"→ chmod 600 {shell.folder}/token" in done.stdout
    assert "s3cret" not in done.stdout + done.stderr
    (shell.folder / "token").chmod(0o600)
    assert "everyone can read" not in shell.types("doctor").stdout


def test_status_says_what_is_open_for_whom_and_what_an_apply_would_do(shell: Shell) -> None:
    assert "not created yet: web" in shell.types("status").stdout
    shell.code("apply", "--auto-approve")
    assert shell.types("status").stdout.startswith("Status: in step\n")
    shell.configure('"8443/tcp"')
    done = shell.types("status")
    assert done.returncode == 0
    assert done.stdout.startswith("Status: an apply would open 1 port, close 1 port\n")
    document = json.loads(shell.types("status", "--output", "json").stdout)
    states = {(row["ports"], row["state"]) for row in document["rules"]}
    assert states == {("22", "open"), ("443", "closes"), ("8443", "opens")}
    assert not document["in_step"]


def test_status_shows_until_when_a_port_is_held(shell: Shell, tmp_path: Path) -> None:
    shell.configure('"443/tcp", "8443/tcp"')
    shell.code("apply", "--auto-approve")
    shell.configure(policy='mode = "additive"')
    (row,) = [line for line in shell.types("status").stdout.splitlines() if "8443/tcp" in line]
    assert 'nothing requires it: held, policy.mode = "additive" closes nothing' in row


def test_config_check_and_v_name_the_file_that_is_read(shell: Shell) -> None:
    done = shell.types("config", "check", "-v")
    assert done.stdout == "cloudsync.toml: ok, 1 host, 1 firewall, 1 account (owner shop)\n"
    assert "configuration: ./cloudsync.toml (owner shop)" in done.stderr


@pytest.mark.parametrize("command", [("config", "check"), ("plan",), ("doctor",)])
def test_a_missing_library_is_named_with_what_to_type(
    shell: Shell, command: tuple[str, ...]
) -> None:
    (shell.folder / "cloudsync.toml").write_text(AWS.format(folder=shell.folder))
    hidden = shell.folder / "hidden"
    hidden.mkdir()
    (hidden / "sitecustomize.py").write_text(
        "import sys\n"
        "class Hidden:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.partition('.')[0] == 'boto3':\n"
        "            raise ModuleNotFoundError(f'No module named {name!r}', name=name)\n"
        "sys.meta_path.insert(0, Hidden())\n"
    )
    done = shell.types(*command, PYTHONPATH=str(hidden))
    assert done.returncode == 1, done.stdout + done.stderr
    assert "aws needs boto3, which is not installed" in done.stdout
    assert "pip install 'cloudsync-firewall[aws]'" in done.stdout
