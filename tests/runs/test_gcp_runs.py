"""Whole runs against the double: calls counted in it, what a plan says, what an earlier run left
unfinished, what is imported."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cloudsync.provider.marker import host_digest
from tests.command import typed
from tests.doubles.compute import ComputeDouble, fault_body
from tests.doubles.gcp_shop import RULES, WAITS, Shop
from tests.doubles.http import Fault

pytestmark = pytest.mark.emulator
SSH_AND_443 = [{"IPProtocol": "tcp", "ports": ["22", "443"]}]
RDP = {"allowed": [{"IPProtocol": "tcp", "ports": ["3389"]}], "sourceRanges": ["0.0.0.0/0"]}


@pytest.fixture
def cloud() -> Iterator[ComputeDouble]:
    with ComputeDouble() as double:
        yield double
        assert double.violations == []


@pytest.fixture
def shop(tmp_path: Path, cloud: ComputeDouble, quick_retries: None) -> Shop:
    return Shop(tmp_path, cloud)


def types(shop: Shop, *words: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """The command, typed beside the configuration."""
    shop.write()
    environment = {
        **os.environ,
        "NO_COLOR": "1",
        "NO_GCE_CHECK": "true",
        "CLOUDSDK_CONFIG": str(shop.folder / "gcloud"),
        **environ,
    }
    return typed(*words, folder=shop.folder, environment=environment, sdk="gcp")


def there_are(shop: Shop, count: int) -> None:
    """So many firewalls, each with SSH and 443 open to the world, by two VPC rules of the shop's
    own."""
    shop.firewalls = tuple(f"fw-{number}" for number in range(count))
    for name in shop.firewalls:
        mark = f"cloudsync owner=shop firewall={name} hosts={host_digest(['web-1'])}"
        for family, network in ((4, "0.0.0.0/0"), (6, "::/0")):
            shop.cloud.add_firewall(
                f"cloudsync-{name}-any{family}",
                allowed=SSH_AND_443,
                sourceRanges=[network],
                targetTags=["web"],
                priority=900,
                description=mark,
            )


# Calls, with foreign = "ignore"


@pytest.mark.parametrize(
    ("firewalls", "others", "lists"),
    [(1, 0, 1), (20, 0, 1), (200, 0, 1), (200, 100, 1), (200, 101, 2)],
)
def test_a_plan_with_nothing_to_do_is_one_list_per_500_rules(
    shop: Shop, firewalls: int, others: int, lists: int
) -> None:
    there_are(shop, firewalls)
    for number in range(others):
        shop.cloud.add_firewall(f"other-{number}", **RDP)
    assert not shop.plan().has_changes
    assert shop.calls() == (lists, 0, 0)
    shop.cloud.reset_calls()
    assert shop.apply() == (0, "; ".join(["unchanged"] * firewalls))
    assert shop.calls() == (lists, 0, 0)


TWENTY = tuple(f"{port}/tcp" for port in range(8001, 8041, 2))


@pytest.mark.parametrize(
    ("before", "after", "rules"),
    [
        ((), ("443/tcp",), 2),
        ((), TWENTY, 2),
        (TWENTY, (), 2),
        (("80/tcp",), ("443/tcp",), 2),
        (TWENTY, tuple(f"{port}/udp" for port in range(8001, 8041, 2)), 2),
    ],
)
def test_a_change_is_one_write_and_one_wait_for_every_vpc_rule_it_touches(
    shop: Shop, before: tuple[str, ...], after: tuple[str, ...], rules: int
) -> None:
    shop.ports = (*before, "8443/tcp")
    shop.applies()
    shop.ports = (*after, "8443/tcp")
    shop.cloud.reset_calls()
    shop.applies()
    assert shop.calls() == (2, rules, rules), "a list before, and one to read back"
    assert [kind for kind, _ in shop.written()] == ["PUT"] * rules + ["POST"] * rules


@pytest.mark.parametrize("firewalls", [1, 20, 200])
def test_a_change_in_one_firewall_of_many_touches_no_rule_of_the_others(
    shop: Shop, firewalls: int
) -> None:
    there_are(shop, firewalls)
    shop.cloud.set_by_hand("cloudsync-fw-0-any4", allowed=[{"IPProtocol": "tcp", "ports": ["22"]}])
    code, said = shop.apply()
    assert (code, said) == (0, "; ".join(["done", *["unchanged"] * (firewalls - 1)]))
    assert shop.calls() == (2, 1, 1)
    assert shop.written() == [("PUT", "cloudsync-fw-0-any4"), ("POST", "wait")]


def test_creating_is_one_write_and_one_wait_a_rule(shop: Shop) -> None:
    shop.applies()
    assert shop.calls() == (2, 2, 2)
    assert [kind for kind, name in shop.written() if name != "wait"] == ["POST", "POST"]


# What a plan says


def kept(shop: Shop) -> list[str]:
    (firewall,) = json.loads(types(shop, "plan", "--output", "json").stdout)["firewalls"]
    return [one["summary"] for one in firewall["kept"]]


def test_the_plan_names_the_rules_of_others_that_act_on_the_same_targets(shop: Shop) -> None:
    shop.applies()
    shop.cloud.add_firewall("default-allow-rdp", priority=65534, **RDP)
    assert kept(shop) == []
    shop.policy = 'foreign = "report"'
    path = shop.write()
    path.write_text(path.read_text().replace('foreign = "ignore"\n', ""))
    shop.write = lambda: path  # type: ignore[method-assign]
    assert kept(shop) == [
        (
            "default-allow-rdp (not of this firewall, priority 65534) also lets in tcp/3389 from"
            " 0.0.0.0/0 on these targets"
        )
    ]
    assert "default-allow-rdp" in types(shop, "-v", "plan").stdout


@pytest.mark.parametrize(
    ("enforce", "keys", "said"),
    [
        (
            "deny-others",
            'target_tags = ["web"]\npriority = 950',
            'enforce = "deny-others" needs a priority below 950',
        ),
        ("deny-all", 'target_tags = ["web"]', "'allow' or 'deny-others'"),
        ("allow", "", "exactly one of target_tags and target_service_accounts"),
        ("allow", "target_tags = []", "target_tags"),
        (
            "allow",
            'target_tags = ["web"]\ntarget_service_accounts = ["a@p.example"]',
            "exactly one of",
        ),
    ],
)
def test_64_what_is_refused_is_refused_by_name(
    shop: Shop, enforce: str, keys: str, said: str
) -> None:
    shop.enforce, shop.keys = enforce, keys
    done = types(shop, "plan")
    assert done.returncode == 64
    assert said in done.stderr
    assert shop.cloud.calls == []


def test_64_no_credentials_only_with_an_endpoint_on_loopback(shop: Shop) -> None:
    path = shop.write()
    path.write_text(path.read_text().replace(shop.cloud.endpoint, "https://compute.googleapis.com"))
    shop.write = lambda: path  # type: ignore[method-assign]
    done = types(shop, "config", "check")
    assert done.returncode == 64
    assert "anonymous = true needs an endpoint on a loopback address" in done.stderr


# What goes wrong, and the next run


def test_1_without_credentials_nothing_is_asked(shop: Shop) -> None:
    shop.account = ""
    done = types(shop, "plan", GOOGLE_APPLICATION_CREDENTIALS="")
    assert done.returncode == 1
    assert "no Google credentials: set GOOGLE_APPLICATION_CREDENTIALS" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    assert shop.cloud.calls == []


def test_6_a_quota_that_is_reached_is_said_and_the_next_run_finishes(shop: Shop) -> None:
    shop.cloud.quota = 1
    done = types(shop, "apply", "--auto-approve")
    assert done.returncode == 6
    assert "QUOTA_EXCEEDED" in done.stdout
    assert sorted(shop.rules()) == ["cloudsync-web-any4"]
    shop.cloud.quota = 500
    assert types(shop, "apply", "--auto-approve").returncode == 0
    assert sorted(shop.rules()) == ["cloudsync-web-any4", "cloudsync-web-any6"]
    assert types(shop, "plan", "--detailed-exitcode").returncode == 0


def test_6_what_was_still_under_way_at_the_deadline_is_finished_by_the_next_run(shop: Shop) -> None:
    shop.deadline = "2s"
    shop.cloud.slow_waits = 10_000
    code, said = shop.apply()
    assert code == 6
    assert "accepted by Google, but" in said
    shop.cloud.slow_waits, shop.deadline = 0, "60s"
    shop.applies()
    assert shop.changes() == []


def test_6_a_write_that_is_not_allowed_leaves_everything_as_it_was(shop: Shop) -> None:
    shop.applies()
    before = shop.rules()
    shop.ports = ("443/tcp", "80/tcp")
    shop.cloud.fail(
        Fault("PUT", f"{RULES}/.*", status=403, body=fault_body(403, "forbidden"), times=1000)
    )
    code, said = shop.apply()
    assert code == 6
    assert "the role in docs/providers/gcp.md has what is needed" in said
    assert shop.rules() == before


def test_a_rule_that_somebody_made_meanwhile_is_seen_and_the_run_goes_on(shop: Shop) -> None:
    """Two runs at once: 409 on a name, then both look again."""
    other = Shop(shop.folder / "other", shop.cloud)
    other.folder.mkdir()
    shop.cloud.fail(Fault("POST", RULES, "meanwhile", action=other.applies))
    code, _ = shop.apply()
    assert code == 0
    assert shop.changes() == []


def test_law2_ssh_was_open_at_every_instant(shop: Shop) -> None:
    shop.applies()
    begun = len(shop.cloud.history)
    for ports in (("80/tcp",), ("80/tcp", "8443/tcp"), ("25/tcp",), ()):
        shop.ports = ports
        shop.applies()
    states = shop.cloud.history[begun:]
    assert len(states) == 8
    for state in states:
        for family in (4, 6):
            (entry,) = state[f"cloudsync-web-any{family}"]["allowed"]
            assert "22" in entry["ports"]


# What is imported

SCRIPT = """
import contextlib, io, json, sys
sys.argv = ["cloudsync", *json.loads(sys.argv[1])]
from cloudsync.__main__ import main
with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
    try:
        main()
    except SystemExit as ended:
        code = ended.code
