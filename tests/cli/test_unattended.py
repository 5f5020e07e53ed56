"""Unattended runs: what they print, what they end with, and whom they tell. Real processes, a
receiver over HTTP."""

from __future__ import annotations

import fcntl
import hashlib
import hmac
import json
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

import cloudsync.notify
from tests.cli.conftest import Shell
from tests.doubles.receiver import Receiver
from tests.unit.test_metrics import parsed

SCHEMA = json.loads((Path(cloudsync.notify.__file__).parent / "webhook.schema.json").read_text())
DOWN = 'docker = "unix:///nowhere/docker.sock"'


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as one:
        yield one


def reporting(
    shell: Shell,
    receiver: Receiver,
    *,
    host: str = "",
    secret: bool = True,
    ports: str = '"443/tcp"',
) -> None:
    (shell.folder / "health").write_text(receiver.url("/ping/uuid-secret\n"))
    (shell.folder / "hook").write_text(receiver.url("/hook/secret-path"))
    (shell.folder / "key").write_text("signing-key")
    key = 'webhook_secret = { file = "key" }' if secret else ""
    report = f'[report]\nhealth = {{ file = "health" }}\nwebhook = {{ file = "hook" }}\n{key}\n'
    shell.configure(ports, policy=report, host=host)


def bodies(receiver: Receiver) -> list[dict[str, Any]]:
    found = [json.loads(one.body) for one in receiver.take() if one.path.startswith("/hook")]
    for body in found:
        jsonschema.validate(body, SCHEMA)
    return found


def test_quiet_is_silent_when_nothing_changed_and_one_line_when_something_did(shell: Shell) -> None:
    first = shell.types("apply", "--auto-approve", "--quiet")
    assert (first.returncode, first.stdout, first.stderr) == (
        0,
        "web: created; opened 22, 443/tcp\n",
        "",
    )
    second = shell.types("apply", "--auto-approve", "--quiet")
    assert (second.returncode, second.stdout, second.stderr) == (0, "", "")


def test_quiet_is_not_silent_about_trouble(shell: Shell) -> None:
    shell.configure(host=DOWN)
    done = shell.types("apply", "--auto-approve", "--quiet")
    assert done.returncode == 75
    assert "web-1 could not be read" in done.stdout


@pytest.mark.parametrize("words", ["--quiet", "--verbose"])
def test_a_stdout_that_takes_nothing_does_not_turn_the_code_into_a_lie(
    shell: Shell, words: str
) -> None:
    command = f"{sys.executable} -m cloudsync apply --auto-approve {words}"
    full = subprocess.run(
        f"{command} > /dev/full",
        shell=True,
        cwd=shell.folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert full.returncode == 0
    assert "could not be printed" in full.stderr or words == "--quiet"
    (shell.folder / "fw.json").unlink()
    pipe = subprocess.run(
        ["bash", "-c", f"{command} | true; exit ${{PIPESTATUS[0]}}"], cwd=shell.folder, check=False
    )
    assert pipe.returncode == 0


def test_a_held_lock_is_exit_5_and_one_line_on_stderr(shell: Shell) -> None:
    shell.types("apply", "--auto-approve")
    with (shell.folder / "state" / "shop.lock").open("r+") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        done = shell.types("apply", "--auto-approve", "--quiet")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (5, "", 1)


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("apply", "--nope"), 64),
        (("nope",), 64),
        (("apply",), 64),
        (("apply", "--auto-approve", "--firewall", "wub"), 64),
        (("apply", "--auto-approve", "-c", "missing.toml"), 64),
        (("apply", "missing-plan.json"), 64),
        (("plan", "--out", "missing/plan.json"), 64),
        (("apply", "--auto-approve"), 5),
        (("watch", "--interval", "never"), 64),
        (("watch", "--listen", "0.0.0.0:80"), 64),
        (("watch", "--firewall", "wub"), 64),
        (("watch", "--interval", "20s", "--debounce-max", "1m"), 64),
    ],
)
def test_every_line_on_stderr_is_one_json_object(
    shell: Shell, words: tuple[str, ...], code: int
) -> None:
    assert shell.code("apply", "--auto-approve") == 0
    with (shell.folder / "state" / "shop.lock").open("r+") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        done = shell.types(*words, "--log-format", "json")
    assert done.returncode == code
    lines = done.stderr.splitlines()
    assert lines
    for line in lines:
        assert {"time", "level", "event", "message"} <= json.loads(line).keys()


