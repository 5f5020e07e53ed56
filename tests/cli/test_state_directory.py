"""The state directory full, read-only, or busy: one clear line before anything is written to a
cloud."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cloudsync.state.lock import locked
from tests.cli.conftest import Shell


@pytest.fixture
def mounted(shell: Shell) -> Iterator[Path]:
    """The state directory as a file system of its own, of 64 KiB."""
    if os.geteuid() != 0:
        pytest.skip("needs root to mount a small file system")
    state = shell.folder / "state"
    state.mkdir(exist_ok=True)
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k,mode=0700", "none", str(state)],
        capture_output=True,
        check=False,
    )
    if done.returncode != 0:
        pytest.skip("this machine does not let root mount a tmpfs")
    yield state
    subprocess.run(["umount", str(state)], check=True, capture_output=True)


def fill(folder: Path, leave: int = 0) -> None:
    """Until nothing fits any more, but for so many pages."""
    with (folder / "ballast").open("wb", buffering=0) as ballast:
        with contextlib.suppress(OSError):
            while True:
                ballast.write(b"\0" * 4096)
        ballast.truncate((ballast.tell() // 4096 - leave) * 4096)


def refuses(shell: Shell, word: str) -> None:
    before = (shell.folder / "fw.json").read_bytes()
    done = shell.types("apply", "--auto-approve")
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert word in done.stderr
    assert "nothing was changed" in done.stderr
    assert (shell.folder / "fw.json").read_bytes() == before


def test_a_full_disk_is_told_before_anything_is_written_to_a_cloud(
    shell: Shell, mounted: Path
) -> None:
    assert shell.code("apply", "--auto-approve") == 0
    shell.configure('"8443/tcp"')
    fill(mounted)
    refuses(shell, "No space left on device")
    (mounted / "ballast").unlink()
    assert shell.code("apply", "--auto-approve") == 0
    assert "8443" in (shell.folder / "fw.json").read_text()


@pytest.mark.parametrize("pages", [1, 2])
def test_a_disk_that_fills_up_during_the_run_leaves_old_or_new_and_never_an_unrecorded_write(
    shell: Shell, mounted: Path, pages: int
) -> None:
    """Room for the probe, and for a part of what a run keeps."""
    assert shell.code("apply", "--auto-approve") == 0
    shell.configure('"8443/tcp"')
    fill(mounted, leave=pages)
    before = (shell.folder / "fw.json").read_bytes()
    done = shell.types("apply", "--auto-approve")
    if (shell.folder / "fw.json").read_bytes() != before:
        assert (
            list(mounted.glob("shop.running-*.json"))
            or (mounted / "shop.history.jsonl").stat().st_size > 0
        )
    else:
        assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)
    (mounted / "ballast").unlink()
    assert shell.code("apply", "--auto-approve") == 0
    assert shell.code("plan", "--detailed-exitcode") == 0


def test_a_read_only_directory_is_told_before_anything_is_written_to_a_cloud(
    shell: Shell, mounted: Path
) -> None:
    assert shell.code("apply", "--auto-approve") == 0
    shell.configure('"8443/tcp"')
    subprocess.run(["mount", "-o", "remount,ro", str(mounted)], check=True, capture_output=True)
    refuses(shell, "Read-only file system")
    assert shell.code("plan") == 0


def test_everything_of_the_state_is_private(shell: Shell) -> None:
    shell.code("apply", "--auto-approve")
    shell.configure('"8443/tcp"')
    shell.code("apply", "--auto-approve")
    state = shell.folder / "state"
    assert state.stat().st_mode & 0o777 == 0o700
    names = {path.name: path.stat().st_mode & 0o777 for path in state.iterdir()}
    assert {"shop.lock", "shop.applied.json", "shop.history.jsonl", "shop.seen.json"} <= set(names)
    assert set(names.values()) == {0o600}


def test_a_run_waits_for_the_lock_as_long_as_it_is_told(shell: Shell) -> None:
    (shell.folder / "state").mkdir()
    with locked(shell.folder / "state", "shop"):
        assert shell.code("apply", "--auto-approve", "--lock-timeout", "0.3") == 5
        assert shell.code("release", "web") == 5
    assert shell.code("apply", "--auto-approve", "--lock-timeout", "5") == 0


WRITE = """
import sys
from pathlib import Path
from cloudsync.state.directory import replace
path = Path(sys.argv[1])
for number in range(10**9):
    replace(path, (str(number % 10) * 200_000).encode())
    if number == 3:
        print("writing", flush=True)
"""


@pytest.mark.parametrize("round_", range(5))
def test_a_kill_at_any_byte_leaves_the_old_or_the_new(tmp_path: Path, round_: int) -> None:
    path = tmp_path / "file"
    process = subprocess.Popen(
        [sys.executable, "-c", WRITE, str(path)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    process.stdout.readline()
    try:
        process.wait(0.01 + 0.013 * round_)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    found = path.read_text()
    assert len(found) == 200_000
    assert len(set(found)) == 1
