"""`cloudsync watch` as a process: events, signals, a changed configuration, systemd, `/healthz`.
Engine: a double; firewall: a file."""

from __future__ import annotations

import contextlib
import fcntl
import gc
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cloudsync.watch.service import Overrides, Service
from tests.cli.conftest import Shell
from tests.doubles.engine import FakeEngine, Stream
from tests.doubles.receiver import Receiver
from tests.unit.test_metrics import parsed

PATIENCE = 30.0
START = {"Type": "container", "Action": "start"}


def until(
    fits: Callable[[], Any], what: Callable[[], object] = lambda: "", seconds: float = PATIENCE
) -> Any:
    end = time.monotonic() + seconds
    while not (found := fits()):
        assert time.monotonic() < end, what()
        time.sleep(0.02)
    return found


class Watch:
    """A running `cloudsync watch` in the folder of a shell."""

    def __init__(self, shell: Shell, *words: str, **environ: str) -> None:
        self.shell = shell
        environment = {
            key: value
            for key, value in os.environ.items()
            if not key.startswith(("CLOUDSYNC", "DOCKER", "XDG", "NOTIFY"))
        }
        with (shell.folder / "log").open("wb") as log:
            self.process = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "cloudsync",
                    "watch",
                    "--log-format",
                    "json",
                    "--listen",
                    "127.0.0.1:0",
                    *words,
                ],
                cwd=shell.folder,
                env={**environment, "HOME": str(shell.folder), **environ},
                stdout=log,
                stderr=log,
            )

    def lines(self, event: str | None = None) -> list[dict[str, Any]]:
        text = (self.shell.folder / "log").read_text()
        found = [json.loads(line) for line in text.splitlines()]
        return [line for line in found if event in (None, line["event"])]

    def heard(self, event: str, count: int = 1) -> dict[str, Any]:
        until(
            lambda: len(self.lines(event)) >= count or self.process.poll() is not None, self.lines
        )
        assert len(self.lines(event)) >= count, self.lines()
        return self.lines(event)[count - 1]

    def get(self, path: str, host: str = "127.0.0.1") -> tuple[int, str]:
        port = int(self.heard("listen")["message"].rsplit(" ", 1)[1])
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        with contextlib.closing(connection):
            connection.request("GET", path, headers={"Host": host})
            answer = connection.getresponse()
            return answer.status, answer.read().decode()

    def health(self) -> dict[str, Any]:
        return json.loads(self.get("/healthz")[1])  # type: ignore[no-any-return]

    def runs(self) -> int:
        return int(
            sum(
                value
                for (name, _), value in parsed(self.get("/metrics")[1]).items()
                if name == "cloudsync_runs_total"
            )
        )

    def has_run(self, count: int = 1) -> None:
        self.heard("listen")
        until(lambda: self.process.poll() is not None or self.runs() >= count, self.lines)

    def ends(self) -> int:
        return self.process.wait(PATIENCE)

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.ends()


@pytest.fixture
def watching(shell: Shell) -> Iterator[Callable[..., Watch]]:
    started: list[Watch] = []

    def start(*words: str, **environ: str) -> Watch:
        started.append(Watch(shell, *words, **environ))
        return started[-1]

    yield start
    for one in started:
        if one.process.poll() is None:
            one.process.kill()
            one.process.wait()


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[FakeEngine]:
    with FakeEngine(tmp_path) as fake:
        fake.routes["/events"] = Stream()
        yield fake
        fake.routes["/events"].cut()


def on(
    shell: Shell,
    *engines: FakeEngine,
    watch: str = 'interval = "10m"\ndebounce_min = "1s"',
    more: str = "",
) -> None:
    endpoints = ", ".join(f'"{engine.endpoint}"' for engine in engines)
    shell.configure(policy=f"[watch]\n{watch}\n{more}", host=f"docker = [{endpoints}]")


def ports(shell: Shell) -> set[str]:
    """The ports that are open, one by one."""
    found: set[str] = set()
    for rule in json.loads((shell.folder / "fw.json").read_text())["rules"]:
        first, _, last = rule["ports"].partition("-")
        found |= {str(number) for number in range(int(first), int(last or first) + 1)}
    return found


