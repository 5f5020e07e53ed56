"""`cloudsync` typed as a process of its own, without the start that most tests are not about.

Python, pydantic and an SDK take half a second to two seconds to load. Here one process has loaded
them and forks for each command; the fork gets the folder, the environment and the standard streams
of the command, enters its namespaces, and runs the same `main` as `python -m cloudsync`. A
command whose environment changes what Python does when it starts is started for real.

The test's side is `typed`; this module run as a program is the other one.
"""

from __future__ import annotations

import atexit
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
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import IO, Any

from tests.namespaces import enter

ROOT = Path(__file__).resolve().parents[1]
LARGEST_ORDER = 1 << 20
AT_THE_START = ("PYTHON", "LC_", "LANG", "COVERAGE")
"""Beginnings of the variables that Python looks at when it starts."""
SDKS: Mapping[str, tuple[str, ...]] = {
    "aws": ("boto3", "cloudsync_aws.reader", "cloudsync_aws.writer"),
    "gcp": ("cloudsync_gcp.reader", "cloudsync_gcp.writer"),
    "host": ("cloudsync_host.exposure", "cloudsync_host.reader", "cloudsync_host.writer"),
}
"""What commands of a vendor have loaded that has a large SDK or much of its own; with `all`,
everything."""
TIMEOUT_SECONDS = 110.0


# The test's side


def typed(
    *words: str,
    folder: Path,
    environment: Mapping[str, str],
    stdin: str = "",
    sdk: str | None = None,
    inside: Sequence[str] = (),
    begun: Callable[[int], None] = lambda _: None,
) -> subprocess.CompletedProcess[str]:
    """`cloudsync WORDS` to its end. `inside`: what begins a command line on the machine of a lab.
    `begun`: told the id of the process that was forked, so that it can be killed. Raises
    `subprocess.TimeoutExpired`."""
    namespaces = _namespaces_of(inside)
    if _starts_differently(environment) or (inside and not namespaces):
        return subprocess.run(
            [*inside, sys.executable, "-m", "cloudsync", *words],
            cwd=folder,
            env=dict(environment),
            capture_output=True,
            text=True,
            timeout=TIMEOUT_SECONDS,
            input=stdin,
            check=False,
        )
    with contextlib.ExitStack() as stack:
        streams = [stack.enter_context(tempfile.TemporaryFile()) for _ in range(3)]
        streams[0].write(stdin.encode())
        streams[0].seek(0)
        code = _loaded(sdk).run(words, folder, environment, streams, namespaces, begun)
        output, errors = (_content(stream) for stream in streams[1:])
    return subprocess.CompletedProcess(["cloudsync", *words], code, output, errors)


def _starts_differently(environment: Mapping[str, str]) -> bool:
    return any(
        name.startswith(AT_THE_START) and value != os.environ.get(name)
        for name, value in environment.items()
    )


def _namespaces_of(inside: Sequence[str]) -> list[str]:
    """The files of the namespaces that `nsenter` would enter; none for other words."""
    if inside[:1] == ("nsenter",) and inside[-1] == "--":
        match inside[1:-1]:
            case (network,) if network.startswith("--net="):
                return [network.removeprefix("--net=")]
            case ("-t", process, "-m", "-n"):
                return [f"/proc/{process}/ns/net", f"/proc/{process}/ns/mnt"]
    return []


def _content(stream: IO[bytes]) -> str:
    stream.seek(0)
    return stream.read().decode().replace("\r\n", "\n")


@cache
def _loaded(sdk: str | None) -> Loaded:
    return Loaded(sdk)


