"""A machine that has next to nothing, for a run of hours: the root of a Debian suite on the disk of
this one (engines' storage cannot lie on an overlay), with processes, mounts, a name and a network
of its own. The network reaches the package mirrors through slirp4netns, and nothing on this
machine."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests import roots

_BOOT = """set -e
mount --make-rprivate /
mount --bind "$MACHINE" "$MACHINE"
cd "$MACHINE"
mount -t proc proc proc
mount -t sysfs sysfs sys
mount --rbind /sys/fs/cgroup sys/fs/cgroup
mount --rbind /dev dev
mount -t tmpfs tmpfs dev/shm
mount -t tmpfs tmpfs run
mkdir -p run/lock .old
hostname fresh
ip link set lo up
pivot_root . .old
umount -l .old
rmdir .old
touch /run/booted
until grep -q "^tap0" /proc/net/route; do sleep 0.1; done
# No exec: process 1 has to reap whom nobody else waits for.
setpriv --reuid="$USER" --regid="$USER" --init-groups sh -c "$SCRIPT"
exit $?
"""
_NO_SERVICES = (
    "#!/bin/sh\n# Nothing is started when a package is installed: there is no init.\nexit 101\n"
)


def unavailable() -> str | None:
    """Why there can be no such machine here; None if there can."""
    if (why := roots.unavailable()) is not None:
        return why
    return None if shutil.which("slirp4netns") else "needs slirp4netns"


@dataclass(frozen=True)
class Machine:
    """A machine that is switched off between two scripts; its disk stays."""

    root: Path

    def run(
        self,
        script: str,
        log: Path,
        *,
        user: str = "root",
        environ: Mapping[str, str] | None = None,
    ) -> int:
        """Run a shell script as `user`, with all it prints at the end of `log`; its exit code."""
        variables = {
            **roots.environment(user),
            **(environ or {}),
            "MACHINE": str(self.root),
            "SCRIPT": script,
        }
        spaces = ("--mount", "--pid", "--net", "--uts", "--ipc", "--fork", "--kill-child")
        with log.open("ab") as output:
            shell = subprocess.Popen(
                ["unshare", *spaces, "sh", "-c", _BOOT],
                env=variables,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
            try:
                with self._network(shell.pid, output.fileno()):
                    return shell.wait()
            finally:
                shell.kill()
                shell.wait()

    @contextlib.contextmanager
    def _network(self, unshare: int, log: int) -> Iterator[None]:
        """The machine whose namespaces `unshare` (a process) made reaches what this one does."""
        children = Path(f"/proc/{unshare}/task/{unshare}/children")
        until = time.monotonic() + 60
        while (
            not (pids := children.read_text().split())
            or not Path(f"/proc/{pids[0]}/root/run/booted").exists()
        ):
            assert time.monotonic() < until, "the machine did not boot"
            time.sleep(0.05)
        words = ("slirp4netns", "--configure", "--disable-host-loopback", "--mtu=1400")
        network = subprocess.Popen(
            [*words, pids[0], "tap0"], stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
        try:
            yield
        finally:
            network.terminate()
            network.wait()


@contextlib.contextmanager
def copied(suite: str, packages: Sequence[str], root: Path) -> Iterator[Machine]:
    """A machine whose disk is `root`, taken away in the end."""
    shutil.rmtree(root, ignore_errors=True)
    root.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(["cp", "-a", str(roots.made(suite, packages)), str(root)], check=True)
    policy = root / "usr" / "sbin" / "policy-rc.d"
    policy.write_text(_NO_SERVICES)
    policy.chmod(0o755)
    with (root / "etc" / "hosts").open("a") as hosts:
        hosts.write("127.0.1.1 fresh\n")
    try:
        yield Machine(root)
    finally:
        subprocess.run(["rm", "-rf", "--one-file-system", str(root)], check=False)
