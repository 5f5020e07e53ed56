"""Whole runs of the command against the double: calls, exit codes, what an earlier run left
unfinished, the typed yes."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.doubles.hetzner import HetznerDouble, fault_body
from tests.doubles.http import Fault
from tests.runs.typed_in import TypedIn

pytestmark = pytest.mark.emulator


class Run(TypedIn):
    """A folder with a configuration (one static host, one server), and the command typed in it."""

    def __init__(self, folder: Path, cloud: HetznerDouble) -> None:
        self.folder, self.cloud = folder, cloud
        self.environment = {**os.environ, "CLOUDSYNC_DOUBLE_TOKEN": cloud.token, "NO_COLOR": "1"}
        self.configure('"443/tcp"')

    def configure(self, ports: str) -> None:
        (self.folder / "cloudsync.toml").write_text(f"""
version = 1
owner = "shop"
state = "file://{self.folder}/state"
[ssh]
ports = [22]
sources = ["any"]
[policy]
expose = "published"
[run]
deadline = "10s"
[providers.hetzner]
token = {{ env = "CLOUDSYNC_DOUBLE_TOKEN" }}
endpoint = "{self.cloud.endpoint}"
[hosts.web-1]
ports = [{ports}]
[firewalls.web]
provider = "hetzner"
hosts = ["web-1"]
servers = ["web-1"]
""")

    def applies(self, *words: str) -> int:
        done = self.types("apply", "--auto-approve", *words)
        assert self.cloud.token not in done.stdout + done.stderr
        return done.returncode

    def answers(self, answer: str) -> tuple[int, str]:
        ours, theirs = pty.openpty()
        process = subprocess.Popen(
            [sys.executable, "-m", "cloudsync", "apply"],
            cwd=self.folder,
            env=self.environment,
            stdin=theirs,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        os.close(theirs)
        os.write(ours, f"{answer}\n".encode())
        out, _ = process.communicate(timeout=60)
        os.close(ours)
        return process.returncode, out

    def ports(self) -> set[str]:
        firewall = self.cloud.firewall("cloudsync-web")
        return {rule["port"] for rule in firewall["rules"]} if firewall else set()


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    with HetznerDouble() as cloud:
        cloud.add_server("web-1")
        yield Run(tmp_path, cloud)
        assert cloud.violations == []


def test_a_plan_with_nothing_to_do_is_two_calls(run: Run) -> None:
    assert run.applies("--allow-attach", "web") == 0
    run.cloud.reset_calls()
    assert run.types("plan", "--detailed-exitcode").returncode == 0
    # Neither waits for the other, so either may arrive first.
    assert sorted((call.method, call.path) for call in run.cloud.calls) == [
        ("GET", "/firewalls"),
        ("GET", "/servers"),
    ]


def test_a_change_is_one_write_between_two_reads_and_the_waiting(run: Run) -> None:
    run.applies("--allow-attach", "web")
    run.configure('"443/tcp", "80/tcp", "53/udp"')
    run.cloud.reset_calls()
    assert run.applies() == 0
    assert len(run.cloud.writes()) == 1
    assert len(run.cloud.calls) == 2 + 1 + run.cloud.count("GET", "/actions") + 2


def test_the_typed_yes_is_the_word_for_attaching(run: Run) -> None:
    code, out = run.answers("no")
    assert code == 1
    assert "everything on it is open now" in out
    assert run.cloud.firewall("cloudsync-web") is None
    code, out = run.answers("yes")
    assert code == 0, out
    assert [entry["status"] for entry in run.cloud.server("web-1")["public_net"]["firewalls"]] == [
        "applied"
    ]


def test_the_plan_names_the_machine_that_would_be_attached(run: Run) -> None:
    document = json.loads(run.types("plan", "--output", "json").stdout)
    (firewall,) = document["firewalls"]
    assert {"action": "attach", "target": "server 2", "opens_now": True}.items() <= firewall[
        "changes"
    ][1].items()
    assert [guard["id"] for guard in document["guards"]] == ["attach"]


def test_6_then_the_next_run_finishes_what_was_not_put_in_force(run: Run) -> None:
    run.applies("--allow-attach", "web")
    server = next(iter(run.cloud.servers))
    run.cloud.failing_servers.add(server)
    run.configure('"443/tcp", "80/tcp"')
    assert run.applies() == 6
    assert run.types("plan", "--detailed-exitcode").returncode == 2
    run.cloud.failing_servers.clear()
    assert run.applies() == 0
    assert run.types("plan", "--detailed-exitcode").returncode == 0


def test_6_a_write_whose_answer_is_lost_is_read_back_and_finished_by_the_next_run(run: Run) -> None:
    run.applies("--allow-attach", "web")
    run.configure('"80/tcp"')
    run.cloud.fail(Fault("POST", r"/firewalls/\d+/actions/set_rules", "drop-after"))
    done = run.types("apply", "--auto-approve")
    assert done.returncode == 6
    assert "opened 80/tcp; closed 443/tcp" in done.stdout
    assert run.applies() == 0
    assert run.ports() == {"22", "80"}


def test_1_a_wrong_token_changes_nothing(run: Run) -> None:
    run.environment["CLOUDSYNC_DOUBLE_TOKEN"] = "an0ther-t0ken"
    done = run.types("apply", "--auto-approve", "--allow-attach", "web")
    assert done.returncode == 1
    assert "unauthorized" in done.stdout
    assert "an0ther-t0ken" not in done.stdout
    assert run.cloud.writes() == []


def test_75_a_vendor_that_is_down_for_now(run: Run) -> None:
    run.cloud.fail(
        Fault("GET", "/firewalls", status=503, body=fault_body("unavailable"), times=1000)
    )
    assert run.applies("--allow-attach", "web") == 75
    assert run.cloud.writes() == []


def test_3_a_firewall_made_by_hand_waits_to_be_adopted(run: Run) -> None:
    rule = {"direction": "in", "protocol": "tcp", "port": "3389", "source_ips": ["0.0.0.0/0"]}
    run.cloud.add_firewall("cloudsync-web", [rule], servers=list(run.cloud.servers))
    assert run.applies() == 3
    assert run.ports() == {"3389"}
    # Nothing reaches the declared SSH today: people log in some other way.
    assert run.applies("--adopt", "web") == 3
    assert run.ports() == {"3389"}
    assert run.applies("--adopt", "web", "--ssh-moved") == 0
    assert run.ports() == {"22", "443"}


def test_3_too_many_rules_are_refused_with_the_numbers(run: Run) -> None:
    run.configure(", ".join(f'"{n}/tcp"' for n in range(20001, 20121, 2)))
    done = run.types("apply", "--auto-approve", "--allow-attach", "web")
    assert done.returncode == 3
    assert "61 rules are needed, Hetzner allows 50" in done.stdout
    assert run.cloud.writes() == []


def test_ssh_was_open_at_every_instant(run: Run) -> None:
    run.applies("--allow-attach", "web")
    for ports in ('"80/tcp"', '"80/tcp", "8443/tcp"', '"25/tcp"'):
        run.configure(ports)
        assert run.applies() == 0
    assert len(run.cloud.history) == 4
    assert all("22" in {rule["port"] for rule in rules} for _, rules in run.cloud.history)


def test_a_run_imports_no_other_clouds_sdk(run: Run) -> None:
    script = (
        "import contextlib, io, sys\nsys.argv = ['cloudsync', 'plan']\nfrom cloudsync.__main__"
        " import main\nwith contextlib.redirect_stdout(io.StringIO()),"
        " contextlib.suppress(SystemExit):\n    main()\nprint([m for m in ('hcloud', 'boto3',"
        " 'botocore', 'google.cloud', 'digitalocean', 'docker') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=run.folder,
        env=run.environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout.strip() == "[]"
