"""One configuration, four clouds: hosts that feed several firewalls in several accounts, one run,
every account for itself."""

from __future__ import annotations

import gc
import json
import os
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from cloudsync.config import load
from cloudsync.model.plan import Granted
from cloudsync.reconcile import run as reconcile
from tests.doubles.compute import ComputeDouble
from tests.doubles.digitalocean import DigitalOceanDouble, fault_body
from tests.doubles.ec2 import Ec2Double
from tests.doubles.hetzner import HetznerDouble
from tests.doubles.http import Double, Fault
from tests.runs.typed_in import TypedIn

pytestmark = pytest.mark.emulator
ACCOUNTS = ("aws", "digitalocean", "gcp", "hetzner")
READS = {
    "aws": ("POST", "/DescribeSecurityGroups"),
    "digitalocean": ("GET", "/firewalls"),
    "gcp": ("GET", "/projects/p/global/firewalls"),
    "hetzner": ("GET", "/firewalls"),
}


class Clouds(TypedIn):
    """The four doubles, a folder with a configuration, and the command typed in it."""

    sdk = "all"

    def __init__(self, folder: Path, started: ExitStack) -> None:
        self.folder = folder
        self.aws = started.enter_context(Ec2Double())
        self.digitalocean = started.enter_context(DigitalOceanDouble())
        self.gcp = started.enter_context(ComputeDouble())
        self.hetzner = started.enter_context(HetznerDouble())
        self.digitalocean.add_droplet("web-1")
        self.hetzner.add_server("web-1")
        self.environment = {
            **os.environ,
            "NO_COLOR": "1",
            "AWS_ACCESS_KEY_ID": self.aws.access_key,
            "AWS_SECRET_ACCESS_KEY": "a-secret-nobody-may-see",
            "AWS_EC2_METADATA_DISABLED": "true",
            "DIGITALOCEAN_TOKEN": self.digitalocean.token,
            "HCLOUD_TOKEN": self.hetzner.token,
        }
        self.configure('"443/tcp"')

    def configure(self, web: str, dns: str = '"53/udp"') -> None:
        (self.folder / "cloudsync.toml").write_text(f"""
version = 1
owner = "shop"
state = "file://{self.folder}/state"
[ssh]
ports = [22]
sources = ["any"]
[policy]
expose = "published"
grace = "0s"
foreign = "ignore"
[run]
deadline = "45s"
[providers.aws]
region = "eu-central-1"
endpoint = "{self.aws.endpoint}"
[providers.digitalocean]
token = {{ env = "DIGITALOCEAN_TOKEN" }}
endpoint = "{self.digitalocean.endpoint}"
[providers.gcp]
project = "p"
anonymous = true
endpoint = "{self.gcp.endpoint}"
[providers.hetzner]
token = {{ env = "HCLOUD_TOKEN" }}
endpoint = "{self.hetzner.endpoint}"
[hosts.web-1]
ports = [{web}]
[hosts.dns-1]
ports = [{dns}]
[firewalls.on-aws]
provider = "aws"
hosts = ["web-1", "dns-1"]
vpc_id = "{self.aws.vpc}"
name = "edge"
[firewalls.on-digitalocean]
provider = "digitalocean"
hosts = ["web-1"]
name = "edge"
droplets = ["web-1"]
private = "cut"
[firewalls.on-gcp]
provider = "gcp"
hosts = ["web-1", "dns-1"]
name = "edge"
target_tags = ["web"]
enforce = "allow"
[firewalls.on-hetzner]
provider = "hetzner"
hosts = ["web-1"]
name = "edge"
servers = ["web-1"]
""")

    def types(self, *words: str) -> subprocess.CompletedProcess[str]:
        done = super().types(*words)
        for secret in ("a-secret-nobody-may-see", self.digitalocean.token, self.hetzner.token):
            assert secret not in done.stdout + done.stderr
        return done

    def applies(self, *words: str) -> subprocess.CompletedProcess[str]:
        return self.types(
            "apply",
            "--auto-approve",
            "--allow-attach",
            "on-digitalocean",
            "--allow-attach",
            "on-hetzner",
            *words,
        )

    def open(self) -> dict[str, set[str]]:
        """The ports that are open at each cloud, read from the doubles."""
        group, droplet, server = self.aws.group("edge"), None, self.hetzner.firewall("edge")
        for one in self.digitalocean.firewalls.values():
            droplet = self.digitalocean.firewall(one.name)
        google: list[dict[str, Any]] = [
            one for rule in self.gcp.firewalls().values() for one in rule["allowed"]
        ]
        return {
            "aws": {f"{rule.protocol}/{rule.first}" for rule in group.rules} if group else set(),
            "digitalocean": (
                {f"{rule['protocol']}/{rule['ports']}" for rule in droplet["inbound_rules"]}
                if droplet
                else set()
            ),
            "gcp": {f"{one['IPProtocol']}/{port}" for one in google for port in one["ports"]},
            "hetzner": (
                {f"{rule['protocol']}/{rule['port']}" for rule in server["rules"]}
                if server
                else set()
            ),
        }


@pytest.fixture
def clouds(tmp_path: Path) -> Iterator[Clouds]:
    with ExitStack() as started:
        built = Clouds(tmp_path, started)
        yield built
        for name in ACCOUNTS:
            assert getattr(built, name).violations == []


