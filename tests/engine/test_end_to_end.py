"""The whole path on real parts: containers of a real engine decide what a Hetzner firewall (a
strict double, by the real SDK) allows."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cloudsync.rules import Rule, RuleSet
from cloudsync.rules.networks import NetworkSet
from tests.command import typed
from tests.doubles.hetzner import HetznerDouble
from tests.engine.lab import Lab
from tests.world import rules

pytestmark = [pytest.mark.engine, pytest.mark.emulator]

TOKEN_VARIABLE = "CLOUDSYNC_TEST_TOKEN"


class User:
    """Somebody with a shell: types `cloudsync …` in the folder of a configuration."""

    def __init__(self, folder: Path, engine: Lab, cloud: HetznerDouble) -> None:
        self.folder, self.engine, self.cloud = folder, engine, cloud
        self.configure()

    def configure(self, policy: str = "", host: str = "") -> None:
        (self.folder / "cloudsync.toml").write_text(f"""
version = 1
owner = "shop"
state = "file://{self.folder}/state"
[ssh]
ports = [22]
sources = ["any"]
[networks]
office = ["203.0.113.0/24", "2001:db8::/48"]
[policy]
expose = "published"
grace = "0s"
{policy}
[providers.hetzner]
token = {{ env = "{TOKEN_VARIABLE}" }}
endpoint = "{self.cloud.endpoint}"
[hosts.web-1]
docker = "unix://{self.engine.socket}"
{host}
[firewalls.web]
provider = "hetzner"
hosts = ["web-1"]
servers = ["web-1"]
""")

    def types(self, *words: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, TOKEN_VARIABLE: self.cloud.token, "NO_COLOR": "1"}
        return typed(*words, folder=self.folder, environment=environment)

    def plan(self, *words: str) -> dict[str, Any]:
        done = self.types("plan", "--output", "json", *words)
        assert done.stdout, done.stderr
        return json.loads(done.stdout)  # type: ignore[no-any-return]

    def applies(self, *words: str, code: int = 0) -> str:
        done = self.types("apply", "--auto-approve", *words)
        assert done.returncode == code, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return done.stdout

    def open(self) -> RuleSet:
        """What the firewall at the vendor lets in."""
        firewall = self.cloud.firewall("cloudsync-web")
        assert firewall is not None
        return RuleSet.of(
            Rule.of(rule["protocol"], rule["port"] or "", NetworkSet.of(rule["source_ips"]))
            for rule in firewall["rules"]
            if rule["direction"] == "in"
        )


@pytest.fixture
def cloud() -> Iterator[HetznerDouble]:
    with HetznerDouble() as double:
        double.add_server("web-1")
        yield double
        assert double.violations == []


@pytest.fixture
def user(tmp_path: Path, engine: Lab, cloud: HetznerDouble) -> Iterator[User]:
    engine.remove_containers()
    yield User(tmp_path, engine, cloud)
    engine.start()
    engine.remove_containers()


RUNS = (
    ("web", "-p", "80:80", "-p", "443:443"),
    ("udp", "-p", "5353:53/udp"),
    ("range", "-p", "9200-9202:9200-9202/udp"),
    ("v4", "-p", "0.0.0.0:8083:80"),
    ("loopback", "-p", "127.0.0.1:8081:80"),
    ("random", "-p", "80"),
    ("database", "-p", "5432:5432"),
    ("behind", "-p", "15432:5432"),
    ("office", "-p", "3306:3306", "-l", "cloudsync.sources=@office"),
    ("hidden", "-p", "8088:80", "-l", "cloudsync.expose=false"),
    ("host-network", "--network", "host", "-l", "cloudsync.ports=7443,7000-7002/udp"),
    ("host-silent", "--network", "host"),
    ("some", "-p", "8100-8102:8100-8102", "-l", "cloudsync.ports=8101"),
    ("none", "--network", "none", "-p", "8089:80"),
    ("exposed", "--expose", "3307"),
    ("private", "-p", "172.17.0.1:8090:80"),
)
EXPECTED = rules(
    *(
        "tcp/22",
        "tcp/80",
        "tcp/443",
        "udp/5353",
        "udp/9200-9202",
        "tcp/8083 from 0.0.0.0/0",
        "tcp/7443",
        "udp/7000-7002",
        "tcp/8101",
    ),
)
NARROW = rules("tcp/3306 from 203.0.113.0/24,2001:db8::/48")


def run_all(engine: Lab) -> None:
    for name, *options in RUNS:
        engine.run(name, *options)
    engine.docker("pause", "udp")


def families(engine: Lab, wanted: RuleSet) -> RuleSet:
    """`wanted`, within the families that this engine publishes on."""
    entries = json.loads(engine.docker("inspect", "-f", "{{json .NetworkSettings.Ports}}", "web"))[
        "80/tcp"
    ]
    if any(entry["HostIp"] == "::" for entry in entries):
        return wanted
    everywhere = rules("tcp/22", "tcp/7443", "udp/7000-7002")
    return wanted.where(NetworkSet.of(["any4"])) | everywhere


def test_the_firewall_allows_exactly_what_the_containers_need_plus_ssh(user: User) -> None:
    run_all(user.engine)
    user.applies("--allow-attach", "web")
    assert user.open() == families(user.engine, EXPECTED | NARROW)
    servers = user.cloud.server("web-1")["public_net"]["firewalls"]
    assert [entry["status"] for entry in servers] == ["applied"]

    again = user.types("plan", "--detailed-exitcode")
    assert again.returncode == 0, again.stdout + again.stderr

    refused = {
        (one["protocol"], one["ports"], one["code"])
        for one in user.plan()["firewalls"][0]["refused"]
    }
    assert {
        ("tcp", "5432", "sensitive"),
        ("tcp", "15432", "sensitive"),
        ("tcp", "8088", "labelled-out"),
    } <= refused
    assert ("tcp", "8090", "private-address") in refused
    assert any(code == "random-port" for _, _, code in refused)


def test_a_removed_container_closes_its_port_on_the_next_run(user: User) -> None:
    user.engine.run("web", "-p", "80:80")
    user.engine.run("old", "-p", "8085:80")
    user.applies("--allow-attach", "web")
    assert user.open() & rules("tcp/8085")
    user.engine.docker("rm", "-f", "old")
    assert user.types("plan", "--detailed-exitcode").returncode == 2
    user.applies()
    assert not user.open() & rules("tcp/8085")
    assert user.open() & rules("tcp/80")
    assert user.open().covers(rules("tcp/22"))


def test_a_stopped_engine_closes_nothing_and_asks_to_try_again(user: User) -> None:
    user.engine.run("web", "-p", "80:80")
    user.applies("--allow-attach", "web")
    before = user.open()
    user.engine.stop()
    user.cloud.reset_calls()
    user.applies(code=75)
    assert user.open() == before
    assert [call for call in user.cloud.calls if call.method != "GET"] == []


def test_a_stopped_engine_at_the_first_run_leaves_the_machine_as_it_was(user: User) -> None:
    user.engine.stop()
    user.applies("--allow-attach", "web", code=75)
    assert user.cloud.firewall("cloudsync-web") is None
    assert user.cloud.server("web-1")["public_net"]["firewalls"] == []


def test_labels_of_an_image_open_nothing(user: User) -> None:
    user.configure(policy="")
    text = (user.folder / "cloudsync.toml").read_text().replace('"published"', '"labelled"')
    (user.folder / "cloudsync.toml").write_text(text)
    user.engine.image(
        "labelled:1",
        **{"cloudsync.expose": "true", "cloudsync.ports": "8000-8100", "cloudsync.sources": "any"},
    )
    user.engine.run("published", "-p", "8085:80", image="labelled:1")
    user.engine.run("host", "--network", "host", image="labelled:1")
    user.applies("--allow-attach", "web")
    assert user.open() == rules("tcp/22")


def test_a_malformed_label_keeps_its_ports_and_is_exit_1(user: User) -> None:
    user.engine.run("web", "-p", "80:80")
    user.engine.run("app", "-p", "8085:80")
    user.applies("--allow-attach", "web")
    before = user.open()
    user.engine.docker("rm", "-f", "app")
    user.engine.run("app", "-p", "8085:80", "-p", "8086:80", "-l", "cloudsync.exposed=true")
    user.applies(code=1)
    assert user.open() == before


def test_a_container_name_cannot_reach_the_terminal_or_the_vendor_raw(user: User) -> None:
    user.engine.run(
        "evil",
        "-p",
        "8085:80",
        "-l",
        "com.docker.compose.project=\x1b[31mred\u202e",
        "-l",
        "com.docker.compose.service=<b>x",
    )
    out = user.applies("--allow-attach", "web")
    assert "\x1b" not in out
    assert "\u202e" not in out
    firewall = user.cloud.firewall("cloudsync-web")
    assert firewall is not None
    assert all("\x1b" not in (rule["description"] or "") for rule in firewall["rules"])


def test_without_the_users_word_nothing_is_attached(user: User) -> None:
    user.engine.run("web", "-p", "80:80")
    user.applies(code=3)
    assert user.cloud.firewall("cloudsync-web") is None


def test_a_plan_file_is_applied_and_a_stale_one_is_not(user: User) -> None:
    user.engine.run("web", "-p", "80:80")
    assert user.types("plan", "--allow-attach", "web", "--out", "plan.json").returncode == 0
    user.engine.run("late", "-p", "8085:80")
    stale = user.types("apply", "plan.json")
    assert stale.returncode == 4, stale.stdout + stale.stderr
    assert user.cloud.firewall("cloudsync-web") is None
    user.engine.docker("rm", "-f", "late")
    done = user.types("apply", "plan.json")
    assert done.returncode == 0, done.stdout + done.stderr
    assert user.open() & rules("tcp/80")


def test_discover_needs_no_configuration(user: User) -> None:
    user.engine.run("web", "-p", "80:80")
    (user.folder / "cloudsync.toml").unlink()
    environment = {**os.environ, "DOCKER_HOST": f"unix://{user.engine.socket}", "NO_COLOR": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "cloudsync", "discover"],
        cwd=user.folder, env=environment, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "80" in done.stdout
    assert "web" in done.stdout


def test_the_token_is_nowhere_in_what_is_printed_or_kept(user: User) -> None:
    user.engine.run("web", "-p", "80:80")
    printed = [
        user.types("-v", "plan", "--out", "plan.json"),
        user.types("-v", "apply", "--auto-approve", "--allow-attach", "web"),
    ]
    printed += [user.types("config", "show"), user.types("config", "check")]
    said = "".join(done.stdout + done.stderr for done in printed)
    kept = "".join(
        path.read_text()
        for path in user.folder.rglob("*")
        if path.is_file() and path.name != "cloudsync.toml"
    )
    assert user.cloud.token not in said + kept
