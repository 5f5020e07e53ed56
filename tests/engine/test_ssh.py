"""Engines over ssh: the user's own ssh against a real sshd, from the address in the configuration
to the ports; and every way it fails."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cloudsync.model.ports import (
    Complete,
    Discovery,
    Failed,
    LabelScope,
)
from cloudsync.sources.docker.engine import read_engine
from tests.doubles.engine import FakeEngine
from tests.engine.lab import Lab
from tests.engine.sshd import Sshd, missing

pytestmark = pytest.mark.engine
SCOPE = LabelScope({}, frozenset())


@pytest.fixture(scope="module")
def daemon() -> Iterator[Sshd]:
    if (reason := missing()) is not None:
        pytest.skip(reason)
    with Sshd() as sshd:
        yield sshd


@pytest.fixture
def sshd(daemon: Sshd, monkeypatch: pytest.MonkeyPatch) -> Sshd:
    daemon.start()
    daemon.known()
    daemon.configure()
    monkeypatch.setenv("PATH", daemon.path)
    return daemon


@pytest.fixture
def fake(tmp_path: Path) -> Iterator[FakeEngine]:
    with FakeEngine(tmp_path, containers=3) as engine:
        yield engine


@pytest.fixture
def nothing_left(sshd: Sshd) -> Iterator[None]:
    before = forwards()
    yield
    until = time.monotonic() + 30  # the ssh to a jump host ends when the one that went over it has
    while clients(sshd) and time.monotonic() < until:
        time.sleep(0.02)
    assert clients(sshd) == []
    assert forwards() == before


def forwards() -> set[Path]:
    """The private folders of forwarded sockets."""
    return set(Path(tempfile.gettempdir()).glob("cloudsync-*/engine.sock"))


def clients(sshd: Sshd) -> list[int]:
    """The processes of the user's ssh, and of its keeper, which is told its program."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            line = (process / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        ours = (sshd.folder / "config", sshd.folder / "bin" / "ssh")
        if any(str(path).encode() in line for path in ours):
            found.append(int(process.name))
    return found


def read(url: str, timeout: float = 20) -> Discovery:
    return read_engine("web-1", url, SCOPE, timeout=timeout, concurrency=4)


def refused(url: str, timeout: float = 20) -> Failed:
    found = read(url, timeout)
    assert isinstance(found, Failed), found
    assert "\n" not in found.reason
    return found


@pytest.mark.parametrize("host", [None, "engine-host"], ids=["address", "alias"])
def test_an_engine_is_read_through_the_users_own_ssh(
    sshd: Sshd, fake: FakeEngine, nothing_left: None, host: str | None
) -> None:
    found = read(sshd.url(fake.socket, host))
    assert isinstance(found, Complete), found
    assert len(found.required) == 3
    assert {method for method, _ in fake.requests} == {"GET"}


def test_a_jump_host_of_the_users_configuration_is_gone_over(
    sshd: Sshd, fake: FakeEngine, nothing_left: None
) -> None:
    sshd.configure(
        more=(
            f"Host behind\n  HostName 127.0.0.1\n  Port {sshd.port}\n  User {sshd.user}\n "
            " ProxyJump engine-host\n"
        )
    )
    assert isinstance(read(sshd.url(fake.socket, "behind")), Complete)


