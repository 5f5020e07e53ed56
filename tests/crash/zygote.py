"""A process that has everything imported and forks one child per run of the command: a real process
to kill, without its start-up.

`Zygote(...)` is the test's side of it. The other side is this module run as a program: one thread,
told what to do line by line on stdin, answering on stdout. A child runs `cloudsync.cli.main.run`
with a real configuration file and exits with its code. Only waiting times are shorter there than a
user's.

Most of what a short run costs is that a fork copies each page it touches. Runs that nothing befalls
are therefore made one after another by a single child that stays (`Zygote.normal_run`).
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Self

ROOT = Path(__file__).resolve().parents[2]
HUNG_SECONDS = 60.0
CALL_SECONDS = 0.5
"""How long a run waits for one answer, so that a vendor that stalls costs no more."""


# The test's side


@dataclass
class Child:
    """One run. `code`: as a shell sees it, -9 for a run that was killed."""

    zygote: Zygote
    pid: int
    out: Path
    code: int | None = None

    def kill(self) -> None:
        """At once; the process gets no say. It is not reaped before `wait`, so the id is still its
        own."""
        os.kill(self.pid, signal.SIGKILL)

    def wait(self) -> int:
        """Its exit code. Raises `AssertionError` where it does not end."""
        if self.code is None:
            end = os.pidfd_open(self.pid)
            try:
                ended = select.select([end], [], [], HUNG_SECONDS)[0]
            finally:
                os.close(end)
            if not ended:
                self.kill()
            self.code = int(self.zygote.ask({"do": "wait", "pid": self.pid})["code"])
            assert ended, f"the run hung for {HUNG_SECONDS} s:\n{self.output}"
        return self.code

    @property
    def output(self) -> str:
        """What it printed, both streams."""
        return self.out.read_text(errors="replace") if self.out.exists() else ""


@dataclass
class Zygote:
    """Imports the SDKs of `providers`. Start it with `with`."""

    providers: tuple[str, ...] = ()
    number: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)
    _process: subprocess.Popen[bytes] = field(init=False)
    _steady: Steady | None = None
    _steady_lock: threading.Lock = field(default_factory=threading.Lock)

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.crash.zygote", *self.providers],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        ready = self._answer()
        assert ready == {"threads": 1}, f"a process with threads cannot fork safely: {ready}"
        return self

    def __exit__(self, *_: object) -> None:
        if self._steady is not None:
            self._steady.end()
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(timeout=30)
        self._process.stdout.close()

    def start(
        self, words: Sequence[str], folder: Path, environment: Mapping[str, str], **more: Any
    ) -> Child:
        """Begin a run. `more`: `kill_at` and `moment` for a file operation to die at, `clock` for
        seconds its clock is off, `patient` where it is to wait for answers as long as a user's run
        does."""
        order = {"do": "run", **self._order(words, folder, environment), **more}
        return Child(self, int(self.ask(order)["pid"]), Path(order["out"]))

    def run(
        self, words: Sequence[str], folder: Path, environment: Mapping[str, str], **more: Any
    ) -> Child:
        """A whole run."""
        child = self.start(words, folder, environment, **more)
        child.wait()
        return child

    def normal_run(
        self, words: Sequence[str], folder: Path, environment: Mapping[str, str]
    ) -> Child:
        """A whole run that waits for answers as long as a user's does, in the process of the normal
        run before it."""
        order = self._order(words, folder, environment)
        with self._steady_lock:
            if self._steady is None:
                self._steady = Steady(self)
            code = self._steady.run(order)
        return Child(self, self._steady.pid, Path(order["out"]), code)

    def _order(
        self, words: Sequence[str], folder: Path, environment: Mapping[str, str]
    ) -> dict[str, Any]:
        with self.lock:
            self.number += 1
            out = folder / f"out-{self.number}.txt"
        return {
            "words": list(words),
            "folder": str(folder),
            "environment": dict(environment),
            "out": str(out),
        }

    def ask(self, order: Mapping[str, Any]) -> dict[str, Any]:
        """One order and its answer; no order takes long, so that several threads may ask."""
        assert self._process.stdin is not None
        with self.lock:
            self._process.stdin.write(json.dumps(order).encode() + b"\n")
            self._process.stdin.flush()
            return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the zygote died"
        return json.loads(line)  # type: ignore[no-any-return]


class Steady:
    """A child that stays and makes one run after another."""

    def __init__(self, zygote: Zygote) -> None:
        self.zygote = zygote
        with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as door:
            door.bind(f"{folder}/door")
            door.listen()
            door.settimeout(HUNG_SECONDS)
            self.pid = int(zygote.ask({"do": "stay", "door": f"{folder}/door"})["pid"])
            self._wire, _ = door.accept()
        self._wire.settimeout(HUNG_SECONDS)
        self._answers = self._wire.makefile("rb")

    def run(self, order: Mapping[str, Any]) -> int:
        """The exit code of one run. Raises `TimeoutError` where it does not end."""
        self._wire.sendall(json.dumps(order).encode() + b"\n")
        line = self._answers.readline()
        assert line, f"the process of normal runs died:\n{Path(order['out']).read_text()}"
        return int(json.loads(line)["code"])

    def end(self) -> None:
        self._answers.close()
        self._wire.close()
        self.zygote.ask({"do": "wait", "pid": self.pid})


# The other side

_MODULES = {
    "aws": ("boto3", "cloudsync_aws.reader", "cloudsync_aws.writer"),
    "digitalocean": ("cloudsync_digitalocean.reader", "cloudsync_digitalocean.writer"),
    "gcp": ("cloudsync_gcp.reader", "cloudsync_gcp.writer"),
    "hetzner": ("cloudsync_hetzner.reader", "cloudsync_hetzner.writer"),
    "local": ("cloudsync_local.plugin",),
    "openstack": (
        "cloudsync_openstack.access",
        "cloudsync_openstack.machines",
        "cloudsync_openstack.reader",
        "cloudsync_openstack.writer",
    ),
    "engine": ("cloudsync.sources.docker.engine", "cloudsync.sources.docker.client"),
}
_SHORTER = {
    "cloudsync.provider.http": {"CALL_SECONDS": CALL_SECONDS},
    "cloudsync.provider.waiting": {"FIRST_SECONDS": 0.005},
    "cloudsync_aws.client": {"READ_SECONDS": CALL_SECONDS},
    # A real server, and not a double.
    "cloudsync_openstack.client": {"READ_SECONDS": 8 * CALL_SECONDS},
    "cloudsync.provider.retry": {"LEAST_SECONDS": 0.1},
    "cloudsync.state.lock": {"_POLL_SECONDS": 0.01},
}


def main() -> None:
    """Until stdin ends."""
    wire = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    _warm(sys.argv[1:])
    _shorten()
    gc.collect()
    gc.freeze()
    _say(wire, {"threads": len(list(Path("/proc/self/task").iterdir()))})
    for line in sys.stdin.buffer:
        order = json.loads(line)
        if order["do"] == "run":
            if (pid := os.fork()) == 0:
                _child(order)
            _say(wire, {"pid": pid})
        elif order["do"] == "stay":
            if (pid := os.fork()) == 0:
                _stay(order["door"])
            _say(wire, {"pid": pid})
        else:
            _say(wire, {"code": os.waitstatus_to_exitcode(os.waitpid(order["pid"], 0)[1])})


def _say(wire: IO[bytes], answer: Mapping[str, Any]) -> None:
    wire.write(json.dumps(answer).encode() + b"\n")


def _warm(providers: Sequence[str]) -> None:
    """Everything a run would import, compile or build, the rest by a run on a file; and what the
    SDKs load when they are used first."""
    from cloudsync.cli.main import run
    from tests.loaded import complete_classes, load_command, load_ec2

    load_command()
    for name in providers:
        for module in _MODULES[name]:
            importlib.import_module(module)
    complete_classes()
    with tempfile.TemporaryDirectory() as folder, open(os.devnull, "w") as nowhere:  # noqa: PTH123 - the null device
        file = Path(folder) / "cloudsync.toml"
        file.write_text(
            f'version = 1\nowner = "warm"\nstate = "file://{folder}/state"\n'
            'ssh = { ports = [22], sources = ["any"] }\n'
            'policy = { expose = "published" }\nproviders.local = {}\n'
            'hosts.a = { ports = ["80/tcp"] }\n'
            'firewalls.a = { provider = "local", hosts = ["a"], path = "a.json" }\n'
        )
        with contextlib.redirect_stdout(nowhere), contextlib.redirect_stderr(nowhere):
            assert run(["plan", "-c", str(file), "--out", f"{folder}/plan.json"]) == 0
            assert run(["apply", "-c", str(file), "--auto-approve"]) == 0
    if "aws" in providers:
        load_ec2()


_for_good = contextlib.ExitStack()
"""Never left: the process ends with it."""


def _shorten() -> None:
    from cloudsync.provider.retry import backoff

    _for_good.enter_context(backoff(0.005, 0.01))
    for module, values in _SHORTER.items():
        if module in sys.modules:
            for name, value in values.items():
                setattr(sys.modules[module], name, value)


def _lengthen() -> None:
    for module, values in _SHORTER.items():
        for name in values:
            if name.endswith(("CALL_SECONDS", "READ_SECONDS")) and module in sys.modules:
                setattr(sys.modules[module], name, 30.0)


def _child(order: Mapping[str, Any]) -> None:
    code = 70
    try:
        if order.get("patient"):
            _lengthen()
        code = _obey(order)
    finally:
        os._exit(code)


def _stay(door: str) -> None:
    """Until the other end is closed."""
    try:
        _lengthen()
        wire = socket.socket(socket.AF_UNIX)
        wire.connect(door)
        for line in wire.makefile("rb"):
            wire.sendall(json.dumps({"code": _obey(json.loads(line))}).encode() + b"\n")
    finally:
        os._exit(0)


def _obey(order: Mapping[str, Any]) -> int:
    """The exit code of one run in this process; 70 for one that raised an exception."""
    code = 70
    try:
        nothing = os.open(os.devnull, os.O_RDONLY)
        out = os.open(order["out"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        for stream, number in ((nothing, 0), (out, 1), (out, 2)):
            os.dup2(stream, number)
        os.close(nothing)
        os.close(out)
        os.chdir(order["folder"])
        os.environ.clear()
        # Without commands of the system: a run asks systemd for timers of its own.
        own = {"HOME": order["folder"], "PATH": order["folder"], "NO_COLOR": "1"}
        os.environ.update({**own, **order["environment"]})
        with contextlib.ExitStack() as stack:
            stack.enter_context(_clock(order.get("clock", 0)))
            if (at := order.get("kill_at")) is not None:
                from tests.crash.deadly_files import deadly

                stack.enter_context(deadly(Path(order["folder"]), at, order["moment"]))
            from cloudsync.cli.main import run

            code = run(order["words"])
    except BaseException:  # noqa: BLE001 - a child must never return into the zygote's loop
        import traceback

        traceback.print_exc()
    with contextlib.suppress(Exception):
        sys.stdout.flush()
        sys.stderr.flush()
    return code


@contextlib.contextmanager
def _clock(off: float) -> Iterator[None]:
    """The wall clock, `off` seconds away from the right one."""
    if not off:
        yield
        return
    import time

    import time_machine

    with time_machine.travel(time.time() + off, tick=True):
        yield


if __name__ == "__main__":
    main()
