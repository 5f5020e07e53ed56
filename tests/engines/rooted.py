"""A newer Docker engine than this machine's, out of a root of another Debian suite (`tests/roots.py`).

`dockerd` runs in a mount namespace of its own whose root is an overlay over the suite's; the lab's
folder is at the same place inside and outside, so that its socket is reached as always. With chroot
alone `docker import` fails from 26 on: the new root has to be a mount point.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import roots
from tests.engine import lab
from tests.engine.lab import Lab

PACKAGES = (
    "busybox-static",
    "docker-cli",
    "docker.io",
    "iproute2",
    "iptables",
    "mount",
    "nftables",
)
_PIVOT = """set -e
root=$1; folder=$2; shift 2
mount --make-rprivate /
mkdir -p "$folder/root/upper" "$folder/root/work" "$folder/root/merged"
mount -t overlay overlay -o "lowerdir=$root,upperdir=$folder/root/upper,workdir=$folder/root/work" "$folder/root/merged"
cd "$folder/root/merged"
for mounted in proc sys dev; do mount --rbind "/$mounted" "$mounted"; done
mount -t tmpfs tmpfs run
mkdir -p ".$folder" .old
mount --bind "$folder" ".$folder"
pivot_root . .old
umount -l .old
exec dockerd "$@"
"""


class RootedLab(Lab):
    """An engine whose programs come from `root`."""

    def __init__(self, root: Path, *options: str) -> None:
        super().__init__(*options)
        self._root = root

    def program(self) -> tuple[str, ...]:
        """The words that start the daemon."""
        script = ("unshare", "--mount", "sh", "-c", _PIVOT, "dockerd-of-another-suite")
        return (*script, str(self._root), str(self.folder))


def rooted_or_skipped(suite: str, *options: str) -> RootedLab:
    """An engine of a suite, or the test skipped with the reason."""
    if (reason := lab.missing() or roots.unavailable()) is not None:
        pytest.skip(reason)
    return RootedLab(roots.made(suite, PACKAGES), *options)