def test_forwardings_of_the_users_own_that_are_taken_do_not_stand_in_the_way(
    sshd: Sshd, fake: FakeEngine, nothing_left: None
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        sshd.configure(
            more=(
                f"Host *\n  LocalForward 127.0.0.1:{taken.getsockname()[1]} 127.0.0.1:1\n "
                " ExitOnForwardFailure yes\n"
            )
        )
        assert isinstance(read(sshd.url(fake.socket, "engine-host")), Complete)


def test_an_existing_control_master_is_left_alone(
    sshd: Sshd, fake: FakeEngine, nothing_left: None
) -> None:
    sshd.configure(
        more=(
            f"Host *\n  ControlMaster auto\n  ControlPath {sshd.folder}/master\n  ControlPersist"
            " 60\n"
        )
    )
    assert isinstance(read(sshd.url(fake.socket, "engine-host")), Complete)
    assert not (sshd.folder / "master").exists()


def test_a_key_that_is_limited_to_forwarding_is_enough(
    sshd: Sshd, fake: FakeEngine, nothing_left: None
) -> None:
    allowed = sshd.folder / "authorized"
    before = allowed.read_text()
    allowed.write_text(f"restrict,port-forwarding {before}")
    try:
        assert isinstance(read(sshd.url(fake.socket)), Complete)
    finally:
        allowed.write_text(before)


def test_an_unknown_host_key_is_an_error_that_trying_again_will_not_mend(
    sshd: Sshd, fake: FakeEngine, nothing_left: None
) -> None:
    sshd.known("")
    found = refused(sshd.url(fake.socket))
    assert not found.temporary
    assert "is not known" in found.reason
    assert f"ssh -p {sshd.port} {sshd.user}@127.0.0.1" in found.reason
    assert fake.requests == []


def test_a_changed_host_key_is_told_apart(sshd: Sshd, fake: FakeEngine, nothing_left: None) -> None:
    sshd.known("stranger")
    found = refused(sshd.url(fake.socket))
    assert not found.temporary
    assert "is not the known one" in found.reason
    assert fake.requests == []


def test_a_key_that_is_not_let_in_is_an_error_and_no_password_is_asked_for(
    sshd: Sshd, fake: FakeEngine, nothing_left: None
) -> None:
    sshd.configure("stranger")
    found = refused(sshd.url(fake.socket))
    assert not found.temporary
    assert "does not let us in" in found.reason


def test_a_missing_socket_at_the_far_end_says_what_to_look_at(
    sshd: Sshd, tmp_path: Path, nothing_left: None
) -> None:
    found = refused(sshd.url(tmp_path / "none.sock"))
    assert found.temporary
    assert f"{tmp_path}/none.sock cannot be opened" in found.reason
    assert "group docker" in found.reason


def test_an_sshd_that_forbids_forwarding_says_so(
    sshd: Sshd, fake: FakeEngine, nothing_left: None
) -> None:
    sshd.start("AllowStreamLocalForwarding=no")
    assert "AllowStreamLocalForwarding" in refused(sshd.url(fake.socket)).reason


def test_a_machine_that_is_down_is_worth_another_try(
    sshd: Sshd, fake: FakeEngine, nothing_left: None
) -> None:
    sshd.stop()
    found = refused(sshd.url(fake.socket))
    assert found.temporary
    assert "refuses ssh connections" in found.reason


def test_a_machine_that_says_nothing_is_given_up_in_time(sshd: Sshd, nothing_left: None) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        start = time.monotonic()
        found = refused(f"ssh://me@127.0.0.1:{silent.getsockname()[1]}", timeout=1.0)
        assert time.monotonic() - start < 4.0
    assert found.temporary
    assert "within host_timeout" in found.reason


def test_an_engine_behind_ssh_that_hangs_is_given_up_in_time(
    sshd: Sshd, fake: FakeEngine, nothing_left: None
) -> None:
    release = threading.Event()
    fake.routes["/containers/json"] = lambda: release.wait(30) and []
    start = time.monotonic()
    found = refused(sshd.url(fake.socket), timeout=4.0)
    release.set()
    assert found.temporary
    assert time.monotonic() - start < 8.0


def test_no_ssh_is_an_error_of_its_own(fake: FakeEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    found = refused(f"ssh://me@127.0.0.1{fake.socket}")
    assert not found.temporary
    assert "ssh is not installed" in found.reason


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_nothing_stays_when_cloudsync_is_killed(
    sshd: Sshd, fake: FakeEngine, tmp_path: Path, how: signal.Signals
) -> None:
    asked, release = threading.Event(), threading.Event()
    short = Path(
        tempfile.mkdtemp(prefix="k-", dir="/tmp")
    )  # a socket's path may have 107 characters

    def hang() -> list[object]:
        asked.set()
        release.wait(60)
        return []

    fake.routes["/containers/json"] = hang
    environment = {
        "PATH": sshd.path,
        "HOME": str(tmp_path),
        "DOCKER_HOST": sshd.url(fake.socket),
        "TMPDIR": str(short),
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "cloudsync", "discover"], env=environment, cwd=tmp_path,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        assert asked.wait(30), "the engine was never asked"
        assert clients(sshd) != []
        assert list(short.glob("cloudsync-*")) != []
        process.send_signal(how)
        until = time.monotonic() + 30
        while clients(sshd) or list(short.glob("cloudsync-*")):
            assert time.monotonic() < until, "ssh or its socket outlived cloudsync"
            time.sleep(0.05)
    finally:
        release.set()
        process.kill()
        process.wait()
        shutil.rmtree(short)


def test_the_typed_command_reads_a_real_engine_over_ssh(
    sshd: Sshd, engine: Lab, tmp_path: Path
) -> None:
    engine.run("web", "-p", "8080:80")
    (tmp_path / "cloudsync.toml").write_text(f"""
version = 1
owner = "shop"
state = "file://{tmp_path}/state"
[ssh]
ports = [22]
sources = ["any"]
[policy]
expose = "published"
[providers.local]
[hosts.web-1]
docker = "{sshd.url(engine.socket, "engine-host")}"
[firewalls.web]
provider = "local"
hosts = ["web-1"]
path = "fw.json"
""")
    done = subprocess.run(
        [sys.executable, "-m", "cloudsync", "plan", "--detailed-exitcode"],
        cwd=tmp_path,
        env={**os.environ, "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2, done.stdout + done.stderr
    assert "8080/tcp" in done.stdout
    assert clients(sshd) == []
