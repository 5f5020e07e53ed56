"""What a user's own terminal, disk and shell do to a command: a line, never an internal error."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Shell


def sh(shell: Shell, command: str) -> subprocess.CompletedProcess[str]:
    """`command` in a shell, with `cloudsync` as `$CS`."""
    environ = {key: value for key, value in os.environ.items() if not key.startswith("CLOUDSYNC")}
    return subprocess.run(
        ["/bin/sh", "-c", command],
        cwd=shell.folder,
        env={**environ, "HOME": str(shell.folder), "CS": f"{sys.executable} -m cloudsync"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        stdin=subprocess.DEVNULL,
    )


@pytest.mark.parametrize(
    "closed", [">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-"], ids=["out", "err", "both", "all"]
)
@pytest.mark.parametrize("quiet", ["", "--quiet"])
def test_closed_streams_stop_no_apply(shell: Shell, closed: str, quiet: str) -> None:
    done = sh(shell, f"$CS apply --auto-approve {quiet} {closed}")
    assert done.returncode == 0
    assert "internal error" not in done.stderr
    assert "443" in (shell.folder / "fw.json").read_text()


def test_nothing_is_written_into_a_state_file_that_got_the_number_of_a_closed_stream(
    shell: Shell,
) -> None:
    shell.configure(more='nonsense = "x"')
    sh(shell, "$CS apply --auto-approve 2>&-")
    shell.configure()
    sh(shell, "$CS apply --auto-approve -v 2>&-")
    for path in (shell.folder / "state").iterdir():
        assert "cloudsync:" not in path.read_text(errors="replace")


@pytest.mark.skipif(not Path("/dev/full").is_char_device(), reason="this machine has no /dev/full")
@pytest.mark.parametrize("command", ["plan", "plan --output json", "discover", "history", "--help"])
def test_a_full_device_behind_standard_output_is_named(shell: Shell, command: str) -> None:
    done = sh(shell, f"$CS {command} >/dev/full")
    assert done.returncode == 1
    assert done.stderr == "cloudsync: standard output: No space left on device\n"


@pytest.mark.parametrize("command", ["plan", "config check", "discover"])
def test_a_folder_that_was_deleted_is_named(shell: Shell, command: str) -> None:
    done = sh(shell, f"mkdir gone; cd gone; rmdir ../gone; $CS {command} -c cloudsync.toml")
    assert done.returncode in (1, 64)
    assert "internal error" not in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_name_that_the_terminal_cannot_show_is_escaped(shell: Shell) -> None:
    shell.configure(
        more='[[firewalls.web.allow]]\nports = ["80/tcp"]\nsources = ["any"]\ndescription = "é"'
    )
    done = sh(shell, "PYTHONIOENCODING=ascii $CS plan")
    assert done.returncode == 0
    assert "internal error" not in done.stderr


def test_a_byte_order_mark_before_the_configuration_is_no_mistake(shell: Shell) -> None:
    path = shell.folder / "cloudsync.toml"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert shell.code("config", "check") == 0


@pytest.mark.parametrize("mode", [0o777, 0o755])
def test_64_for_a_configuration_that_anybody_could_have_put_there(shell: Shell, mode: int) -> None:
    shell.folder.chmod(mode)
    done = shell.types("plan")
    assert done.returncode == (64 if mode == 0o777 else 0)
    assert ("--config ./cloudsync.toml" in done.stderr) is (mode == 0o777)
    assert shell.code("plan", "--config", "cloudsync.toml") == 0


def test_a_broken_plugin_is_named_and_its_traceback_is_shown_at_v(shell: Shell) -> None:
    """An entry point that raises when it is loaded: the firewalls of other providers are
    managed."""
    info = shell.folder / "odd-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: odd\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[cloudsync_firewall.providers]\nodd = odd:plugin\n")
    (shell.folder / "odd.py").write_text("raise ZeroDivisionError('in the plugin')\n")
    path = shell.folder / "cloudsync.toml"
    path.write_text(
        path.read_text()
        + '[providers.odd]\ntoken = "x"\n[firewalls.odd]\nprovider = "odd"\nhosts = ["web-1"]\nkey'
        " = 1\n"
    )
    done = shell.types("apply", "--auto-approve", PYTHONPATH=str(shell.folder))
    assert done.returncode == 1, done.stdout + done.stderr
    assert "443" in (shell.folder / "fw.json").read_text()
    assert 'the provider "odd" (odd:plugin) cannot be loaded: ZeroDivisionError' in done.stdout
    assert "Traceback" not in done.stderr
    loud = shell.types("apply", "--auto-approve", "-v", PYTHONPATH=str(shell.folder))
    assert "ZeroDivisionError: in the plugin" in loud.stderr
    assert "Traceback" in loud.stderr
    checked = shell.types("config", "check", PYTHONPATH=str(shell.folder))
    assert (checked.returncode, "cannot be loaded" in checked.stderr) == (64, True)
