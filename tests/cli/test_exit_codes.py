"""Every exit code of the contract, by the command typed in a shell."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from cloudsync.state.lock import locked
from tests.cli.conftest import Shell


def test_0_done_and_nothing_to_do(shell: Shell) -> None:
    assert shell.code("apply", "--auto-approve") == 0
    assert shell.code("apply", "--auto-approve") == 0
    assert shell.code("plan", "--detailed-exitcode") == 0


def test_2_changes_pending_only_when_asked(shell: Shell) -> None:
    assert shell.code("plan") == 0
    assert shell.code("plan", "--detailed-exitcode") == 2


def test_refused_ports_do_not_change_the_code(shell: Shell) -> None:
    shell.configure('"443/tcp", "8080/tcp"', policy='deny = ["8080"]')
    assert shell.code("apply", "--auto-approve") == 0
    assert "x 8080/tcp  not opened" in shell.types("plan").stdout


@pytest.mark.parametrize(
    "words",
    [
        ("plan", "--bogus"),
        ("nonsense",),
        ("plan", "--firewall", "wep"),
        ("apply",),
        ("apply", "missing.json"),
        ("apply", "cloudsync.toml"),
        ("plan", "-c", "missing.toml"),
        ("apply", "plan.json", "--adopt", "web"),
        ("plan", "--allow-close", "many"),
    ],
)
def test_64_usage(shell: Shell, words: tuple[str, ...]) -> None:
    done = shell.types(*words)
    assert done.returncode == 64
    assert done.stderr
    assert "Traceback" not in done.stderr


def test_64_configuration_with_its_place(shell: Shell) -> None:
    shell.configure(policy='mood = "good"')
    done = shell.types("plan")
    assert done.returncode == 64
    assert (
        done.stderr.strip() == 'cloudsync.toml:10:1: policy.mood: unknown key, did you mean "mode"?'
    )


def test_3_a_guard_refuses_the_closings_and_the_rest_is_done(shell: Shell) -> None:
    shell.configure('"443/tcp", "1001/tcp", "1003/tcp", "1005/tcp"', policy="max_close = 2")
    assert shell.code("apply", "--auto-approve") == 0
    shell.configure('"443/tcp", "8443/tcp"', policy="max_close = 2")
    assert shell.code("plan") == 3
    assert shell.code("apply", "--auto-approve") == 3
    assert {
        rule["ports"] for rule in json.loads((shell.folder / "fw.json").read_text())["rules"]
    } >= {"8443", "1001"}
    assert shell.code("apply", "--auto-approve", "--allow-close", "3") == 0
    assert "1001" not in (shell.folder / "fw.json").read_text()


def test_4_the_approved_plan_does_not_fit_any_more(shell: Shell) -> None:
    assert shell.code("plan", "--out", "plan.json") == 0
    shell.configure('"443/tcp", "8443/tcp"')
    done = shell.types("apply", "plan.json")
    assert done.returncode == 4
    assert "8443" in done.stdout
    assert shell.code("apply", "--expect", "sha256:" + "0" * 64) == 4
    assert not (shell.folder / "fw.json").exists()


def test_an_expected_digest_that_fits_is_applied(shell: Shell) -> None:
    digest = json.loads(shell.types("plan", "--output", "json").stdout)["digest"]
    assert shell.code("apply", "--expect", digest) == 0
    assert (shell.folder / "fw.json").exists()


def test_5_a_busy_firewall_does_not_lock_the_others_out(shell: Shell) -> None:
    """A run about one firewall, while another is busy, ends as if it were alone; one about all of
    them does the free ones and says whose the other is."""
    shell.configure(
        more='[firewalls.db]\nprovider = "local"\nhosts = ["web-1"]\npath = "db.json"\n'
    )
    assert shell.code("apply", "--auto-approve") == 0
    more = '[firewalls.db]\nprovider = "local"\nhosts = ["web-1"]\npath = "db.json"\n'
    shell.configure('"8443/tcp"', more=more)
    with locked(shell.folder / "state", "shop", firewalls=("web",)):
        one = shell.types("apply", "--auto-approve", "--firewall", "web")
        assert one.returncode == 5
        assert "of web: process" in one.stderr
        assert shell.code("apply", "--auto-approve", "--firewall", "db") == 0
        shell.configure('"9443/tcp"', more=more)
        every = shell.types("apply", "--auto-approve")
        assert every.returncode == 5
        assert "another run is at work on web: left to it" in every.stdout + every.stderr
        assert "9443" in (shell.folder / "db.json").read_text()
        assert "443" in (shell.folder / "fw.json").read_text()
        assert "9443" not in (shell.folder / "fw.json").read_text()
        wanted = json.loads(shell.types("plan", "--output", "json").stdout)["digest"]
        assert shell.code("apply", "--expect", wanted) == 5
        assert "9443" not in (shell.folder / "fw.json").read_text()
    assert shell.code("apply", "--auto-approve") == 0
    assert "9443" in (shell.folder / "fw.json").read_text()


def test_5_another_run_holds_the_lock(shell: Shell) -> None:
    (shell.folder / "state").mkdir()
    with locked(shell.folder / "state", "shop"):
        done = shell.types("apply", "--auto-approve")
    assert done.returncode == 5
    assert f"process {os.getpid()}" in done.stderr
    assert not (shell.folder / "fw.json").exists()


def test_6_a_write_fails(shell: Shell) -> None:
    shell.configure(path="/proc/cloudsync/fw.json")
    done = shell.types("apply", "--auto-approve")
    assert done.returncode == 6
    assert "cannot be written" in done.stdout


def test_1_a_firewall_that_cannot_be_understood(shell: Shell) -> None:
    (shell.folder / "fw.json").write_text("{")
    done = shell.types("apply", "--auto-approve")
    assert done.returncode == 1
    assert "malformed" in done.stdout
    assert (shell.folder / "fw.json").read_text() == "{"


def test_1_the_state_directory_cannot_be_written(shell: Shell) -> None:
    (shell.folder / "state").write_text("a file")
    done = shell.types("apply", "--auto-approve")
    assert done.returncode == 1
    assert "nothing was changed" in done.stderr
    assert not (shell.folder / "fw.json").exists()


def test_75_an_engine_that_is_down(shell: Shell) -> None:
    shell.code("apply", "--auto-approve")
    shell.configure("", host=f'docker = "unix://{shell.folder}/no.sock"')
    done = shell.types("apply", "--auto-approve")
    assert done.returncode == 75
    assert "443" in (shell.folder / "fw.json").read_text()
    assert shell.code("plan") == 75
    assert shell.code("discover") == 75


def test_quiet_is_not_silent_about_what_could_not_be_read(shell: Shell) -> None:
    shell.configure("", host=f'docker = "unix://{shell.folder}/no.sock"')
    done = shell.types("plan", "-q")
    assert done.returncode == 75
    assert "could not be read" in done.stdout


def test_64_a_forged_plan_file(shell: Shell) -> None:
    shell.code("plan", "--out", "plan.json")
    path = shell.folder / "plan.json"
    path.write_text(path.read_text().replace('"443"', '"1-65535"'))
    done = shell.types("apply", "plan.json")
    assert done.returncode == 64
    assert "altered" in done.stderr
    assert not (shell.folder / "fw.json").exists()


def test_a_plan_file_is_applied_once_and_then_has_nothing_to_do(shell: Shell) -> None:
    assert shell.code("plan", "--out", "plan.json") == 0
    assert shell.code("apply", "plan.json") == 0
    assert shell.code("apply", "plan.json") == 0
    assert "443" in (shell.folder / "fw.json").read_text()


def test_a_plan_file_is_private(shell: Shell) -> None:
    shell.code("plan", "--out", "plan.json")
    assert (shell.folder / "plan.json").stat().st_mode & 0o777 == 0o600


def test_quiet_is_silent_when_nothing_changed_and_one_line_when_something_did(shell: Shell) -> None:
    assert len(shell.types("apply", "--auto-approve", "-q").stdout.splitlines()) == 1
    done = shell.types("apply", "--auto-approve", "-q")
    assert done.stdout + done.stderr == ""


def test_common_options_stand_before_or_after_the_command(shell: Shell) -> None:
    (shell.folder / "cloudsync.toml").rename(shell.folder / "other.toml")
    assert shell.code("plan", "-c", "other.toml") == 0
    assert shell.code("-c", "other.toml", "plan") == 0
    assert shell.code("--config=other.toml", "-v", "config", "check") == 0
    assert shell.code("config", "-c", "other.toml", "check") == 0
    assert shell.code("-q", "config", "--config=other.toml", "-v", "show") == 0
    assert shell.code("config", "-c", "missing.toml", "check") == 64


def answered(shell: Shell, answer: str) -> tuple[int, str]:
    """`cloudsync apply` on a terminal where a person types `answer`."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "cloudsync", "apply"],
        cwd=shell.folder,
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


def test_on_a_terminal_only_yes_applies(shell: Shell) -> None:
    code, out = answered(shell, "y")
    assert code == 1
    assert "Nothing was applied" in out
    assert not (shell.folder / "fw.json").exists()
    code, out = answered(shell, "yes")
    assert code == 0, out
    assert Path(shell.folder / "fw.json").exists()
