"""A machine that boots: systemd as process 1 of a Debian root, with Docker as its service and
cloudsync where the documentation puts it. It can be rebooted; what it writes lasts.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Self

from tests import roots
from tests.engines import remains, rooted
from tests.engines.held import control_groups

PACKAGES = (
    *rooted.PACKAGES,
    "dbus",
    "procps",
    "python3",
    "python3-venv",
    "systemd",
    "systemd-sysv",
)
SUITE = "trixie"
CHECKOUT = Path(__file__).parents[2]
BOOT_SECONDS = 90.0
_SOURCES = (
    "cloudsync",
    "constraints.txt",
    "deploy",
    "docs",
    "examples",
    "LICENSE",
    "providers",
    "pyproject.toml",
    "README.md",
)
_BOOT = """set -e
root=$1; folder=$2
mount --make-rprivate /
mkdir -p "$folder/upper" "$folder/work" "$folder/merged" "$folder/docker"
layers="lowerdir=$root,upperdir=$folder/upper,workdir=$folder/work"
mount -t overlay overlay -o "$layers" "$folder/merged"
cd "$folder/merged"
mount -t proc proc proc
mount --rbind /sys sys
umount -R -l sys/fs/cgroup
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs -o mode=755 tmpfs dev
mkdir dev/pts dev/shm dev/net
mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts dev/pts
mount -t tmpfs tmpfs dev/shm
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
for node in "null 1 3" "zero 1 5" "full 1 7" "random 1 8" "urandom 1 9" "tty 5 0" \
    "net/tun 10 200"; do
    set -- $node
    mknod -m 666 "dev/$1" c "$2" "$3"
done
mount -t tmpfs -o mode=755 tmpfs run
mount -t tmpfs tmpfs tmp
mkdir -p var/lib/docker .old
mount --bind "$folder/docker" var/lib/docker
pivot_root . .old
umount -l .old
mount --make-rshared /
exec env -i container=lab PATH=/usr/sbin:/usr/bin:/sbin:/bin /sbin/init
"""
"""In a container systemd leaves the propagation of mounts as it is; what it mounts for a service
(credentials) has to reach the service's own mount namespace."""
_DAEMON = '{"exec-opts": ["native.cgroupdriver=cgroupfs"], "storage-driver": "overlay2"}'


class CannotBoot(RuntimeError):
    """No such machine runs here."""


