"""A machine behind a cloud's firewall and its own: exposure is what passes both, and what one of
them stops is said."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.command import typed
from tests.doubles.hetzner import HetznerDouble
from tests.host.namespace import Namespace, needs

pytestmark = pytest.mark.engine
WORLD = ["0.0.0.0/0", "::/0"]


class Machine:
    """`web-1` at Hetzner, whose kernel is a namespace."""

    def __init__(self, folder: Path, kernel: Namespace, cloud: HetznerDouble) -> None:
        self.folder, self.kernel, self.cloud = folder, kernel, cloud
        self.enforce = "enforce"
        self.ports = ["443/tcp"]
        cloud.add_server("web-1")

    def types(self, *words: str) -> subprocess.CompletedProcess[str]:
        """`cloudsync …` with both firewalls in the configuration."""
        (self.folder / "cloudsync.toml").write_text(f"""
version = 1
owner = "shop"
state = "file://{self.folder}/state"
[ssh]
ports = [22]
sources = ["any"]
[policy]
expose = "published"
[providers.hetzner]
token = {{ env = "CLOUDSYNC_DOUBLE_TOKEN" }}
endpoint = "{self.cloud.endpoint}"
[providers.host]
[hosts.web-1]
ports = {json.dumps(self.ports)}
[firewalls.web]
provider = "hetzner"
hosts = ["web-1"]
servers = ["web-1"]
[firewalls.web-host]
provider = "host"
hosts = ["web-1"]
enforce = "{self.enforce}"
interfaces = "all"
confirm = "off"
save = "off"
""")
        environ = {k: v for k, v in os.environ.items() if k != "SSH_CONNECTION"}
        environ |= {
            "CLOUDSYNC_DOUBLE_TOKEN": self.cloud.token,
            "PATH": f"{self.kernel.bin}:{environ['PATH']}",
            "COLUMNS": "400",
        }
        return typed(*words, folder=self.folder, environment=environ, sdk="host")

    def apply(self) -> None:
        grants = ("--allow-attach", "web", "--allow-attach", "web-host")
        done = self.types("apply", "--auto-approve", *grants)
        assert done.returncode == 0, (done.stdout, done.stderr)

    def apply_cloud(self) -> None:
        done = self.types("apply", "--auto-approve", "--firewall", "web", "--allow-attach", "web")
        assert done.returncode == 0, (done.stdout, done.stderr)

    def stranger(self, rule: dict[str, Any]) -> None:
        """Another firewall of the cloud on the machine, by somebody else."""
        self.cloud.add_firewall("office", [rule], servers=list(self.cloud.servers))

    def exposure(self) -> dict[str, Any]:
        """By firewall, its one machine."""
        document = json.loads(self.types("exposure", "--output", "json").stdout)
        return {f["name"]: f["exposure"][0] for f in document["firewalls"]}


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    needs()
    with Namespace() as kernel, HetznerDouble() as cloud:
        yield Machine(tmp_path, kernel, cloud)


def ports(rules: list[dict[str, Any]]) -> set[str]:
    return {rule["ports"] for rule in rules}


def test_what_the_cloud_lets_in_and_the_kernel_stops_is_not_reachable(machine: Machine) -> None:
    machine.apply()
    stranger = {"direction": "in", "protocol": "tcp", "port": "3389", "source_ips": WORLD}
    firewall = machine.cloud.firewall("cloudsync-web")
    assert firewall is not None
    machine.cloud.set_rules_by_hand(firewall["id"], [*firewall["rules"], stranger])
    for exposed in machine.exposure().values():
        assert ports(exposed["reachable"]) == {"22", "443"}
        (halted,) = exposed["halted"]
        assert (halted["ports"], halted["let_in_by"]) == ("3389", "the cloud")
    shown = machine.types("exposure").stdout
    assert "the cloud lets it in, the machine's own firewall stops it" in shown


def test_what_the_kernel_lets_in_and_the_cloud_stops_is_not_reachable(machine: Machine) -> None:
    machine.apply()
    machine.kernel.nft("add element inet cloudsync open4 { tcp . 8080 . 0.0.0.0/0 }")
    for exposed in machine.exposure().values():
        assert ports(exposed["reachable"]) == {"22", "443"}
        (halted,) = exposed["halted"]
        assert (halted["ports"], halted["stopped_by"]) == ("8080", "the cloud")


def test_a_plan_says_what_only_one_wall_will_let_in_and_explain_says_it_of_a_port(
    machine: Machine,
) -> None:
    machine.apply()
    stranger = {"direction": "in", "protocol": "tcp", "port": "3389", "source_ips": WORLD}
    machine.stranger(stranger)
    shown = machine.types("plan").stdout
    stopped = "the cloud lets it in, the machine's own firewall stops it"
    assert f"web-1: 3389/tcp from everyone (IPv4): {stopped}" in shown
    assert shown.count(stopped) == 1
    explained = machine.types("explain", "3389").stdout
    assert f"on web-1, to everyone (IPv4): {stopped}" in explained


def test_a_plan_that_opens_one_wall_only_says_that_it_does_not_help(machine: Machine) -> None:
    machine.apply()
    machine.ports = ["443/tcp", "8443/tcp"]
    both = json.loads(machine.types("plan", "--output", "json").stdout)
    assert [f["exposure"][0]["halted_after"] for f in both["firewalls"]] == [[], []]
    done = machine.types("apply", "--auto-approve", "--firewall", "web-host")
    assert done.returncode == 0, done.stderr
    # Without its marker the cloud's firewall is withheld as a whole.
    for firewall in machine.cloud.firewalls.values():
        firewall.labels.clear()
    shown = machine.types("plan").stdout
    assert (
        "web-1: 8443/tcp from everyone (IPv4): the machine's own firewall lets it in, the cloud"
        " stops it, so it cannot be reached although it is needed" in shown
    )
    document = json.loads(machine.types("explain", "8443", "--output", "json").stdout)
    halted, _ = (story["halted"][0] for story in document["explained"][0]["firewalls"])
    assert (halted["machine"], halted["stopped_by"]) == ("web-1", "the cloud")


def test_before_the_kernel_drops_its_plan_says_what_of_the_cloud_it_will_stop(
    machine: Machine,
) -> None:
    machine.apply_cloud()
    stranger = {"direction": "in", "protocol": "tcp", "port": "3389", "source_ips": WORLD}
    machine.stranger(stranger)
    assert "3389/tcp from everyone (IPv4): the cloud lets it in" not in machine.types("plan").stdout
    words = ("plan", "--allow-attach", "web-host")
    assert "3389/tcp from everyone (IPv4): the cloud lets it in" in machine.types(*words).stdout


def test_while_the_kernel_only_observes_the_cloud_decides_alone(machine: Machine) -> None:
    machine.enforce = "observe"
    machine.apply()
    for exposed in machine.exposure().values():
        assert exposed["protected"] is True
        assert ports(exposed["reachable"]) == {"22", "443"}
        assert exposed["beyond"] == exposed["halted"] == []


def test_without_a_cloud_firewall_an_observing_machine_is_open(machine: Machine) -> None:
    machine.enforce = "observe"
    done = machine.types("apply", "--auto-approve", "--firewall", "web-host")
    assert done.returncode == 0, (done.stdout, done.stderr)
    assert machine.exposure()["web-host"]["protected"] is False
