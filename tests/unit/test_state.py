"""The state directory: the lock, atomic files, and the SSH of the last applied plan."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import signal
import stat
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from cloudsync.model.memory import Memory, Missing
from cloudsync.runtime.clock import Moment
from cloudsync.runtime.files import replace
from cloudsync.state import StateError, history, seen
from cloudsync.state.applied import last_ssh, record_ssh
from cloudsync.state.directory import MOST_BYTES, StateFile, prepare
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
    record_ssh(tmp_path, "shop", {"web": rules("tcp/22", "tcp/2222")})
    record_ssh(tmp_path, "shop", {"db": rules("tcp/22")})
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


# What a run writes it can read again


def test_the_ssh_of_600_firewalls_with_100_sources_is_read_back(tmp_path: Path) -> None:
    sources = ",".join(f"198.51.{number}.0/25" for number in range(100))
    ssh = {f"f{number}": rules(f"tcp/22 from {sources}") for number in range(600)}
    record_ssh(tmp_path, "shop", ssh)
    assert last_ssh(tmp_path, "shop") == ssh
    assert (tmp_path / "shop.applied.json").read_bytes().count(b"198.51.7.0/25") == 1


def test_the_timers_of_a_large_fleet_are_read_back(tmp_path: Path) -> None:
    """100 containers that let in 1,000 networks each, all of them missed: every rule stands twice
    in the file, its sources once."""
    sources = ",".join(f"2001:db8:{number:x}::/48" for number in range(1, 2001, 2))
    needed = rules(*(f"tcp/{8000 + 2 * number} from {sources}" for number in range(100)))
    past = Moment(datetime.now(UTC), "boot", 1.0, "m")
    memory = Memory("web", past, {"web-1": needed}, (Missing(needed, past.wall, 5.0),))
    seen.save(tmp_path, "shop", {"web": memory, "db": memory})
    assert (tmp_path / "shop.seen.json").stat().st_size < 100_000
    loaded = seen.load(tmp_path, "shop")
    assert loaded.damaged is None
    assert loaded.entries["db"].hosts == {"web-1": needed}
    assert loaded.entries["web"].missing[0].rules == needed


def test_timers_written_by_an_earlier_cloudsync_are_read(tmp_path: Path) -> None:
    rule = {"protocol": "tcp", "ports": "443", "sources": ["0.0.0.0/0"]}
    looked = {"wall": "2026-01-01T00:00:00+00:00", "boot": "b", "up": 1.0, "machine": "m"}
    web = {"identity": "web", "looked": looked, "hosts": {"web-1": [rule]}, "missing": []}
    (tmp_path / "shop.seen.json").write_text(json.dumps({"version": 1, "firewalls": {"web": web}}))
    assert seen.load(tmp_path, "shop").entries["web"].hosts == {
        "web-1": rules("tcp/443 from 0.0.0.0/0")
    }


@pytest.mark.parametrize("kind", sorted(MOST_BYTES))
def test_a_state_file_is_refused_when_it_is_written_and_not_when_it_is_read(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(MOST_BYTES, kind, 100)
    file = StateFile.of(tmp_path, "shop", kind)
    file.write(b"x" * 100)
    assert file.read() == b"x" * 100
    with pytest.raises(StateError, match="too large: 101 bytes"):
        file.write(b"y" * 101)
    assert file.read() == b"x" * 100
    (tmp_path / f"shop.{kind}").write_bytes(b"z" * 101)
    with pytest.raises(StateError, match="too large"):
        file.read()


# Somebody else's files


def test_the_lock_is_not_taken_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("precious")
    (tmp_path / "shop.lock").symlink_to("precious")
    with pytest.raises(StateError), locked(tmp_path, "shop"):
        pass
    assert (tmp_path / "precious").read_text() == "precious"


@pytest.mark.parametrize("name", ["shop.history.jsonl", "shop.quiet.jsonl"])
@pytest.mark.parametrize("hard", [True, False])
def test_the_history_is_not_appended_to_a_link(tmp_path: Path, name: str, hard: bool) -> None:
    (tmp_path / "precious").write_text("precious")
    if hard:
        (tmp_path / name).hardlink_to(tmp_path / "precious")
    else:
        (tmp_path / name).symlink_to("precious")
    problem = history.end(tmp_path, "shop", {"id": "a"}, quiet="quiet" in name)
    assert problem is not None
    assert (tmp_path / "precious").read_text() == "precious"


def test_a_fifo_in_place_of_a_state_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "shop.applied.json")
    with pytest.raises(StateError, match="not a file of its own"):
        last_ssh(tmp_path, "shop")


def test_a_folder_that_everybody_can_write_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    folder.mkdir()
    folder.chmod(0o777)
    with pytest.raises(StateError, match="every user"):
        prepare(folder)


def test_parents_are_made_private_to_their_owner_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        prepare(tmp_path / "a" / "b" / "state")
    finally:
        os.umask(before)
    modes = [(tmp_path / name).stat().st_mode & 0o777 for name in ("a", "a/b", "a/b/state")]
    assert modes == [0o755, 0o755, 0o700]


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to give files away")
def test_what_root_writes_in_a_services_folder_belongs_to_the_service(tmp_path: Path) -> None:
    os.chown(tmp_path, 4711, 4712)
    record_ssh(tmp_path, "shop", {"web": rules("tcp/22")})
    history.end(tmp_path, "shop", {"id": "a"}, quiet=False)
    with locked(tmp_path, "shop"):
        pass
    owners = {path.name: (path.stat().st_uid, path.stat().st_gid) for path in tmp_path.iterdir()}
    assert set(owners.values()) == {(4711, 4712)}
    assert set(owners) == {
        "shop.applied.json",
        "shop.files.lock",
        "shop.history.jsonl",
        "shop.lock",
    }


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS])
def test_a_file_system_without_locks_is_named(
    tmp_path: Path, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def flock(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", flock)
    with (
        pytest.raises(StateError, match=r"a file system with locks.*nothing was changed"),
        locked(tmp_path, "shop"),
    ):
        pass


def test_who_holds_the_lock_reaches_a_terminal_without_escapes(tmp_path: Path) -> None:
    with locked(tmp_path, "shop"):
        (tmp_path / "shop.lock").write_text(
            json.dumps({"pid": 1, "host": "h\x1b[2J", "since": "\x1b]0;owned\x07"})
        )
        with pytest.raises(LockHeld) as held, locked(tmp_path, "shop"):
            pass
    assert "\x1b" not in str(held.value)


def test_the_lock_file_stays_where_it_is(tmp_path: Path) -> None:
    """Unlinking it would let two runs hold two files of one name."""
    with locked(tmp_path, "shop"):
        inode = (tmp_path / "shop.lock").stat().st_ino
    with locked(tmp_path, "shop"):
        assert (tmp_path / "shop.lock").stat().st_ino == inode


def test_a_replaced_file_is_on_the_disk_before_it_takes_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a power loss a name that was moved before its bytes were written is an empty file."""
    done: list[str] = []
    fsync, rename = os.fsync, Path.replace

    def note_fsync(handle: int) -> None:
        done.append("folder" if stat.S_ISDIR(os.fstat(handle).st_mode) else "file")
        fsync(handle)

    def note_rename(self: Path, target: Path) -> Path:
        done.append("rename")
        return rename(self, target)

    monkeypatch.setattr(os, "fsync", note_fsync)
    monkeypatch.setattr(Path, "replace", note_rename)
    replace(tmp_path / "x", b"one")
    assert done == ["file", "rename", "folder"]