class Machine:
    """`with Machine() as machine:` booted, with `cloudsync` installed; `run` scripts on it."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="cs-boot-"))
        self.namespace = f"cs-boot-{os.getpid()}"
        remains.register(self.folder, self.namespace)
        self._root = roots.made(SUITE, sorted(set(PACKAGES)))
        self._group = control_groups() / f"cs-{self.folder.name}"
        self._init: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        try:
            subprocess.run(["ip", "netns", "add", self.namespace], check=True)
            subprocess.run(["ip", "-n", self.namespace, "link", "set", "lo", "up"], check=True)
            self._group.mkdir()
            self._install()
            self.boot()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._end()
        until = time.monotonic() + 30
        while self._group.exists() and time.monotonic() < until:
            for path in sorted(self._group.rglob("*/"), reverse=True):
                with contextlib.suppress(OSError):
                    path.rmdir()
            with contextlib.suppress(OSError):
                self._group.rmdir()
            time.sleep(0.05)
        subprocess.run(["ip", "netns", "del", self.namespace], check=False, capture_output=True)
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def network(self) -> Path:
        """Its network namespace."""
        return Path("/run/netns", self.namespace)

    def write(self, path: str, content: str, mode: int = 0o644) -> None:
        """A file of the machine, while it runs or not."""
        self.run(f"mkdir -p {Path(path).parent}; cat > {path}; chmod {mode:o} {path}", content)

    def run(self, script: str, given: str = "", timeout: float = 120.0) -> str:
        """Its output, errors included. Raises `AssertionError` with it where it fails."""
        done = self.tried(script, given, timeout)
        assert done.returncode == 0, f"{script}\n{done.stdout}"
        return done.stdout.strip()

    def tried(
        self, script: str, given: str = "", timeout: float = 120.0
    ) -> subprocess.CompletedProcess[str]:
        """The same, whatever becomes of it."""
        pid = self._first()
        spaces = [f"--{name}=/proc/{pid}/ns/{short}" for name, short in _SPACES.items()]
        environ = ["env", "-i", "PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root"]
        return subprocess.run(
            ["nsenter", *spaces, "--", *environ, "sh", "-c", script],
            input=given, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            timeout=timeout, check=False,
        )  # fmt: skip

    def show(self, unit: str, name: str) -> str:
        """A property of a unit."""
        return self.run(f"systemctl show --value -p {name} {unit}")

    def boot(self) -> None:
        """Start it; back when systemd has started what is enabled."""
        script = 'echo 0 > "$1/cgroup.procs"; shift; exec unshare --cgroup "$@"'
        spaces = ("--mount", "--pid", "--uts", "--ipc", "--fork", "--kill-child")
        with (self.folder / "console").open("ab") as console:
            self._init = subprocess.Popen(
                [
                    "nsenter", f"--net={self.network}", "--", "sh", "-c", script, "sh",
                    str(self._group), *spaces, "sh", "-c", _BOOT, "boot", str(self._root),
                    str(self.folder),
                ],
                stdin=subprocess.DEVNULL, stdout=console, stderr=console, start_new_session=True,
            )  # fmt: skip
        until = time.monotonic() + BOOT_SECONDS
        state = ""
        while state not in ("running", "degraded"):
            if self._init.poll() is not None or time.monotonic() > until:
                console_text = (self.folder / "console").read_text(errors="replace")
                raise CannotBoot(f"systemd came to {state!r}: {console_text[-600:]}")
            time.sleep(0.2)
            with contextlib.suppress(OSError, IndexError, subprocess.TimeoutExpired):
                state = self.tried("systemctl is-system-running", timeout=10).stdout.strip()

    def reboot(self) -> None:
        """`systemctl reboot`, by which the kernel ends all of it, and boot again. Rules and bridges
        do not last."""
        assert self._init is not None
        self.tried("systemctl reboot")
        code = self._init.wait(120)
        assert code in (-signal.SIGHUP, 128 + signal.SIGHUP), f"that was no reboot: {code}"
        enter = ["nsenter", f"--net={self.network}", "--"]
        subprocess.run([*enter, "nft", "flush", "ruleset"], check=True)
        subprocess.run([*enter, "ip", "link", "del", "docker0"], check=False, capture_output=True)
        self.boot()

    def _first(self) -> int:
        assert self._init is not None
        path = Path(f"/proc/{self._init.pid}/task/{self._init.pid}/children")
        return int(path.read_text().split()[0])

    def _end(self) -> None:
        init, self._init = self._init, None
        if init is not None:
            if init.poll() is None:
                os.killpg(init.pid, signal.SIGKILL)
            init.wait()

    def _install(self) -> None:
        """cloudsync at /usr/local/bin, and the shipped units."""
        source = self.folder / "upper" / "opt" / "source"
        source.mkdir(parents=True)
        for name in _SOURCES:
            here = CHECKOUT / name
            if here.is_dir():
                shutil.copytree(here, source / name, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(here, source / name)
        units = self.folder / "upper" / "etc" / "systemd" / "system"
        units.mkdir(parents=True)
        for unit in (CHECKOUT / "deploy" / "systemd").iterdir():
            if unit.is_file():
                shutil.copy(unit, units / unit.name)
        (self.folder / "upper" / "etc" / "docker").mkdir()
        (self.folder / "upper" / "etc" / "docker" / "daemon.json").write_text(_DAEMON)
        done = roots.Copy(self.folder, self._root).run(
            "python3 -m venv /opt/cloudsync && cd /opt/source && /opt/cloudsync/bin/pip install -q"
            " -c constraints.txt '.[hetzner]' && ln -s /opt/cloudsync/bin/cloudsync"
            " /usr/local/bin/",
            timeout=500,
        )
        assert done.returncode == 0, done.stdout


_SPACES = {
    "mount": "mnt", "net": "net", "pid": "pid", "uts": "uts", "ipc": "ipc", "cgroup": "cgroup",
}  # fmt: skip
