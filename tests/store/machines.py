"""Machines for the page "several machines": each a network namespace of its own with nothing in it
but a way to the store, a mount namespace with its own /etc and /run, and maybe a dockerd."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

STORE_PORT = 9000
_count = itertools.count()
_RELAY = """
import socket, sys, threading
def pump(a, b):
    try:
        while data := a.recv(65536):
            b.sendall(data)
    except OSError:
        pass
    finally:
        for end in (a, b):
            try: end.shutdown(socket.SHUT_RDWR)
            except OSError: pass
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
print("listening", flush=True)
while True:
    near, _ = listener.accept()
    far = socket.socket(socket.AF_UNIX)
    far.connect(sys.argv[2])
    for pair in ((near, far), (far, near)):
        threading.Thread(target=pump, args=pair, daemon=True).start()
"""
_INSIDE = """
set -e
mount --make-rprivate /
mount -t overlay overlay -o lowerdir=/etc,upperdir="$MACHINE/etc",workdir="$MACHINE/work" /etc
mount -t tmpfs none /run
if [ -n "$DOCKER_SOCKET" ]; then
  touch /run/docker.sock; mount --bind "$DOCKER_SOCKET" /run/docker.sock
fi
if [ -n "$SHARED" ]; then
  mkdir -p /etc/cloudsync/firewalls; mount --bind "$SHARED" /etc/cloudsync/firewalls
fi
cd /
exec "$@"
"""


@dataclass(slots=True)
class Way:
    """A unix socket that leads to 127.0.0.1:`port` of the test's own namespace."""

    path: Path
    port: int
    _listener: socket.socket | None = None

    def start(self) -> None:
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self.path))
        self._listener.listen(64)
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def stop(self) -> None:
        if self._listener is not None:
            self._listener.close()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                near, _ = listener.accept()
                far = socket.create_connection(("127.0.0.1", self.port))
            except OSError:
                return
            for pair in ((near, far), (far, near)):
                threading.Thread(target=_pump, args=pair, daemon=True).start()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            sink.sendall(data)
    except OSError:
        return
    finally:
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


@dataclass(slots=True)
class Machine:
    """One machine. `namespace`: of a dockerd that runs already, else one of its own."""

    way: Path
    docker_socket: Path | None = None
    namespace: str | None = None
    shared: Path | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    folder: Path = field(
        default_factory=lambda: Path(tempfile.mkdtemp(prefix="cloudsync-machine-"))
    )
    _own: bool = False
    _relay: subprocess.Popen[str] | None = None
    _begun: list[subprocess.Popen[str]] = field(default_factory=list)

    def start(self) -> None:
        for name in ("etc", "work"):
            (self.folder / name).mkdir()
        if self.namespace is None:
            self.namespace, self._own = f"cs-m-{os.getpid()}-{next(_count)}", True
            subprocess.run(["ip", "netns", "add", self.namespace], check=True)
            subprocess.run(["ip", "-n", self.namespace, "link", "set", "lo", "up"], check=True)
        self._relay = subprocess.Popen(
            [*self._net(), sys.executable, "-c", _RELAY, str(STORE_PORT), str(self.way)],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._relay.stdout is not None
        assert self._relay.stdout.readline() == "listening\n"

    def stop(self) -> None:
        for process in [*self._begun, *([self._relay] if self._relay else [])]:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGCONT)
                process.kill()
            process.wait()
            for stream in (process.stdout, process.stderr):
                if stream is not None:
                    stream.close()
        if self._own and self.namespace is not None:
            subprocess.run(["ip", "netns", "del", self.namespace], check=True)
        shutil.rmtree(self.folder, ignore_errors=True)

    def write(self, path: str, text: str) -> None:
        """A file of its /etc."""
        file = self.folder / "etc" / Path(path).relative_to("/etc")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def copy(self, source: Path, path: str) -> None:
        """A private file of its /etc."""
        file = self.folder / "etc" / Path(path).relative_to("/etc")
        file.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, file)
        file.chmod(0o600)

    def shell(self, line: str) -> subprocess.CompletedProcess[str]:
        """A line typed there."""
        return subprocess.run(
            [*self._inside(), "sh", "-ec", line],
            capture_output=True,
            text=True,
            env=self._env(),
            timeout=120,
            check=False,
        )

    def begin(self, line: str) -> subprocess.Popen[str]:
        """A line that goes on, its log in the machine's folder."""
        log = (self.folder / f"log-{len(self._begun)}").open("w")
        process = subprocess.Popen(
            [*self._inside(), "sh", "-ec", f"exec {line}"],
            stdout=log,
            stderr=log,
            text=True,
            env=self._env(),
        )
        log.close()
        self._begun.append(process)
        return process

    def log(self, number: int = 0) -> str:
        """What the nth of them said so far."""
        return (self.folder / f"log-{number}").read_text()

    def _net(self) -> tuple[str, ...]:
        return ("nsenter", f"--net=/run/netns/{self.namespace}", "--")

    def _inside(self) -> tuple[str, ...]:
        return (*self._net(), "unshare", "--mount", "--", "bash", "-c", _INSIDE, "machine")

    def _env(self) -> dict[str, str]:
        bin_ = str(Path(sys.executable).parent)
        return {
            "PATH": f"{bin_}:{os.environ['PATH']}",
            "HOME": "/root",
            "MACHINE": str(self.folder),
            "DOCKER_SOCKET": str(self.docker_socket or ""),
            "SHARED": str(self.shared or ""),
            **self.environment,
        }