def add_container(engine: FakeEngine, number: int) -> None:
    engine.routes[f"/containers/{engine.id(number)}/json"] = engine.container(number)
    engine.routes["/containers/json"] = [
        *engine.routes["/containers/json"],
        {"Id": engine.id(number)},
    ]


def listening(engine: FakeEngine, count: int = 1) -> None:
    until(lambda: engine.routes["/events"].listeners >= count)


def test_an_event_is_a_hint_and_a_full_read_decides(
    shell: Shell, engine: FakeEngine, watching: Callable[..., Watch]
) -> None:
    on(shell, engine)
    watch = watching()
    listening(engine)
    watch.has_run()
    assert ports(shell) == {"22", "443", "8000"}
    add_container(engine, 1)
    engine.routes["/events"].send(
        {**START, "Actor": {"Attributes": {"name": "a lie about port 9999"}}}
    )
    until(lambda: "8001" in ports(shell), watch.lines)
    assert "9999" not in ports(shell)
    assert "opened 8001/tcp" in watch.heard("change", 2)["message"]
    assert watch.stop() == 0


def test_every_engine_of_the_configuration_is_heard(
    shell: Shell, engine: FakeEngine, tmp_path: Path, watching: Callable[..., Watch]
) -> None:
    (tmp_path / "second").mkdir()
    with FakeEngine(tmp_path / "second", containers=0) as second:
        second.routes["/events"] = Stream()
        on(shell, engine, second)
        watch = watching()
        listening(engine)
        listening(second)
        watch.has_run()
        add_container(second, 5)
        second.routes["/events"].send(START)
        until(lambda: "8005" in ports(shell), watch.lines)
        assert len(watch.health()["engines"]) == 2
        second.routes["/events"].cut()


def test_a_lost_stream_is_opened_again_and_what_was_missed_is_seen(
    shell: Shell, engine: FakeEngine, watching: Callable[..., Watch]
) -> None:
    on(shell, engine)
    watch = watching()
    listening(engine)
    watch.has_run()
    add_container(engine, 1)
    engine.routes["/events"].cut()
    listening(engine)
    until(lambda: "8001" in ports(shell), watch.lines)
    assert watch.stop() == 0


def test_an_engine_that_goes_away_and_comes_back_closes_nothing_and_is_heard_again(
    shell: Shell, engine: FakeEngine, tmp_path: Path, watching: Callable[..., Watch]
) -> None:
    (tmp_path / "second").mkdir()
    other = FakeEngine(tmp_path / "second", containers=0)
    add_container(other, 5)
    other.routes["/events"] = Stream()
    on(shell, engine, other)
    with other:
        watch = watching()
        listening(other)
        watch.has_run()
        assert "8005" in ports(shell)
        other.routes["/events"].cut()
    add_container(engine, 1)
    engine.routes["/events"].send(START)
    until(lambda: "8001" in ports(shell), watch.lines)
    assert "8005" in ports(shell)
    assert "could not be read completely" in watch.heard("trouble")["message"]
    again = FakeEngine(tmp_path / "second", containers=0)
    add_container(again, 5)
    again.routes["/events"] = Stream()
    with again:
        watch.heard("recovery")
        assert "8005" in ports(shell)
        again.routes["/events"].cut()


def test_an_engine_that_refuses_its_events_is_read_at_the_interval(
    shell: Shell, engine: FakeEngine, watching: Callable[..., Watch]
) -> None:
    engine.routes["/events"] = (403, {"message": "denied"})
    on(shell, engine, watch='interval = "10s"\ndebounce_max = "5s"')
    watch = watching()
    assert "at the interval only" in watch.heard("events")["message"]
    watch.has_run()
    add_container(engine, 1)
    until(lambda: "8001" in ports(shell), watch.lines)
    assert engine.requests.count(("GET", "/events")) == 1
    engine.routes["/events"] = Stream()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_cleanly(
    shell: Shell, engine: FakeEngine, watching: Callable[..., Watch], number: int
) -> None:
    on(shell, engine)
    watch = watching()
    watch.has_run()
    assert watch.stop(number) == 0
    assert watch.lines()[-1]["event"] == "stop"


