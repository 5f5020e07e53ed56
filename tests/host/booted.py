"""A machine that boots: systemd of another Debian suite as the first process of its own namespaces,
on the wire of a packet lab. What is written on its disk outlives a reboot; its rule set does not.

The interface comes up as on any machine, when `network-pre.target` is behind.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self

import pytest

from tests import roots
from tests.host.lab import HOST4, HOST6, Lab

SUITE = "trixie"
PACKAGES = (
    "aardvark-dns", "busybox-static", "crun", "dbus", "docker-cli", "docker.io", "iproute2",
    "iptables", "netavark", "nftables", "openssh-server", "passt", "podman", "python3-minimal",
    "slirp4netns", "sudo", "systemd-sysv", "uidmap",
)  # fmt: skip
READY_SECONDS = 60.0
_NETWORK = f"""[Unit]
DefaultDependencies=no
Wants=network-pre.target network.target
After=network-pre.target
Before=network.target network-online.target shutdown.target
Conflicts=shutdown.target
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/sh -c 'ip link set eth0 up; ip addr add {HOST4}/24 dev eth0; \
ip addr add {HOST6}/64 dev eth0 nodad; ip route add default via 198.51.100.1; \
ip -6 route add default via 2001:db8:2::1'
ExecStop=/sbin/ip link set eth0 down
[Install]
WantedBy=multi-user.target network-online.target
"""
# A controller-less cgroup2 of its own is all that systemd needs here; `unshare` makes its root.
_BOOT = """set -e
mount --make-rprivate /
mount -t cgroup2 cgroup2 "$1/cgroups"
mkdir -p "$1/cgroups/$2"
echo 0 > "$1/cgroups/$2/cgroup.procs"
exec unshare --cgroup sh -c "$3" boot "$1" "$4"
"""
_PIVOT = """set -e
mount -t overlay overlay -o "lowerdir=$2,upperdir=$1/upper,workdir=$1/work" "$1/merged"
cd "$1/merged"
mount -t proc proc proc
mount -t sysfs sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs tmpfs dev
for node in 'null 1 3' 'zero 1 5' 'full 1 7' 'random 1 8' 'urandom 1 9' 'tty 5 0' \
    'net/tun 10 200' 'fuse 10 229'; do
  set -- "$1" "$2" $node; mkdir -p dev/net; mknod -m 666 "dev/$3" c "$4" "$5"
