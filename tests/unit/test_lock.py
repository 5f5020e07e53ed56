"""The lock of some firewalls: one that is busy does not lock the others out."""

from __future__ import annotations

import fcntl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cloudsync.state import StateError
from cloudsync.state import lock as lock_module
from cloudsync.state.lock import LockHeld, locked

HOLDS = """
import sys
from pathlib import Path
from cloudsync.state.lock import locked
with locked(Path(sys.argv[1]), "shop", firewalls=sys.argv[2:]):
    print("held", flush=True)
    sys.stdin.read()
"""


def holding(folder: Path, *firewalls: str) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDS, str(folder), *firewalls],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate()


@pytest.fixture
def web(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that is at work on the firewall web."""
    process = holding(tmp_path, "web")
    yield process
    end(process)


def test_runs_about_different_firewalls_do_not_wait_for_each_other(
    tmp_path: Path, web: subprocess.Popen[str]
) -> None:
    with locked(tmp_path, "shop", firewalls=("db", "mail")) as busy:
        assert busy == frozenset()


def test_a_run_about_a_busy_firewall_is_told_whose_it_is(
    tmp_path: Path, web: subprocess.Popen[str]
) -> None:
    with (
        pytest.raises(LockHeld, match=rf"of web: process {web.pid} on"),
        locked(tmp_path, "shop", firewalls=("db", "web")),
    ):
        pass
    with locked(tmp_path, "shop", firewalls=("db",)):
        pass  # the one that failed holds nothing


def test_a_run_about_everything_waits_for_all(tmp_path: Path, web: subprocess.Popen[str]) -> None:
    with pytest.raises(LockHeld, match=f"process {web.pid} on"), locked(tmp_path, "shop"):
        pass
    end(web)
    with (
        locked(tmp_path, "shop"),
        pytest.raises(LockHeld),
        locked(tmp_path, "shop", firewalls=("db",)),
    ):
        pass


def test_a_run_may_be_content_with_what_is_free(tmp_path: Path, web: subprocess.Popen[str]) -> None:
    with locked(tmp_path, "shop", firewalls=("db", "web"), some=True) as busy:
        assert busy == {"web"}
        with pytest.raises(LockHeld), locked(tmp_path, "shop", firewalls=("db",)):
            pass
    with pytest.raises(LockHeld), locked(tmp_path, "shop", firewalls=("web",), some=True):
        pass


def test_the_kernel_frees_the_firewalls_of_a_killed_run(
    tmp_path: Path, web: subprocess.Popen[str]
) -> None:
    end(web)
    with locked(tmp_path, "shop", firewalls=("web",)) as busy:
        assert busy == frozenset()


def test_two_threads_of_one_process_exclude_each_other_too(tmp_path: Path) -> None:
    """`watch` and its page are one process."""
    with (
        locked(tmp_path, "shop", firewalls=("web",)),
        pytest.raises(LockHeld),
        locked(tmp_path, "shop", firewalls=("web",)),
    ):
        pass


def test_two_runs_that_wait_for_the_same_firewalls_do_not_wait_for_ever(tmp_path: Path) -> None:
    done: list[str] = []

    def work(name: str, *firewalls: str) -> None:
        for _ in range(5):
            with locked(tmp_path, "shop", 20, firewalls):
                done.append(name)

    threads = [
        threading.Thread(target=work, args=("a", "db", "web")),
        threading.Thread(target=work, args=("b", "web", "db")),
    ]
    begun = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(done) == ["a"] * 5 + ["b"] * 5
    assert time.monotonic() - begun < 20


def test_a_thousand_firewalls_are_one_file(tmp_path: Path) -> None:
    names = [f"f{number}" for number in range(1000)]
    with locked(tmp_path, "shop", firewalls=names):
        files = {path.name: path.stat().st_size for path in tmp_path.iterdir()}
    assert files["shop.firewalls.lock"] == 0
    assert set(files) == {"shop.lock", "shop.firewalls.lock"}


def test_a_system_without_such_locks_has_one_for_everything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock_module, "_SET_LOCK", 0)
    with (
        locked(tmp_path, "shop", firewalls=("db",)),
        pytest.raises(LockHeld),
        locked(tmp_path, "shop", firewalls=("web",)),
    ):
        pass


def test_a_file_system_that_has_only_some_locks_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_locks(*_: object) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr(fcntl, "fcntl", no_locks)
    with (
        pytest.raises(StateError, match=r"a file system with locks.*nothing was changed"),
        locked(tmp_path, "shop", firewalls=("web",)),
    ):
        pass