def test_a_guard_is_reported_and_not_passed(
    shell: Shell, engine: FakeEngine, watching: Callable[..., Watch]
) -> None:
    on(shell, engine)
    text = (shell.folder / "cloudsync.toml").read_text()
    (shell.folder / "cloudsync.toml").write_text(
        text.replace('grace = "0s"', 'grace = "0s"\nmax_close = 0')
    )
    watch = watching()
    watch.has_run()
    engine.routes["/containers/json"] = []
    listening(engine)
    engine.routes["/events"].send(START)
    assert "max-close" in watch.heard("trouble")["message"]
    assert "8000" in ports(shell)
    assert watch.get("/healthz")[0] == 200  # the first run succeeded, and not long ago


def test_health_is_ill_until_a_run_succeeded(shell: Shell, watching: Callable[..., Watch]) -> None:
    shell.configure(host='docker = "unix:///nowhere/docker.sock"')
    watch = watching()
    watch.has_run()
    status, body = watch.get("/healthz")
    assert (status, json.loads(body)["healthy"], json.loads(body)["last_exit_code"]) == (
        503,
        False,
        75,
    )


def test_only_loopback_names_are_answered(shell: Shell, watching: Callable[..., Watch]) -> None:
    watch = watching()
    watch.has_run()
    assert watch.get("/metrics", host="localhost:1")[0] == 200
    assert watch.get("/metrics", host="[::1]:9741")[0] == 200
    assert watch.get("/metrics", host="evil.example")[0] == 421
    assert watch.get("/etc/passwd")[0] == 404


def test_an_address_that_is_taken_ends_it_at_once_with_one_line(shell: Shell) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = shell.types("watch", "--listen", f"127.0.0.1:{taken.getsockname()[1]}")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "cannot be listened at" in done.stderr


@pytest.mark.parametrize("asked", ["SIGHUP", "the file changed"])
def test_a_changed_configuration_is_applied(
    shell: Shell, watching: Callable[..., Watch], asked: str
) -> None:
    watch = watching()
    watch.has_run()
    shell.configure('"444/tcp"')
    if asked == "SIGHUP":
        watch.process.send_signal(signal.SIGHUP)
    watch.heard("reload")
    until(lambda: ports(shell) == {"22", "444"}, watch.lines)
    assert watch.stop() == 0


def test_a_broken_new_file_keeps_the_old_configuration_and_says_so(
    shell: Shell, watching: Callable[..., Watch]
) -> None:
    watch = watching("--interval", "10s", "--debounce-max", "5s")
    watch.has_run()
    good = (shell.folder / "cloudsync.toml").read_text()
    (shell.folder / "cloudsync.toml").write_text(good + "\nnonsense = 1\n")
    assert "nonsense" in watch.heard("reload")["message"]
    until(lambda: "cannot be used" in watch.health()["configuration"])
    assert "nonsense" not in watch.get("/healthz")[1], "any user of the machine may ask"
    (shell.folder / "fw.json").unlink()
    until(lambda: (shell.folder / "fw.json").exists(), watch.lines)
    assert (
        parsed(watch.get("/metrics")[1])["cloudsync_errors_total", (("kind", "configuration"),)]
        == 1
    )
    (shell.folder / "cloudsync.toml").write_text(good)
    watch.heard("reload", 2)
    until(lambda: watch.health()["configuration"] == "in effect")


def test_a_new_configuration_changes_which_engines_are_heard(
    shell: Shell, engine: FakeEngine, tmp_path: Path, watching: Callable[..., Watch]
) -> None:
    on(shell, engine)
    watch = watching()
    listening(engine)
    watch.has_run()
    (tmp_path / "second").mkdir()
    with FakeEngine(tmp_path / "second") as second:
        second.routes["/events"] = Stream()
        on(shell, second)
        listening(second)
        until(lambda: list(watch.health()["engines"].values()) == [True])
        assert str(second.socket) in "".join(watch.health()["engines"])
        second.routes["/events"].cut()


