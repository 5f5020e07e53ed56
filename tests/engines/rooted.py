"""Docker engines out of the roots of other Debian suites (`tests/roots.py`).

`dockerd` runs in a mount namespace of its own whose root is an overlay over the suite's; the folder
for temporary files is the same inside and outside, so that sockets and certificates are found. With
chroot alone `docker import` fails from 26 on: the new root has to be a mount point.
"""

from __future__ import annotations

from pathlib import Path

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
root=$1; folder=$2; legacy=$3; shift 3
mount --make-rprivate /
mkdir -p "$folder/root/upper" "$folder/root/work" "$folder/root/merged"
layers="lowerdir=$root,upperdir=$folder/root/upper,workdir=$folder/root/work"
mount -t overlay overlay -o "$layers" "$folder/root/merged"
cd "$folder/root/merged"
for mounted in proc sys dev; do mount --rbind "/$mounted" "$mounted"; done
mount -t tmpfs tmpfs run
mkdir -p ".${folder%/*}" .old
mount --bind "${folder%/*}" ".${folder%/*}"
pivot_root . .old
umount -l .old
if [ "$legacy" = yes ]; then
    for name in iptables ip6tables; do ln -sf "/usr/sbin/$name-legacy" "/usr/local/sbin/$name"; done
fi
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
exec dockerd "$@"
"""


class RootedLab(Lab):
    """An engine whose programs come from `root`. `legacy`: its rules go into the kernel's old
    iptables instead of nftables."""

    def __init__(
        self, root: Path, *options: str, legacy: bool = False, namespace: str | None = None
    ) -> None:
        super().__init__(*options, namespace=namespace)
        self._root, self._legacy = root, legacy

    def program(self) -> tuple[str, ...]:
        """The words that start the daemon."""
        script = ("unshare", "--mount", "sh", "-c", _PIVOT, "dockerd-of-another-suite")
        return (*script, str(self._root), str(self.folder), "yes" if self._legacy else "no")

    def another(self) -> Lab:
        """A second engine of the same kind."""
        return RootedLab(self._root, *self.options, legacy=self._legacy)