def test_progress_internal_errors_and_library_warnings_are_json_too(shell: Shell) -> None:
    (shell.folder / "sitecustomize.py").write_text("""
import sys
if "apply" in sys.argv:
    import logging, threading, warnings
    import cloudsync.config
    def load(*a, **k):
        warnings.warn("something old\\nin two lines")
        logging.getLogger("urllib3").warning("a library speaks")
        one = threading.Thread(target=lambda: 1 / 0); one.start(); one.join()
        raise RuntimeError("secret text")
    cloudsync.config.load = load
""")
    done = shell.types(
        "--log-format=json", "-v", "apply", "--auto-approve", PYTHONPATH=str(shell.folder)
    )
    assert done.returncode == 1
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert [line for line in lines if "traceback" in line]
    assert len(lines) >= 4


def test_the_health_check_is_told_of_start_and_success(shell: Shell, receiver: Receiver) -> None:
    reporting(shell, receiver)
    assert shell.code("apply", "--auto-approve", "-q") == 0
    pings = [one for one in receiver.told if one.path.startswith("/ping")]
    assert [one.path for one in pings] == ["/ping/uuid-secret/start", "/ping/uuid-secret"]
    assert b"web: created; opened 22, 443/tcp" in pings[1].body


def test_the_health_check_is_told_of_failure_with_the_exit_code(
    shell: Shell, receiver: Receiver
) -> None:
    reporting(shell, receiver, host=DOWN)
    assert shell.code("apply", "--auto-approve", "-q") == 75
    assert [one.path for one in receiver.told if one.path.startswith("/ping")][
        1
    ] == "/ping/uuid-secret/75"


def test_a_run_that_finds_the_lock_held_says_neither_success_nor_failure(
    shell: Shell, receiver: Receiver
) -> None:
    reporting(shell, receiver)
    shell.types("apply", "--auto-approve")
    receiver.take()
    with (shell.folder / "state" / "shop.lock").open("r+") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert shell.code("apply", "--auto-approve") == 5
    assert receiver.paths == ["/ping/uuid-secret/start", "/ping/uuid-secret/log"]


@pytest.mark.parametrize(
    "trouble", ["500", "302", "slow", "nobody", "no-secret", "http", "nonsense"]
)
def test_whoever_cannot_be_told_never_fails_the_run_nor_holds_it_up(
    shell: Shell, receiver: Receiver, trouble: str
) -> None:
    reporting(shell, receiver)
    address = {
        "nobody": "http://127.0.0.1:9/x",
        "http": "http://192.0.2.1/x",
        "nonsense": "gopher://[::1",
    }.get(trouble)
    if address is not None:
        (shell.folder / "health").write_text(address)
        (shell.folder / "hook").write_text(address)
    if trouble == "no-secret":
        (shell.folder / "health").unlink()
        (shell.folder / "key").unlink()
    receiver.status = int(trouble) if trouble.isdigit() else 200
    receiver.location = receiver.url("/elsewhere") if trouble == "302" else ""
    receiver.delay = 60.0 if trouble == "slow" else 0.0
    begun = time.monotonic()
    done = shell.types("apply", "--auto-approve")
    assert done.returncode == 0
    assert time.monotonic() - begun < 20
    assert "health check: not sent" in done.stderr
    assert "webhook: not sent" in done.stderr
    assert "secret" not in done.stderr
    words = {"302": "a redirect", "http": "loopback addresses only", "500": "the answer was 500"}
    assert words.get(trouble, "") in done.stderr
    assert "/elsewhere" not in receiver.paths
    quiet = shell.types("apply", "--auto-approve", "--quiet")
    assert (quiet.returncode, quiet.stdout, quiet.stderr) == (0, "", "")


def test_the_webhook_is_told_of_a_change_and_signs_it(shell: Shell, receiver: Receiver) -> None:
    reporting(shell, receiver)
    shell.types("apply", "--auto-approve")
    (told,) = [one for one in receiver.told if one.path == "/hook/secret-path"]
    assert told.headers["x-cloudsync-event"] == "change"
    assert (
        told.headers["x-cloudsync-signature"]
        == "sha256=" + hmac.new(b"signing-key", told.body, hashlib.sha256).hexdigest()
    )
    (body,) = bodies(receiver)
    assert (body["event"], body["opened"], body["closed"], body["exit_code"]) == ("change", 2, 0, 0)
    assert [one["name"] for one in body["firewalls"]] == ["web"]
    shell.types("apply", "--auto-approve")
    assert bodies(receiver) == []


def test_without_a_key_the_webhook_carries_no_signature(shell: Shell, receiver: Receiver) -> None:
    reporting(shell, receiver, secret=False)
    shell.types("apply", "--auto-approve")
    assert [one for one in receiver.told if "x-cloudsync-signature" in one.headers] == []
    assert len(bodies(receiver)) == 1