def test_another_run_at_work_is_waited_for_and_no_trouble(
    shell: Shell, watching: Callable[..., Watch]
) -> None:
    shell.types("apply", "--auto-approve")
    (shell.folder / "fw.json").unlink()
    with (shell.folder / "state" / "shop.lock").open("r+") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        watch = watching()
        watch.has_run()
    until(lambda: (shell.folder / "fw.json").exists(), watch.lines)
    assert watch.lines("trouble") == []


class Systemd:
    """The other end of NOTIFY_SOCKET."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "notify"
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(self.path))
        self.socket.setblocking(False)
        self.said: list[str] = []

    def hears(self, text: str, count: int = 1) -> None:
        def enough() -> bool:
            with contextlib.suppress(BlockingIOError):
                while True:
                    self.said.append(self.socket.recv(4096).decode())
            return sum(text in one for one in self.said) >= count

        until(enough, lambda: self.said)


def test_systemd_is_told_ready_watchdog_status_reload_and_stopping(
    shell: Shell, watching: Callable[..., Watch]
) -> None:
    systemd = Systemd(shell.folder)
    watch = watching(NOTIFY_SOCKET=str(systemd.path), WATCHDOG_USEC="400000")
    systemd.hears("READY=1")
    systemd.hears("WATCHDOG=1", 3)
    systemd.hears("web: created; opened 22, 443/tcp")
    watch.process.send_signal(signal.SIGHUP)
    systemd.hears("RELOADING=1")
    systemd.hears("READY=1", 2)
    assert watch.stop() == 0
    systemd.hears("STOPPING=1")
    systemd.socket.close()


def test_reports_go_out_from_watch_too(
    shell: Shell, engine: FakeEngine, watching: Callable[..., Watch]
) -> None:
    with Receiver() as receiver:
        (shell.folder / "hook").write_text(receiver.url("/hook"))
        (shell.folder / "health").write_text(receiver.url("/ping"))
        on(
            shell,
            engine,
            more=(
                '[report]\nwebhook = { file = "hook" }\nhealth = { file = "health" }\nmetrics_file'
                ' = "m.prom"\n'
            ),
        )
        watch = watching()
        receiver.until(lambda told: {"/hook", "/ping"} <= {one.path for one in told})
        assert (shell.folder / "m.prom").exists()
        listening(engine)
        receiver.take()
        engine.routes["/events"].send(START)
        watch.has_run(2)
        assert watch.stop() == 0
        assert receiver.paths == []  # nothing changed, and it was pinged less than a minute ago


def test_a_run_that_still_reads_when_it_is_stopped_writes_nothing(
    shell: Shell, engine: FakeEngine, watching: Callable[..., Watch]
) -> None:
    engine.slow = 1.0
    on(shell, engine)
    watch = watching()
    until(lambda: engine.requests, watch.lines)
    assert watch.stop() == 0
    assert not (shell.folder / "fw.json").exists()
    assert shell.code("plan") == 0


def test_a_run_whose_engine_is_gone_leaves_no_socket_behind(shell: Shell) -> None:
    """Without the collector's help: one socket a run, for months, would be the end of the
    process."""
    shell.configure(host='docker = "unix:///nowhere/docker.sock"')
    service = Service(shell.folder / "cloudsync.toml", Overrides(), lambda _text: None)
    gc.collect()
    gc.disable()
    try:
        before = _sockets()
        for _ in range(3):
            service._once()
        assert not _sockets() - before
    finally:
        gc.enable()
        service.systemd.close()


def _sockets() -> set[str]:
    """The open sockets of this process. The collector does not list what is frozen."""
    handles = Path("/proc/self/fd")
    links = {str(handle.readlink()) for handle in handles.iterdir() if handle.is_symlink()}
    return {link for link in links if link.startswith("socket:")}
