"""`watch` with more engines than files, and with more callers than it answers."""

from __future__ import annotations

import contextlib
import resource
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cloudsync.watch import listen, service
from cloudsync.watch.listen import MOST_CONNECTIONS, Board, Server
from cloudsync.watch.service import Overrides, Service


@pytest.mark.parametrize(
    ("soft", "hard", "room"), [(64, 64, 16), (64, 1024, 768), (1024, 1024, 768), (8192, 8192, 7936)]
)
def test_a_part_of_the_files_is_kept_for_runs(soft: int, hard: int, room: int) -> None:
    script = (
        f"import resource as r; r.setrlimit(r.RLIMIT_NOFILE, ({soft}, {hard}));"
        "from cloudsync.watch.room import room_for_listeners as room;"
        "print(room(), r.getrlimit(r.RLIMIT_NOFILE)[0])"
    )
    if resource.getrlimit(resource.RLIMIT_NOFILE)[1] < hard:
        pytest.skip("this machine allows fewer files")
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == [str(room), str(hard)]


def test_engines_for_which_there_is_no_file_are_read_at_the_interval(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    hosts = "\n".join(
        f'[hosts.h{n}]\ndocker = "unix://{tmp_path}/none-{n}.sock"' for n in range(10)
    )
    names = ", ".join(f'"h{n}"' for n in range(10))
    (tmp_path / "cloudsync.toml").write_text(
        f"""version = 1
owner = "shop"
state = "file://{tmp_path}/state"
[ssh]
ports = [22]
sources = ["any"]
[policy]
expose = "published"
[providers.local]
{hosts}
[firewalls.web]
provider = "local"
hosts = [{names}]
path = "fw.json"
"""
    )
    monkeypatch.setattr(service, "room_for_listeners", lambda: 3)
    watching = Service(tmp_path / "cloudsync.toml", Overrides(), lambda _: None)
    try:
        watching._attend()
        assert len(watching.listeners) == 3
        assert "7 engines are read at the interval only" in caplog.text
        watching._attend()
        assert len(watching.listeners) == 3
    finally:
        for listener in watching.listeners.values():
            listener.stop()
        with watching.bell:
            pass


@pytest.fixture
def server() -> Server:
    return Server(("127.0.0.1", 0), Board())


def answers(port: int) -> bool:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
        client.sendall(b"GET /metrics HTTP/1.0\r\nHost: localhost\r\n\r\n")
        with contextlib.suppress(OSError):
            return client.recv(12) == b"HTTP/1.0 200"
    return False


def test_callers_beyond_a_few_are_closed_and_cost_no_thread(server: Server) -> None:
    try:
        held = [
            socket.create_connection(("127.0.0.1", server.port)) for _ in range(MOST_CONNECTIONS)
        ]
        until = time.monotonic() + 10
        while answers(server.port) and time.monotonic() < until:
            time.sleep(0.01)  # the last of them may not have its thread yet
        assert not answers(server.port)
        for client in held:
            client.close()
        while not answers(server.port) and time.monotonic() < until:
            time.sleep(0.01)
        assert answers(server.port)
    finally:
        server.stop()


def test_a_caller_that_sends_a_byte_now_and_then_is_cut(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listen, "_SECONDS", 0.5)
    try:
        with socket.create_connection(("127.0.0.1", server.port), timeout=10) as client:
            begun = time.monotonic()
            with contextlib.suppress(OSError):
                while time.monotonic() - begun < 10:
                    client.sendall(b"G")
                    client.settimeout(0.1)
                    with contextlib.suppress(TimeoutError):
                        if not client.recv(1):
                            break
            assert time.monotonic() - begun < 5
    finally:
        server.stop()