def test_a_failure_is_told_once_per_streak_and_its_end_once(
    shell: Shell, receiver: Receiver
) -> None:
    reporting(shell, receiver)
    shell.types("apply", "--auto-approve")
    receiver.take()
    reporting(shell, receiver, host=DOWN)
    for _ in range(3):
        assert shell.code("apply", "--auto-approve", "-q") == 75
    (failure,) = bodies(receiver)
    assert (failure["event"], failure["exit_code"], failure["hosts"][0]["name"]) == (
        "failure",
        75,
        "web-1",
    )
    reporting(shell, receiver)
    for _ in range(3):
        assert shell.code("apply", "--auto-approve", "-q") == 0
    (recovery,) = bodies(receiver)
    assert recovery["event"] == "recovery"
    assert recovery["failing_since"] == failure["failing_since"]


def test_a_message_that_did_not_arrive_is_sent_by_the_next_run(
    shell: Shell, receiver: Receiver
) -> None:
    reporting(shell, receiver, host=DOWN)
    receiver.status = 503
    shell.types("apply", "--auto-approve")
    receiver.take()
    receiver.status = 200
    shell.types("apply", "--auto-approve")
    assert [body["event"] for body in bodies(receiver)] == ["failure"]
    reporting(shell, receiver)
    receiver.status = 503
    shell.types("apply", "--auto-approve")
    receiver.take()
    receiver.status = 200
    shell.types("apply", "--auto-approve")
    assert [body["event"] for body in bodies(receiver)] == ["recovery"]


def test_the_same_streak_tells_another_exit_code_too(shell: Shell, receiver: Receiver) -> None:
    reporting(shell, receiver, host=DOWN)
    shell.types("apply", "--auto-approve")
    (shell.folder / "fw.json").write_text("not json")
    shell.types("apply", "--auto-approve")
    assert [body["exit_code"] for body in bodies(receiver)] == [75, 1]


def test_the_metrics_file_is_written_for_others_to_read_and_counts_on(shell: Shell) -> None:
    path = shell.folder / "c.prom"
    words = ("apply", "--auto-approve", "--metrics-file", str(path))
    shell.types(*words)
    shell.types(*words)
    found = parsed(path.read_text())
    web = (("firewall", "web"), ("provider", "local"))
    assert found["cloudsync_runs_total", (("exit_code", "0"),)] == 2
    assert found["cloudsync_changes_total", (("action", "open"), *web)] == 2
    assert found["cloudsync_drift_rules", web] == 0
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    shell.configure(host=DOWN)
    assert shell.code(*words) == 75
    found = parsed(path.read_text())
    assert found["cloudsync_errors_total", (("kind", "host"),)] == 1
    assert found["cloudsync_host_complete", (("host", "web-1"),)] == 0
    assert (
        found["cloudsync_last_success_timestamp_seconds", ()]
        < found["cloudsync_last_run_timestamp_seconds", ()]
    )


def test_what_the_configuration_holds_is_never_what_a_run_of_it_says(
    shell: Shell, receiver: Receiver
) -> None:
    reporting(shell, receiver)
    said = [
        shell.types("-v", "apply", "--auto-approve"),
        shell.types("config", "show"),
        shell.types("config", "check"),
    ]
    kept = "".join(path.read_text() for path in (shell.folder / "state").iterdir())
    for secret in ("uuid-secret", "secret-path", "signing-key"):
        assert all(secret not in one.stdout + one.stderr for one in said)
        assert secret not in kept


@pytest.mark.parametrize(
    "table",
    [
        'health = "https://hc-ping.com/uuid"',
        'webhook_secret = { env = "X" }',
        'helth = { env = "X" }',
        'metrics_file = ""',
    ],
)
def test_the_report_table_is_strict(shell: Shell, table: str) -> None:
    shell.configure(policy=f"[report]\n{table}\n")
    assert shell.code("config", "check") == 64


@pytest.mark.parametrize("key", ["health", "webhook", "metrics_file"])
def test_each_of_them_alone_is_told(shell: Shell, receiver: Receiver, key: str) -> None:
    (shell.folder / "address").write_text(receiver.url("/secret"))
    shell.configure(
        policy=f"[report]\n{key} = "
        + ('"metrics.prom"' if key == "metrics_file" else '{ file = "address" }')
    )
    assert shell.code("apply", "--auto-approve") == 0
    heard = len(receiver.take())
    assert (heard, (shell.folder / "metrics.prom").exists()) == {
        "health": (2, False),
        "webhook": (1, False),
        "metrics_file": (0, True),
    }[key]


def test_without_a_report_table_a_run_keeps_no_memory_of_reports_and_imports_nothing_that_tells(
    shell: Shell,
) -> None:
    from tests.cli.test_imports import imported

    assert not imported(shell, "apply", "--auto-approve") & {
        "requests",
        "http.server",
        "cloudsync.notify",
    }
    assert not list((shell.folder / "state").glob("*.report*"))
    assert "cloudsync.notify.metrics" in imported(
        shell, "apply", "--auto-approve", "--metrics-file", "metrics.prom"
    )
