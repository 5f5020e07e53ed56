"""Controllers of several shards with one bucket: each reports and counts its own runs."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cloudsync.config import load
from cloudsync.state.exclusive import exclusive
from cloudsync.state.shards import Shard
from cloudsync.watch.service import Overrides, Service
from tests.command import typed
from tests.store.conftest import bucket

CONFIGURATION = """
version = 1
owner = "shop"
state = {{ url = "s3://{bucket}/state", endpoint = "{endpoint}" }}
[ssh]
ports = [22]
sources = ["any"]
[policy]
expose = "published"
[providers.local]
[hosts.down]
docker = "unix:///nowhere/docker.sock"
[hosts.up]
ports = ["443/tcp"]
[firewalls.{down}]
provider = "local"
hosts = ["down"]
path = "down.json"
[firewalls.{up}]
provider = "local"
hosts = ["up"]
path = "up.json"
"""
Controller = Callable[[int], "subprocess.CompletedProcess[str]"]


def name_in(shard: Shard) -> str:
    return next(name for name in (f"fw-{n}" for n in range(100)) if shard.takes(name))


@pytest.fixture
def file(moto: str, tmp_path: Path) -> Path:
    """Of two firewalls, the first shard's has a host that cannot be read."""
    path = tmp_path / "cloudsync.toml"
    down, up = (name_in(Shard(number, 2)) for number in range(2))
    path.write_text(CONFIGURATION.format(bucket=bucket(moto), endpoint=moto, down=down, up=up))
    return path


@pytest.fixture
def controller(file: Path) -> Controller:
    def run(number: int) -> subprocess.CompletedProcess[str]:
        command = "apply --auto-approve --quiet --shard"
        words = [*command.split(), f"{number}/2", "--metrics-file", f"{number}.prom"]
        return typed(*words, "-c", str(file), folder=file.parent, environment=os.environ)

    return run


def test_a_shard_that_is_well_does_not_end_the_trouble_of_another(controller: Controller) -> None:
    first, well, again, still = (controller(number) for number in (0, 1, 0, 1))
    assert (first.returncode, well.returncode) == (75, 0), first.stderr + well.stderr
    assert "down could not be read" in first.stdout
    assert "recovered" not in well.stdout
    assert (again.returncode, again.stdout, still.stdout) == (75, "", "")


def test_a_shard_counts_its_own_runs(controller: Controller, file: Path) -> None:
    for number in (0, 1, 0):
        controller(number)
    down, up = ((file.parent / f"{number}.prom").read_text() for number in range(2))
    assert 'cloudsync_runs_total{owner="shop",exit_code="75"} 2' in down
    assert 'exit_code="75"' not in up
    assert 'cloudsync_runs_total{owner="shop",exit_code="0"} 1' in up


def test_a_service_of_a_shard_remembers_its_own_runs(file: Path) -> None:
    service = Service(file, Overrides(shard=Shard(1, 2)), lambda _: None)
    assert getattr(service.configuration.state, "unit", None) == "1-of-2"


def command(file: Path, *words: str) -> dict[str, Any]:
    """What a command that is about no shard says in JSON."""
    words = (*words, "--output", "json", "-c", str(file))
    done = typed(*words, folder=file.parent, environment=os.environ)
    assert done.returncode in (0, 75), done.stderr
    document = json.loads(done.stdout)
    return document if isinstance(document, dict) else {"entries": document}


def test_exposure_report_and_history_are_about_all_shards(
    controller: Controller, file: Path
) -> None:
    """They ask for no lease, so that they answer while every shard is at work."""
    names = {name_in(Shard(number, 2)) for number in range(2)}
    for number in range(2):
        controller(number)
    configuration = load(file)
    with exclusive(configuration.state, "shop"):
        exposed = command(file, "exposure")
        report = command(file, "report", "--no-audit")
        runs = command(file, "history")["entries"]
    assert {firewall["name"] for firewall in exposed["firewalls"]} == names
    assert {row["firewall"] for row in report["rows"]} == names
    assert {host["name"] for host in report["hosts"]} == {"down", "up"}
    by_run = [{firewall["name"] for firewall in run["firewalls"]} for run in runs]
    assert sorted(by_run, key=sorted) == sorted(({name} for name in names), key=sorted)
    assert {run["id"] for run in report["runs"]} == {run["id"] for run in runs}
