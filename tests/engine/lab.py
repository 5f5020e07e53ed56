"""A real Docker engine of our own, in a network namespace of its own, and an image made of one
static busybox.

`Lab` starts `dockerd` (root, Debian's docker.io) with its own data, socket and pid file, and takes
all of it down again: containers, daemon, mounts, namespace, folder. `nsenter --net` and not `ip
netns exec`: the latter remounts /sys, where dockerd then misses its cgroups.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Self

import pytest

from tests.engines import remains

NEEDED = ("dockerd", "docker", "ip", "nsenter", "iptables", "busybox")
READY_SECONDS = 30.0


def missing() -> str | None:
    """Why no engine can be started here; None where one can."""
    if os.geteuid() != 0:
        return "needs root to start a Docker engine"
    lacking = [name for name in NEEDED if shutil.which(name) is None]
    if lacking:
        return f"needs {', '.join(lacking)} to start a Docker engine"
    if not any("/sys/fs/cgroup" in line for line in Path("/proc/mounts").read_text().splitlines()):
        return "needs control groups to start a Docker engine: nothing is mounted at /sys/fs/cgroup"
    return None


class Lab:
    """`with Lab() as lab:` a running engine at `lab.socket`; `stop` and `start` it; `run`
    containers; `docker(...)` is the command. `options`: more for dockerd. `namespace`: an existing
    network namespace for it, by name; None for one of its own. `inside`: the words that make a
    command run in it."""

    _count = itertools.count()

    def __init__(self, *options: str, namespace: str | None = None) -> None:
        self.options = options
        self.folder = Path(tempfile.mkdtemp(prefix="cloudsync-lab-"))
        self.socket = self.folder / "docker.sock"
        self._owns_namespace = namespace is None
        self.namespace = namespace or f"cs-{os.getpid()}-{next(Lab._count)}"
        self.inside = ("nsenter", f"--net=/run/netns/{self.namespace}", "--")
        remains.register(self.folder, *([self.namespace] if self._owns_namespace else []))
        self._daemon: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        try:
            if self._owns_namespace:
                _run("ip", "netns", "add", self.namespace)
                _run("ip", "-n", self.namespace, "link", "set", "lo", "up")
            self.start()
            self.image("bb:1")
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self) -> None:
        """Start the daemon, unless it runs; back when it answers."""
        if self._daemon is not None:
            return
        with (self.folder / "log").open("ab") as log:
            self._daemon = subprocess.Popen(
                self.command(), stdout=log, stderr=log, start_new_session=True
            )
        until = time.monotonic() + READY_SECONDS
        while self._docker("version").returncode != 0:
            if self._daemon.poll() is not None or time.monotonic() > until:
                raise RuntimeError(
                    "dockerd did not start: " + (self.folder / "log").read_text()[-2000:]
                )
            time.sleep(0.05)

    def command(self) -> list[str]:
        """The words that run the daemon on its machine."""
        return [*self.inside, *self.program(), *self.arguments(self.folder)]

    def arguments(self, place: Path) -> list[str]:
        """The daemon's options; what it keeps lies in `place`."""
        return [
            *self.options,
            *("--data-root", str(place / "data"), "--exec-root", str(place / "exec")),
            *("-H", f"unix://{self.socket}", "-p", str(place / "docker.pid")),
            *("--storage-driver", "overlay2"),
        ]

    def program(self) -> tuple[str, ...]:
        """The words that start the daemon, before its options."""
        return ("dockerd",)

    def stop(self) -> None:
        """Stop the daemon and with it every container."""
        daemon, self._daemon = self._daemon, None
        if daemon is None:
            return
        daemon.terminate()
        try:
            daemon.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(daemon.pid, signal.SIGKILL)
            daemon.wait()

    def kill(self) -> None:
        """The daemon and everything it started die at once, as when the machine loses power. What a
        daemon that was killed leaves behind (docker-proxy, containerd-shim, containers) keeps ports
        and tasks from the next one, which does not recover from that."""
        daemon, self._daemon = self._daemon, None
        if daemon is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(daemon.pid, signal.SIGKILL)
            daemon.wait()
            self._kill_left_over()
            for left in ("docker.pid", "exec/containerd/containerd.pid"):
                # A number in it that is taken again, or a zombie's, looks like a daemon that runs.
                (self.folder / left).unlink(missing_ok=True)

    def _kill_left_over(self) -> None:
        until = time.monotonic() + 30
        while left := processes_of(self.folder, Path("/run/netns", self.namespace)):
            for pid in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            if time.monotonic() > until:
                raise RuntimeError(f"processes of the engine do not end: {left}")
            time.sleep(0.05)

    def docker(self, *words: str) -> str:
        """`docker …` on this engine; its output. `docker kill CONTAINER` and `docker stop …` are
        back when the engine's list says that it ended, too: the command itself is sooner, and a
        list read in between still says "running". Raises `CalledProcessError`."""
        done = self._docker(*words)
        if done.returncode != 0:
            raise subprocess.CalledProcessError(done.returncode, words, done.stdout, done.stderr)
        if words[0] in {"kill", "stop"}:
            self._await_listed_as_ended(words[-1])
        return done.stdout.strip()

    def _await_listed_as_ended(self, container: str) -> None:
        running = ("ps", "--quiet", "--filter", f"name=^/{container}$")
        until = time.monotonic() + READY_SECONDS
        while self.docker(*running):
            if time.monotonic() > until:
                raise RuntimeError(f"{container} does not end")
            time.sleep(0.02)

    cli = docker

    def another(self) -> Lab:
        """A second engine of the same kind."""
        return type(self)(*self.options)

    def network_of(self, container: str) -> Path:
        """The network namespace of a running container."""
        return Path("/proc", self.docker("inspect", "-f", "{{.State.Pid}}", container), "ns/net")

    def version(self) -> str:
        """Of the engine."""
        return self.docker("version", "-f", "{{.Server.Version}}").partition("+")[0]

    def run(
        self, name: str, *options: str, image: str = "bb:1", command: tuple[str, ...] = ()
    ) -> str:
        """A container in the background that ends at once when it is told to; its id."""
        return self.docker(
            "run",
            "-d",
            "--init=false",
            "--stop-signal",
            "KILL",
            "--name",
            name,
            *options,
            image,
            *command,
        )

    def image(self, tag: str, **labels: str) -> None:
        """An image of one busybox that sleeps, with these labels."""
        root = self.folder / "image"
        if not root.exists():
            (root / "bin").mkdir(parents=True)
            shutil.copy(shutil.which("busybox") or "/bin/busybox", root / "bin" / "busybox")
            for name in ("sh", "sleep", "true"):
                (root / "bin" / name).symlink_to("busybox")
        archive = self.folder / "image.tar"
        _run("tar", "-C", str(root), "-cf", str(archive), ".")
        changes = [f'LABEL {key}="{value}"' for key, value in labels.items()]
        words = [
            word for change in ('CMD ["sleep", "100000"]', *changes) for word in ("-c", change)
        ]
        self.docker("import", *words, str(archive), tag)

    def remove_containers(self) -> None:
        """All of them, by force."""
        if names := self.docker("ps", "-aq").split():
            self.docker("rm", "-f", *names)

    def close(self) -> None:
        """Leave nothing behind."""
        if self._daemon is not None and self._daemon.poll() is None:
            with contextlib.suppress(subprocess.CalledProcessError):
                self.remove_containers()
        self.stop()
        for line in reversed(Path("/proc/self/mounts").read_text().splitlines()):
            if (place := line.split()[1]).startswith(str(self.folder)):
                subprocess.run(["umount", "-l", place], check=False, capture_output=True)
        if self._owns_namespace:
            subprocess.run(["ip", "netns", "del", self.namespace], check=False, capture_output=True)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _docker(self, *words: str) -> subprocess.CompletedProcess[str]:
        environment = {
            **os.environ,
            "DOCKER_HOST": f"unix://{self.socket}",
            "DOCKER_CONFIG": str(self.folder / "config"),
        }
        environment.pop("DOCKER_CONTEXT", None)
        return subprocess.run(
            ["docker", *words],
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )


def processes_of(folder: Path, network: Path) -> set[int]:
    """The processes of an engine: those that work in its folder, its docker-proxies in its network,
    and their children. Zombies do not count."""
    place = network.stat().st_ino
    parents: dict[int, int] = {}
    known: set[int] = set()
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, ValueError):
            state, parent = (process / "stat").read_text().rpartition(")")[2].split()[:2]
            if state == "Z":
                continue
            pid = int(process.name)
            parents[pid] = int(parent)
            words = (process / "cmdline").read_bytes()
            proxies = b"docker-proxy" in words and (process / "ns" / "net").stat().st_ino == place
            if proxies or (b"containerd" in words and bytes(folder) in words):
                known.add(pid)
    while children := {pid for pid, parent in parents.items() if parent in known} - known:
        known |= children
    return known


def _run(*words: str) -> None:
    subprocess.run(words, check=True, capture_output=True)


def started_or_skipped(*options: str) -> Lab:
    """A lab, or the test skipped with the reason. `options`: for dockerd."""
    if (reason := missing()) is not None:
        pytest.skip(reason)
    return Lab(*options)
