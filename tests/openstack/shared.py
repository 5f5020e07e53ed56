"""A real Neutron for the tests: an environment of its own, built once and kept between runs, and
one server that all test processes on the machine share while any of them runs.

Both live in ~/.cache/cloudsync-tests, outside of the checkout. Whoever comes first builds and
starts, under a lock; whoever is the last to leave stops the server, by its id.
"""

from __future__ import annotations

import fcntl
import hashlib
import http.client
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).parent
CACHE = Path.home() / ".cache" / "cloudsync-tests"
START_SECONDS = 120.0
STOP_SECONDS = 10.0


def _run(*words: str | Path) -> None:
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{words[0]} ended with {done.returncode}:\n{done.stderr[-2000:]}")


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:12]


PINS = HERE / "constraints.txt"
ENVIRONMENT = CACHE / f"neutron-{_digest(PINS)}"
STATE = CACHE / f"neutron-server-{_digest(HERE / 'serve.py')}"


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def environment() -> Path:
    """The interpreter of a virtual environment with Neutron in it; made if there is none."""
    python = ENVIRONMENT / "bin" / "python"
    with _locked(CACHE / f"{ENVIRONMENT.name}.lock"):
        if not (ENVIRONMENT / "complete").exists():
            shutil.rmtree(ENVIRONMENT, ignore_errors=True)
            _run(sys.executable, "-m", "venv", ENVIRONMENT)
            # All of it is pinned, so there is nothing to resolve; and what the server imports, a
            # part of it, is compiled when it does.
            words = ["install", "--quiet", "--disable-pip-version-check", "--no-compile"]
            _run(python, "-m", "pip", *words, "--no-deps", "-r", PINS)
            (ENVIRONMENT / "complete").touch()
    return python


@contextmanager
def shared_server() -> Iterator[int]:
    """The port of the server on 127.0.0.1, kept alive until this ends in every process."""
    python = environment()
    lock, leases = STATE / "lock", STATE / "leases"
    with _locked(lock):
        others = _leases(leases)
        _write_leases(leases, [*others, os.getpid()])
        port = _running(used=bool(others))
        if port is None:
            port = _started(python, leases)
    try:
        yield port
    finally:
        with _locked(lock):
            left = _leases(leases)
            left.remove(os.getpid())
            _write_leases(leases, left)
            if not left:
                _stop()


def _leases(path: Path) -> list[int]:
    """The processes that use the server and still live."""
    lines = path.read_text().split() if path.exists() else []
    return [int(line) for line in lines if Path(f"/proc/{line}").exists()]


def _write_leases(path: Path, leases: list[int]) -> None:
    new = path.with_suffix(".new")
    new.write_text("\n".join(map(str, leases)))
    new.rename(path)


def _process() -> int | None:
    """The id of the server that was started last, by whichever checkout, if it is still that
    server."""
    try:
        process = int((STATE / "pid").read_text())
        title = Path(f"/proc/{process}/cmdline").read_bytes()
    except (OSError, ValueError):
        return None
    # Neutron writes its command line again, as one word.
    return process if str(STATE / "run").encode() in title else None


def _running(*, used: bool) -> int | None:
    """The port of a server that runs. One that others use is never stopped, however slow it is to
    answer on a busy machine."""
    if _process() is None:
        return None
    try:
        port = int((STATE / "run" / "port").read_text())
        if not used:
            answers(port)
    except (OSError, ValueError):
        _stop()
        return None
    return port


def answers(port: int) -> None:
    """Raises `OSError` if nothing answers."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("GET", "/")
        connection.getresponse().read()
    finally:
        connection.close()


def _started(python: Path, leases: Path) -> int:
    shutil.rmtree(STATE / "run", ignore_errors=True)
    (STATE / "run").mkdir()
    # What is compiled now need not be for the next server.
    environ = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    with (STATE / "log").open("w") as log:
        process = subprocess.Popen(
            [python, HERE / "serve.py", STATE / "run", leases],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=environ,
            start_new_session=True,
        )
    (STATE / "pid").write_text(str(process.pid))
    port_file, until = STATE / "run" / "port", time.monotonic() + START_SECONDS
    while not port_file.exists():
        if process.poll() is not None or time.monotonic() > until:
            process.kill()
            tail = (STATE / "log").read_text()[-2000:]
            raise RuntimeError(f"Neutron did not start:\n{tail}")
        time.sleep(0.1)
    port = int(port_file.read_text())
    answers(port)
    return port


def _stop() -> None:
    process = _process()
    if process is not None:
        os.kill(process, signal.SIGTERM)
        until = time.monotonic() + STOP_SECONDS
        while _process() is not None and time.monotonic() < until:
            _reap(process)
            time.sleep(0.05)
        if _process() is not None:
            os.kill(process, signal.SIGKILL)
    shutil.rmtree(STATE / "run", ignore_errors=True)


def _reap(process: int) -> None:
    """Take the exit code if the server is a child of this process, so that it is gone for good."""
    try:
        os.waitpid(process, os.WNOHANG)
    except ChildProcessError:
        return
