"""The state directory: the lock, atomic files, and the SSH of the last applied plan."""

from __future__ import annotations

import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from cloudsync.rules.networks import ANY
from cloudsync.state import StateError
from cloudsync.state.applied import last_ssh, record_ssh
from cloudsync.state.directory import prepare, replace
from cloudsync.state.lock import LockHeld, locked
from tests.world import rules

HOLD = """
import sys, time
from pathlib import Path
from cloudsync.state.lock import locked
with locked(Path(sys.argv[1]), "shop"):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path: Path):  # type: ignore[no-untyped-def]
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_a_second_run_is_told_who_holds_the_lock(
    tmp_path: Path, holder: subprocess.Popen[str]
) -> None:
    with pytest.raises(LockHeld, match=f"process {holder.pid} on"), locked(tmp_path, "shop"):
        pass


def test_another_owner_has_another_lock(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    with locked(tmp_path, "other"):
        assert holder.poll() is None


def test_the_kernel_frees_the_lock_of_a_killed_run(
    tmp_path: Path, holder: subprocess.Popen[str]
) -> None:
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    with locked(tmp_path, "shop"):
        pass


def test_a_run_waits_for_the_lock_as_long_as_it_was_told(
    tmp_path: Path, holder: subprocess.Popen[str]
) -> None:
    with pytest.raises(LockHeld), locked(tmp_path, "shop", timeout=0.3):
        pass


def test_the_state_directory_is_private(tmp_path: Path) -> None:
    prepare(tmp_path / "state")
    assert stat.S_IMODE((tmp_path / "state").stat().st_mode) == 0o700
    with locked(tmp_path / "state", "shop"):
        assert stat.S_IMODE((tmp_path / "state" / "shop.lock").stat().st_mode) == 0o600


def test_a_state_directory_that_cannot_be_written_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StateError, match="nothing was changed"):
        prepare(tmp_path / "file" / "state")


def test_a_replaced_file_leaves_nothing_else_behind(tmp_path: Path) -> None:
    replace(tmp_path / "x", b"one")
    replace(tmp_path / "x", b"two")
    assert (tmp_path / "x").read_bytes() == b"two"
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_the_applied_ssh_is_remembered_by_firewall(tmp_path: Path) -> None:
    record_ssh(tmp_path, "shop", {"web": ((22, 2222), ANY)})
    record_ssh(tmp_path, "shop", {"db": ((22,), ANY)})
    assert last_ssh(tmp_path, "shop") == {"web": rules("tcp/22", "tcp/2222"), "db": rules("tcp/22")}
    assert last_ssh(tmp_path, "other") == {}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"version": 9, "ssh": {}}',
        '{"version": 1, "ssh": {"web": {"ports": ["x"], "sources": []}}}',
    ],
)
def test_a_damaged_state_file_is_an_error_and_not_an_empty_memory(
    tmp_path: Path, text: str
) -> None:
    (tmp_path / "shop.applied.json").write_text(text)
    with pytest.raises(StateError):
        last_ssh(tmp_path, "shop")