def test_one_run_fills_four_clouds_and_the_next_one_is_empty(clouds: Clouds) -> None:
    done = clouds.applies()
    assert done.returncode == 0, done.stdout + done.stderr
    web, both = {"tcp/22", "tcp/443"}, {"tcp/22", "tcp/443", "udp/53"}
    assert clouds.open() == {"aws": both, "digitalocean": web, "gcp": both, "hetzner": web}
    for name in ACCOUNTS:
        assert f"on-{name}: " in done.stdout
        getattr(clouds, name).reset_calls()
    assert clouds.types("plan", "--detailed-exitcode").returncode == 0
    # Nothing to do costs one list an account (and Hetzner's servers, DigitalOcean's droplets, which
    # go by name here).
    assert {name: len(getattr(clouds, name).calls) for name in ACCOUNTS} == {
        "aws": 1,
        "digitalocean": 2,
        "gcp": 1,
        "hetzner": 2,
    }


def test_no_connection_waits_for_garbage_to_be_looked_for(
    clouds: Clouds, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`watch` runs for months: what a run opened is closed when it is over."""
    for name, value in clouds.environment.items():
        monkeypatch.setenv(name, value)
    ports = {urlsplit(getattr(clouds, name).endpoint).port for name in ACCOUNTS}
    configuration = load(clouds.folder / "cloudsync.toml")
    gc.disable()
    try:
        granted = Granted(allow_attach=("on-digitalocean", "on-hetzner"))
        report = reconcile.apply(configuration, reconcile.Options(granted=granted))
        assert {one.firewall for one in report.outcomes if one.status == "done"} == {
            f"on-{name}" for name in ACCOUNTS
        }
        opened = [
            one for one in gc.get_objects() if isinstance(one, socket.socket) and one.fileno() >= 0
        ]
        assert [one for one in opened if _peer(one) in ports] == []
    finally:
        gc.enable()


def _peer(one: socket.socket) -> int | None:
    try:
        return int(one.getpeername()[1])
    except (OSError, IndexError):
        return None


def test_accounts_are_read_and_written_side_by_side(clouds: Clouds) -> None:
    """Every account's first read, and its first write, waits until all four have come to theirs."""
    met = {when: threading.Barrier(len(ACCOUNTS), timeout=30) for when in ("reading", "writing")}
    writes = {
        "aws": ("POST", "/CreateSecurityGroup"),
        "digitalocean": ("POST", "/firewalls"),
        "gcp": ("POST", "/projects/p/global/firewalls"),
        "hetzner": ("POST", "/firewalls"),
    }
    for name in ACCOUNTS:
        cloud: Double = getattr(clouds, name)
        cloud.fail(Fault(*READS[name], "meanwhile", action=met["reading"].wait))
        cloud.fail(Fault(*writes[name], "meanwhile", action=met["writing"].wait))
    done = clouds.applies()
    assert done.returncode == 0, done.stdout + done.stderr
    assert not any(barrier.broken for barrier in met.values())


@pytest.mark.parametrize("failing", ACCOUNTS)
def test_an_account_that_cannot_be_read_does_not_stop_the_others(
    clouds: Clouds, failing: str
) -> None:
    assert clouds.applies().returncode == 0
    before = clouds.open()
    clouds.configure('"80/tcp"')
    getattr(clouds, failing).fail(Fault(*READS[failing], "drop-before", times=10_000))
    done = clouds.applies()
    assert done.returncode == 75, done.stdout + done.stderr
    now = clouds.open()
    assert now.pop(failing) == before.pop(failing)
    assert all("tcp/80" in ports and "tcp/443" not in ports for ports in now.values())
    assert f"on-{failing}: not begun" in done.stdout


def test_an_account_that_refuses_to_write_does_not_stop_the_others(clouds: Clouds) -> None:
    assert clouds.applies().returncode == 0
    clouds.configure('"80/tcp"')
    clouds.digitalocean.fail(
        Fault("POST", "/firewalls/.*", status=403, body=fault_body("forbidden"), times=10_000)
    )
    done = clouds.applies()
    assert done.returncode == 6, done.stdout + done.stderr
    assert "on-digitalocean: failed, nothing was changed" in done.stdout
    now = clouds.open()
    assert now.pop("digitalocean") == {"tcp/22", "tcp/443"}
    assert all("tcp/80" in ports for ports in now.values())


def test_the_plan_names_each_account_with_its_type_and_endpoint(clouds: Clouds) -> None:
    document = json.loads(clouds.types("plan", "--output", "json").stdout)
    assert [(f["name"], f["provider"], f["type"]) for f in document["firewalls"]] == [
        (f"on-{name}", name, name) for name in ACCOUNTS
    ]
    assert all(f["endpoint"].startswith("http://127.0.0.1:") for f in document["firewalls"])
    assert sum(len(f["changes"]) for f in document["firewalls"]) == (1 + 3) + (1 + 1 + 2) + (
        1 + 3
    ) + (1 + 1 + 2)


def test_a_plan_file_holds_for_all_four(clouds: Clouds) -> None:
    granted = ("--allow-attach", "on-digitalocean", "--allow-attach", "on-hetzner")
    assert clouds.types("plan", "--out", "plan.json", *granted).returncode == 0
    done = clouds.types("apply", "plan.json")
    assert done.returncode == 0, done.stdout + done.stderr
    clouds.configure('"80/tcp"')
    assert clouds.types("apply", "plan.json").returncode == 4
    assert "tcp/80" not in clouds.open()["aws"]


def test_one_firewall_alone_asks_one_account_only(clouds: Clouds) -> None:
    assert clouds.applies("--firewall", "on-gcp").returncode == 0
    assert [len(getattr(clouds, name).calls) > 0 for name in ACCOUNTS] == [
        False,
        False,
        True,
        False,
    ]