done
mkdir dev/pts dev/shm; mount -t devpts -o newinstance,ptmxmode=666 devpts dev/pts
ln -s pts/ptmx dev/ptmx; ln -s /proc/self/fd dev/fd; mount -t tmpfs tmpfs dev/shm
mount -t tmpfs tmpfs run
mkdir -p var/lib/docker; mount --bind "$1/docker" var/lib/docker
mkdir -p .old; pivot_root . .old; umount -l .old
exec env -i container=lab PATH=/usr/sbin:/usr/bin:/sbin:/bin /sbin/init
"""


class Booted:
    """`with Booted(lab) as machine:` then `machine.boot()`."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.root = roots.made(SUITE, PACKAGES)
        self.folder = Path(tempfile.mkdtemp(prefix="cs-boot-"))
        self.disk = self.folder / "upper"
        for name in ("cgroups", "upper", "work", "merged", "docker"):
            (self.folder / name).mkdir()
        self._process: subprocess.Popen[bytes] | None = None
        self.write("/etc/systemd/system/lab-network.service", _NETWORK)
        self.enable("lab-network.service", "multi-user.target")
        self.write("/etc/docker/daemon.json", '{"exec-opts": ["native.cgroupdriver=cgroupfs"]}\n')
        for unit in ("docker.service", "docker.socket", "containerd.service", "apt-daily.timer"):
            self.mask(unit)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def write(self, path: str, content: str, mode: int = 0o644) -> Path:
        """A file on the disk of the machine, while it is off."""
        file = self.disk / path[1:]
        for folder in reversed(file.relative_to(self.disk).parents):
            if not (place := self.disk / folder).exists():
                place.mkdir()
                if (original := self.root / folder).exists():
                    shutil.copystat(original, place)
        file.write_text(content)
        file.chmod(mode)
        return file

    def enable(self, unit: str, target: str) -> None:
        """As `systemctl enable`, while it is off."""
        self.link(f"/etc/systemd/system/{target}.wants/{unit}", f"/etc/systemd/system/{unit}")

    def mask(self, unit: str) -> None:
        """As `systemctl mask`, while it is off."""
        self.link(f"/etc/systemd/system/{unit}", "/dev/null")

    def unmask(self, unit: str) -> None:
        """The opposite, while it is off."""
        (self.disk / f"etc/systemd/system/{unit}").unlink()

    def link(self, path: str, target: str) -> None:
        """A symbolic link on its disk, while it is off."""
        place = self.write(path, "")
        place.unlink()
        place.symlink_to(target)

    def boot(self) -> None:
        """Switch it on: an empty rule set, the interface down. Back when systemd has begun."""
        self._unplug()
        words = [
            *self.lab.inside, "unshare", "--mount", "--pid", "--uts", "--ipc", "--fork",
            "--kill-child", "sh", "-c", _BOOT, "boot", str(self.folder), self._cgroup, _PIVOT,
            str(self.root),
        ]  # fmt: skip
        with (self.folder / "console").open("ab") as console:
            self._process = subprocess.Popen(
                words, stdin=subprocess.DEVNULL, stdout=console, stderr=console,
                start_new_session=True,
            )  # fmt: skip
        self.wait_for(lambda: self._started())

    def wait_until_it_is_up(self) -> None:
        """Until every job of the boot is done."""
        self.wait_for(
            lambda: (
                self.run("systemctl", "is-system-running", check=False).strip()
                in ("running", "degraded")
            )
        )

    def power_off(self) -> None:
        """Switch it off in order, and wait for the end."""
        assert self._process is not None
        self.run("systemctl", "poweroff", "--no-block", check=False)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(30)
        self._end()

    def run(self, *words: str, check: bool = True) -> str:
        """The output of a command on the machine, by its root."""
        inside = ["nsenter", "-t", str(self._init), "-m", "-p", "-u", "-i", "-n", "-C", "--"]
        environ = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "TERM": "dumb"}
        done = subprocess.run(
            [*inside, *words], capture_output=True, text=True, check=False, env=environ, timeout=60
        )
        assert done.returncode == 0 or not check, (words, done.stdout, done.stderr)
        return done.stdout

    def wait_for(self, condition: Callable[[], object]) -> None:
        """Raises after a minute, with what the console shows."""
        until = time.monotonic() + READY_SECONDS
        while not condition():
            alive = self._process is not None and self._process.poll() is None
            if not alive or time.monotonic() > until:
                raise AssertionError((self.folder / "console").read_text()[-3000:])
            time.sleep(0.02)

    @property
    def _cgroup(self) -> str:
        return f"cs-boot-{self.folder.name}"

    @property
    def _init(self) -> int:
        """The first process of the machine, as this machine numbers it."""
        assert self._process is not None
        pid = self._process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return int(children[0]) if children else 0

    def _started(self) -> bool:
        with contextlib.suppress(OSError, AssertionError):
            return Path(f"/proc/{self._init}/comm").read_text() == "systemd\n" and bool(
                self.run("systemctl", "--version", check=False)
            )
        return False

    def _unplug(self) -> None:
        # The interface first: a machine that is off hears nothing.
        subprocess.run(["ip", "-n", self.lab.host, "link", "set", "eth0", "down"], check=True)
        subprocess.run(["ip", "-n", self.lab.host, "addr", "flush", "dev", "eth0"], check=True)
        subprocess.run([*self.lab.inside, "nft", "flush", "ruleset"], check=True)

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def close(self) -> None:
        """Leave nothing behind."""
        self._end()
        script = (
            f"mount --make-rprivate /; mount -t cgroup2 cgroup2 {self.folder}/cgroups; "
            f"cd {self.folder}/cgroups; find {self._cgroup} -depth -type d -exec rmdir {{}} \\;"
        )
        for _ in range(50):
            subprocess.run(["unshare", "-m", "sh", "-c", script], check=False, capture_output=True)
            listing = subprocess.run(
                ["unshare", "-m", "sh", "-c",
                 f"mount -t cgroup2 cgroup2 {self.folder}/cgroups; ls {self.folder}/cgroups"],
                check=False, capture_output=True, text=True,
            )  # fmt: skip
            if self._cgroup not in listing.stdout:
                break
            time.sleep(0.1)
        shutil.rmtree(self.folder, ignore_errors=True)


def booted_or_skipped(lab: Lab) -> Booted:
    """A machine that is off, or the test skipped with the reason."""
    if (reason := roots.unavailable()) is not None:
        pytest.skip(reason)
    return Booted(lab)
