"""A root of a Debian suite as a machine of its own: mount, process and control group namespaces
that a sleeping process holds, in a network namespace that exists.

A folder is at the same place inside and outside. The control groups are a folder of this machine's
cgroup2, which may be used by root inside and by a user; on a machine whose controllers are with
cgroup v1 they can freeze and kill, and limit nothing.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from pathlib import Path

USER = 1000
"""The plain user of a held root, who is called `user`."""
_SCRIPT = """set -e
root=$1; folder=$2
mount --make-rprivate /
mkdir -p "$folder/root/upper" "$folder/root/work" "$folder/root/merged"
layers="lowerdir=$root,upperdir=$folder/root/upper,workdir=$folder/root/work"
mount -t overlay overlay -o "$layers" "$folder/root/merged"
cd "$folder/root/merged"
mount -t proc proc proc
for mounted in sys dev; do mount --rbind "/$mounted" "$mounted"; done
mount -t tmpfs tmpfs run
mkdir -p ".$folder" .old run/netns
mount --bind "$folder" ".$folder"
pivot_root . .old
umount -l .old
mount --make-rshared /
umount -R -l /sys/fs/cgroup
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mkdir /sys/fs/cgroup/commands
echo 0 > /sys/fs/cgroup/commands/cgroup.procs
mknod "$folder/tun" c 10 200
chmod 666 "$folder/tun"
mount --bind "$folder/tun" /dev/net/tun
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
useradd --uid 1000 --home-dir /home/user --shell /bin/sh user
mkdir -p "$folder/home" /home/user /run/user/1000
mount --bind "$folder/home" /home/user
chown user:user /home/user /run/user/1000
chown user:user /sys/fs/cgroup /sys/fs/cgroup/commands
for name in cgroup.procs cgroup.subtree_control cgroup.threads; do
    chown user:user "/sys/fs/cgroup/$name" "/sys/fs/cgroup/commands/$name"
done
echo ready
exec sleep infinity
"""
_ENTER = 'echo 0 > /sys/fs/cgroup/commands/cgroup.procs; exec "$@"'


class CannotHold(RuntimeError):
    """Such namespaces cannot be made on this machine."""


class Held:
    """The namespaces; `words` makes a command run in them."""

    def __init__(self, root: Path, folder: Path, namespace: str) -> None:
        self.group = control_groups() / f"cs-{folder.name}"
        self.group.mkdir()
        folder.chmod(0o755)
        script = 'echo 0 > "$1/cgroup.procs"; shift; exec unshare --cgroup "$@"'
        spaces = ("--mount", "--pid", "--fork", "--kill-child")
        self._holder = subprocess.Popen(
            [
                "nsenter", f"--net=/run/netns/{namespace}", "--", "sh", "-c", script, "sh",
                str(self.group), *spaces, "sh", "-c", _SCRIPT, "holder", str(root), str(folder),
            ],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
        )  # fmt: skip
        assert self._holder.stdout is not None
        assert self._holder.stderr is not None
        if self._holder.stdout.readline() != b"ready\n":
            reason = self._holder.stderr.read().decode().strip()[-300:]
            self.close()
            raise CannotHold(f"a root cannot be entered here: {reason}")

    def words(self, *words: str, user: bool = False) -> list[str]:
        """The words that run a command inside, as root or as the plain user."""
        spaces = f"/proc/{self._holder.pid}/ns"
        enter = ["nsenter", f"--net={spaces}/net", f"--pid={spaces}/pid_for_children"]
        enter += [
            f"--mount=/proc/{self._first()}/ns/mnt",
            f"--cgroup=/proc/{self._first()}/ns/cgroup",
        ]
        ids = ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--init-groups"] if user else []
        environ = [
            "env", "-i", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            f"HOME={'/home/user' if user else '/root'}",
            f"XDG_RUNTIME_DIR={'/run/user/1000' if user else '/run'}",
        ]  # fmt: skip
        return [*enter, "--", "sh", "-c", _ENTER, "sh", *ids, *environ, *words]

    def _first(self) -> int:
        """The first process inside, by its number outside."""
        path = Path(f"/proc/{self._holder.pid}/task/{self._holder.pid}/children")
        return int(path.read_text().split()[0])

    def network_of(self, pid: str) -> Path:
        """The network namespace of a process inside, by its number there."""
        done = subprocess.run(
            self.words("readlink", f"/proc/{pid}/ns/net"),
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if str((process / "ns" / "net").readlink()) == done.stdout.strip():
                    return process / "ns" / "net"
        raise AssertionError(f"process {pid} is gone")

    def close(self) -> None:
        """End everything inside."""
        if self._holder.poll() is None:
            os.killpg(self._holder.pid, signal.SIGKILL)
        self._holder.communicate()
        until = time.monotonic() + 30
        while self.group.exists():
            for path in sorted(self.group.rglob("*/"), reverse=True):
                with contextlib.suppress(OSError):
                    path.rmdir()
            with contextlib.suppress(OSError):
                self.group.rmdir()
            if time.monotonic() > until:
                raise RuntimeError(f"{self.group} is still in use")
            time.sleep(0.02)


def control_groups() -> Path:
    """Where this machine has cgroup2."""
    for line in Path("/proc/mounts").read_text().splitlines():
        _, place, kind, *_ = line.split()
        if kind == "cgroup2":
            return Path(place)
    raise CannotHold("this machine has no cgroup2")
