"""`cloudsync` typed as a process of its own, without the start that most tests are not about.

Python, pydantic and an SDK take half a second to two seconds to load. Here one process has loaded
them and forks for each command; the fork gets the folder, the environment and the standard streams
of the command, enters its namespaces, and runs the same module as `python -m cloudsync`. A
command whose environment changes what Python does when it starts is started for real.

The test's side is `typed`, and `stand_in` for what starts Python itself; this module run as a
program is the other one.
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import gc
import importlib
import marshal
import os
import runpy
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import IO, Any

from tests.namespaces import enter
from tests.stand_in import answered, ask, connected

ROOT = Path(__file__).resolve().parents[1]
LARGEST_ORDER = 1 << 20
MOST_HANDLES = 16
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
    if starts_differently(environment) or (inside and not namespaces):
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
        order = {
            "words": ["-m", "cloudsync", *words],
            "executable": sys.executable,
            "folder": str(folder),
            "environment": dict(environment),
            "namespaces": namespaces,
        }
        code = _loaded(sdk).run(order, streams, begun)
        output, errors = (_content(stream) for stream in streams[1:])
    return subprocess.CompletedProcess(["cloudsync", *words], code, output, errors)


def stand_in() -> Path:
    """The program `tests/stand_in.py` under the name `python3`, in a folder of its own."""
    return _loaded(None).python


def starts_differently(environment: Mapping[str, str]) -> bool:
    """Whether Python would do something else when it starts than it did for this process."""
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
    """The process that forks. It ends with the test session, which holds its standard input."""

    sdk: str | None
    folder: Path = field(init=False)
    _process: subprocess.Popen[bytes] = field(init=False)

    def __post_init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="loaded-"))
        self.python.parent.mkdir()
        self.python.write_text(
            f"#!{sys.executable} -IS\nimport sys\nsys.path.append({str(ROOT)!r})\n"
            "from tests.stand_in import main\n"
            f"main({self.address!r}, {sys.executable!r})\n"
        )
        self.python.chmod(0o700)
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as door:
            door.bind(self.address)
            door.listen()
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.command", str(door.fileno()), self.sdk or ""],
                cwd=ROOT,
                stdin=subprocess.PIPE,
                pass_fds=(door.fileno(),),
            )
        atexit.register(self._end)

    @property
    def address(self) -> str:
        return str(self.folder / "door")

    @property
    def python(self) -> Path:
        return self.folder / "bin" / "python3"

    def run(
        self,
        order: Mapping[str, object],
        streams: Sequence[IO[bytes]],
        begun: Callable[[int], None],
    ) -> int:
        with contextlib.closing(connected(self.address)) as asker:
            ask(asker, order, {i: stream.fileno() for i, stream in enumerate(streams)})
            begun(answered(asker))
            asker.settimeout(TIMEOUT_SECONDS)
            try:
                return answered(asker)
            except TimeoutError:
                raise subprocess.TimeoutExpired(str(order["words"]), TIMEOUT_SECONDS) from None

    def _end(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(10)
        shutil.rmtree(self.folder)


# The other side


@dataclass(frozen=True)
class Fork:
    """What runs for an asker."""

    pid: int
    end: int
    """Can be read once the process has ended."""
    asker: socket.socket


def main() -> None:
    """Until the test session has ended."""
    door = socket.socket(fileno=int(sys.argv[1]))
    _load(sys.argv[2])
    gc.collect()
    gc.freeze()
    threads = len(list(Path("/proc/self/task").iterdir()))
    assert threads == 1, f"a process with {threads} threads cannot fork safely"
    forks: list[Fork] = []
    while True:
        numbers = [number for fork in forks for number in (fork.end, fork.asker.fileno())]
        ready = select.select([0, door.fileno(), *numbers], [], [])[0]
        if 0 in ready:
            return
        for fork in forks.copy():
            if fork.end in ready:
                forks.remove(fork)
                _reap(fork)
            elif fork.asker.fileno() in ready:  # it hung up: it says nothing more
                os.kill(fork.pid, signal.SIGKILL)
        if door.fileno() in ready:
            forks.extend(_begin(door))


def _begin(door: socket.socket) -> list[Fork]:
    """What was forked; nothing if the asker is gone."""
    asker, _ = door.accept()
    data, handles, _, _ = socket.recv_fds(asker, LARGEST_ORDER, MOST_HANDLES)
    if not data:
        return []
    if (pid := os.fork()) == 0:
        _child(marshal.loads(data), handles)
    for handle in handles:
        os.close(handle)
    _answer(asker, pid)
    return [Fork(pid, os.pidfd_open(pid), asker)]


def _reap(fork: Fork) -> None:
    code = os.waitstatus_to_exitcode(os.waitpid(fork.pid, 0)[1])
    os.close(fork.end)
    _answer(fork.asker, code)
    fork.asker.close()


def _answer(asker: socket.socket, number: int) -> None:
    with contextlib.suppress(OSError):  # it hung up
        asker.send(str(number).encode())


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
    """As the interpreter would run the words of the order: never returns."""
    code = 1
    try:
        _open(dict(zip(order["numbers"], handles, strict=True)))
        _make_streams()
        enter(*order["namespaces"])
        os.chdir(order["folder"])
        os.environ.clear()
        os.environ.update(order["environment"])
        time.tzset()
        sys.executable = order["executable"]
        _run(order["words"], order["folder"])
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:  # noqa: BLE001 - as Python does at the end of a program
        traceback.print_exc()
    else:
        code = 0
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def _open(handles: Mapping[int, int]) -> None:
    """These handles by these numbers, and nothing else."""
    above = 1 + max(*handles, *handles.values())
    moved = {
        number: fcntl.fcntl(handle, fcntl.F_DUPFD, above) for number, handle in handles.items()
    }
    os.closerange(0, above)
    for number, handle in moved.items():
        os.dup2(handle, number)
    os.closerange(above, 1 + max(moved.values()))


def _make_streams() -> None:
    """Anew: those of this process were made for what it had open, a file that can seek, say."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        earlier = getattr(sys, name)
        stream = open(  # noqa: SIM115 - for as long as the process lives
            number,
            "r" if name == "stdin" else "w",
            encoding=earlier.encoding,
            errors=earlier.errors,
            closefd=False,
        )
        if name == "stderr":
            stream.reconfigure(line_buffering=True)
        setattr(sys, name, stream)


def _run(words: Sequence[str], folder: str) -> None:
    sys.path[0] = folder  # of this program: the one it was started in
    if words[0] == "-I":
        del sys.path[0]
        words = words[1:]
    match words:
        case ["-m", module, *rest]:
            sys.argv = [module, *rest]
            runpy.run_module(module, run_name="__main__", alter_sys=True)
        case [file, *rest]:
            sys.argv = [file, *rest]
            runpy.run_path(file, run_name="__main__")


if __name__ == "__main__":
    main()