@dataclass
class Loaded:
    """The process that forks. It ends with the test session, which closes the socket."""

    sdk: str | None
    lock: threading.Lock = field(default_factory=threading.Lock)
    _socket: socket.socket = field(init=False)

    def __post_init__(self) -> None:
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.command", str(theirs.fileno()), self.sdk or ""],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            pass_fds=(theirs.fileno(),),
        )
        theirs.close()
        atexit.register(process.wait, 10)
        atexit.register(self._socket.close)  # before it waits
        ready = json.loads(self._socket.recv(LARGEST_ORDER))
        assert ready == {"threads": 1}, f"a process with threads cannot fork safely: {ready}"

    def run(
        self,
        words: Sequence[str],
        folder: Path,
        environment: Mapping[str, str],
        streams: Sequence[IO[bytes]],
        namespaces: Sequence[str],
        begun: Callable[[int], None],
    ) -> int:
        order = {
            "words": words,
            "folder": str(folder),
            "environment": dict(environment),
            "namespaces": namespaces,
        }
        pid = self._ask({"run": order}, [stream.fileno() for stream in streams])
        begun(pid)
        end = os.pidfd_open(pid)
        try:
            ended = select.select([end], [], [], TIMEOUT_SECONDS)[0]
        finally:
            os.close(end)
        if not ended:
            os.kill(pid, signal.SIGKILL)
        code = self._ask({"reap": pid})
        if not ended:
            raise subprocess.TimeoutExpired(["cloudsync", *words], TIMEOUT_SECONDS)
        return code

    def _ask(self, order: Mapping[str, Any], handles: Sequence[int] = ()) -> int:
        with self.lock:
            socket.send_fds(self._socket, [json.dumps(order).encode()], handles)
            answer = self._socket.recv(LARGEST_ORDER)
        assert answer, "the process that forks died"
        return int(json.loads(answer))


# The other side


def main() -> None:
    """Until the socket is closed."""
    orders = socket.socket(fileno=int(sys.argv[1]))
    _load(sys.argv[2])
    gc.collect()
    gc.freeze()
    orders.send(json.dumps({"threads": len(list(Path("/proc/self/task").iterdir()))}).encode())
    while True:
        data, handles, _, _ = socket.recv_fds(orders, LARGEST_ORDER, 3)
        if not data:
            return
        order = json.loads(data)
        if "run" in order:
            if (answer := os.fork()) == 0:
                orders.close()
                _child(order["run"], handles)
            for handle in handles:
                os.close(handle)
        else:
            answer = os.waitstatus_to_exitcode(os.waitpid(order["reap"], 0)[1])
        orders.send(str(answer).encode())


def _load(sdk: str) -> None:
    """All modules of the command, and what is built when it first reads a configuration."""
    from cloudsync.cli.main import run
    from tests.loaded import complete_classes, load_command, load_ec2

    load_command()
    for vendor, modules in SDKS.items():
        if sdk in (vendor, "all"):
            for module in modules:
                importlib.import_module(module)
            if vendor == "aws":
                load_ec2()
    complete_classes()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "cloudsync.toml"
        file.write_text(
            f'version = 1\nowner = "load"\nstate = "file://{folder}/state"\n'
            'ssh = { ports = [22], sources = ["any"] }\n'
            'policy = { expose = "published" }\nproviders.local = {}\n'
            'hosts.a = { ports = ["80/tcp"] }\n'
            'firewalls.a = { provider = "local", hosts = ["a"], path = "a.json" }\n'
        )
        with (
            Path(os.devnull).open("w") as nowhere,
            contextlib.redirect_stdout(nowhere),
            contextlib.redirect_stderr(nowhere),
        ):
            assert run(["plan", "-c", str(file)]) == 0


def _child(order: Mapping[str, Any], handles: Sequence[int]) -> None:
    """As `python -m cloudsync` would: never returns."""
    code = 1
    try:
        for number, handle in enumerate(handles):
            os.dup2(handle, number)
            os.close(handle)
        enter(*order["namespaces"])
        os.chdir(order["folder"])
        os.environ.clear()
        os.environ.update(order["environment"])
        time.tzset()
        import cloudsync.__main__ as command

        sys.argv = [str(command.__file__), *order["words"]]
        sys.path[0] = order["folder"]
        command.main()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:  # noqa: BLE001 - as Python does at the end of a program
        traceback.print_exc()
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    main()