print(json.dumps([code, sorted(sys.modules)]))
"""


def imported(shop: Shop, *words: str) -> tuple[int, set[str]]:
    shop.write()
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, json.dumps(words)],
        cwd=shop.folder,
        capture_output=True,
        text=True,
        timeout=110,
        check=True,
    )
    code, modules = json.loads(done.stdout)
    return code or 0, set(modules)


@pytest.mark.parametrize("words", [("plan", "--detailed-exitcode"), ("apply", "--auto-approve")])
def test_a_run_with_nothing_to_do_imports_google_auth_and_not_the_sdk(
    shop: Shop, words: tuple[str, ...]
) -> None:
    shop.applies()
    shop.cloud.reset_calls()
    code, modules = imported(shop, *words)
    assert code == 0
    assert shop.calls() == (1, 0, 0)
    assert "google.auth" in modules
    heavy = {
        "google.cloud.compute_v1",
        "google.api_core",
        "google.protobuf",
        "proto",
        "grpc",
        "boto3",
        "hcloud",
        "digitalocean",
    }
    assert not modules & heavy
    assert sum(name.startswith("google.") for name in modules) < 60


def test_neither_a_plan_with_changes_nor_its_apply_imports_the_sdk(shop: Shop) -> None:
    code, modules = imported(shop, "plan", "--detailed-exitcode")
    assert code == 2
    assert "google.cloud.compute_v1" not in modules
    code, modules = imported(shop, "apply", "--auto-approve")
    assert code == 0
    assert "google.cloud.compute_v1" not in modules
    assert not modules & {"boto3", "hcloud", "digitalocean"}


def test_config_check_imports_nothing_of_google(shop: Shop) -> None:
    code, modules = imported(shop, "config", "check")
    assert code == 0
    assert "cloudsync_gcp" in modules
    # To see whether google-auth is installed its namespace package is looked into, which is empty.
    assert {name for name in modules if name.partition(".")[0] == "google"} <= {"google"}


def test_all_waits_are_asked_at_the_endpoint_of_the_configuration(shop: Shop) -> None:
    shop.applies()
    assert shop.cloud.count("POST", WAITS) == 2
