"""A real Podman with storage, configuration and socket of its own, served by `podman system
service`.

It lives in a private mount namespace, where its own folders lie over /var/lib/containers,
/run/containers, /run/libpod and /etc/containers, and in a network namespace of its own; the
machine's Podman is not touched.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Self

NEEDED = ("podman", "conmon", "netavark", "unshare", "nsenter", "ip", "busybox")
READY_SECONDS = 30.0
_CONFIG = """[engine]
cgroup_manager = "cgroupfs"
runtime = "runc"
events_logger = "file"
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=4096:4096"]
[network]
network_backend = "netavark"
"""
_POLICY = {"default": [{"type": "insecureAcceptAnything"}]}
_FOLDERS = {
    "/var/lib/containers": "lib",
    "/run/containers": "run",
    "/run/libpod": "libpod",
    "/etc/containers": "etc",
}


class CannotRun(RuntimeError):
    """Podman is installed, but cannot run containers on this machine."""


def missing() -> str | None:
    """Why no Podman can be tried here; None where one can."""
    if os.geteuid() != 0:
        return "needs root to give Podman folders of its own"
    path = f"{os.environ['PATH']}:/usr/lib/podman:/usr/libexec/podman"
    lacking = [name for name in NEEDED if shutil.which(name, path=path) is None]
    lacking += [] if shutil.which("runc") or shutil.which("crun") else ["runc"]
    return f"needs {', '.join(lacking)} to start Podman" if lacking else None


class Podman:
    """`with Podman() as podman:` an engine at `podman.socket`. Raises `CannotRun` where it starts
    no container."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="cs-pod-"))
        self.socket = self.folder / "podman.sock"
        self.namespace = f"cs-pod-{os.getpid()}"
        self._holder: subprocess.Popen[bytes] | None = None
        self._service: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        try:
            self._prepare()
            self._serve()
            self._image("bb:1")
            probe = self._run("run", "-d", "--name", "probe", "-p", "8999:80", "bb:1")
            if probe.returncode != 0:
                raise CannotRun(
                    "Podman cannot run a container here: "
                    + probe.stderr.strip().splitlines()[-1][:300]
                )
            self.podman("rm", "-f", "-t", "0", "probe")
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def podman(self, *words: str) -> str:
        """`podman …`; its output. Raises `CalledProcessError`."""
        done = self._run(*words)
        if done.returncode != 0:
            raise subprocess.CalledProcessError(done.returncode, words, done.stdout, done.stderr)
        return done.stdout.strip()

    def run(self, name: str, *options: str, command: tuple[str, ...] = ()) -> str:
        """A container in the background; its id."""
        return self.podman(
            "run", "-d", "--stop-signal", "KILL", "--name", name, *options, "bb:1", *command
        )

    def remove_containers(self) -> None:
        self._run("unpause", "--all")
        self._run("pod", "rm", "-a", "-f", "-t", "0")
        self._run("rm", "-a", "-f", "-t", "0")

    def close(self) -> None:
        """Leave nothing behind."""
        if self._holder is not None and self._holder.poll() is None:
            self.remove_containers()
        for process in (self._service, self._holder):
            if process is not None and process.poll() is None:
                process.terminate()
                try:
                    process.wait(10)
                except subprocess.TimeoutExpired:
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait()
        subprocess.run(["ip", "netns", "del", self.namespace], check=False, capture_output=True)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _prepare(self) -> None:
        """The namespaces, held by a process that only sleeps."""
        subprocess.run(["ip", "netns", "add", self.namespace], check=True, capture_output=True)
        subprocess.run(
            ["ip", "-n", self.namespace, "link", "set", "lo", "up"], check=True, capture_output=True
        )
        mounts = []
        for place, name in _FOLDERS.items():
            (self.folder / name).mkdir()
            Path(place).mkdir(parents=True, exist_ok=True)
            mounts.append(f"mount --bind {self.folder / name} {place}")
        (self.folder / "etc" / "containers.conf").write_text(
            _CONFIG.replace("runc", "runc" if shutil.which("runc") else "crun")
        )
        (self.folder / "etc" / "policy.json").write_text(json.dumps(_POLICY))
        (self.folder / "etc" / "registries.conf").write_text('short-name-mode = "permissive"\n')
        (self.folder / "netns").mkdir()
        script = " && ".join(
            [
                *mounts,
                f"mount --bind {self.folder / 'netns'} /run/netns",
                "echo ready",
                "exec sleep infinity",
            ]
        )
        enter = [
            "nsenter",
            f"--net=/run/netns/{self.namespace}",
            "--",
            "unshare",
            "--mount",
            "--propagation",
            "private",
        ]
        enter += [
            "--pid",
            "--fork",
            "--kill-child",
            "--mount-proc",
        ]  # what Podman leaves running ends with the holder
        self._holder = subprocess.Popen(
            [*enter, "sh", "-c", script],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        if self._holder.stdout is None or self._holder.stdout.readline() != b"ready\n":
            raise CannotRun("the folders of a Podman cannot be mounted here")

    def _serve(self) -> None:
        with (self.folder / "log").open("ab") as log:
            words = self._words("system", "service", "--time", "0", f"unix://{self.socket}")
            self._service = subprocess.Popen(words, stdout=log, stderr=log, start_new_session=True)
        until = time.monotonic() + READY_SECONDS
        while not self.socket.exists():
            if self._service.poll() is not None or time.monotonic() > until:
                raise CannotRun(
                    "podman system service did not start: "
                    + (self.folder / "log").read_text()[-300:]
                )
            time.sleep(0.05)

    def _image(self, tag: str) -> None:
        root = self.folder / "image"
        (root / "bin").mkdir(parents=True)
        shutil.copy(shutil.which("busybox") or "/bin/busybox", root / "bin" / "busybox")
        for name in ("sh", "sleep", "true"):
            (root / "bin" / name).symlink_to("busybox")
        archive = self.folder / "image.tar"
        subprocess.run(["tar", "-C", str(root), "-cf", str(archive), "."], check=True)
        done = self._run("import", "-c", 'CMD ["sleep", "100000"]', str(archive), tag)
        if done.returncode != 0:
            raise CannotRun("Podman cannot import an image here: " + done.stderr.strip()[-300:])

    def _words(self, *words: str) -> list[str]:
        assert self._holder is not None
        spaces = f"/proc/{self._holder.pid}/ns"
        enter = [
            "nsenter",
            f"--mount={spaces}/mnt",
            f"--net={spaces}/net",
            f"--pid={spaces}/pid_for_children",
            "--",
        ]
        return [*enter, "podman", *words]

    def _run(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self._words(*words), capture_output=True, text=True, timeout=60, check=False
        )
