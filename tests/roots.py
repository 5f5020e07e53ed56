"""Root file systems of Debian suites, made by mmdebstrap from the mirror that this machine's own
apt uses, and kept outside the checkout between runs.

A root is made once per suite, list of packages and month. What runs in one sees a throw-away copy
(an overlay) in mount and process namespaces of its own; nothing of it outlives the run.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).parents[1]
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "cloudsync-tests"
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
_SETTINGS = ("PIP_", "SSL_", "REQUESTS_", "CURL_", "NODE_EXTRA", "npm_config_", "GIT_SSL")
"""How this machine reaches the package registries: handed on to what runs in a root."""


def unavailable() -> str | None:
    """Why no root can be made here; None if one can."""
    if os.geteuid() != 0:
        return "needs root"
    lacking = [name for name in ("mmdebstrap", "unshare") if shutil.which(name) is None]
    return f"needs {' and '.join(lacking)}" if lacking else None


def mirror() -> str:
    """The address of the Debian archive in this machine's apt sources."""
    files = [Path("/etc/apt/sources.list"), *Path("/etc/apt/sources.list.d").glob("*")]
    content = "\n".join(path.read_text() for path in files if path.is_file())
    addresses = re.findall(r"^(?:URIs:|deb\s+(?:\[[^\]]*\]\s+)?)\s*(\S+)", content, re.MULTILINE)
    return next(address for address in addresses if address.rstrip("/").endswith("/debian"))


UBUNTU = {"jammy": "22.04", "noble": "24.04", "resolute": "26.04"}
_UBUNTU_KEYRING = "/usr/share/keyrings/ubuntu-archive-keyring.gpg"


def sources(suite: str) -> list[str]:
    """The lines of apt's sources for a suite of Debian or Ubuntu, where a machine has the updates
    too: Python 3.11 for 22.04 is among them."""
    if suite not in UBUNTU:
        return [f"deb [signed-by={KEYRING} check-valid-until=no] {mirror()} {suite} main"]
    # Debian 12 does not package Ubuntu's keys. What runs in such a root is thrown away.
    signed = f"signed-by={_UBUNTU_KEYRING}" if Path(_UBUNTU_KEYRING).exists() else "trusted=yes"
    return [
        f"deb [{signed}] http://archive.ubuntu.com/ubuntu {pocket} main universe"
        for pocket in (suite, f"{suite}-updates", f"{suite}-security")
    ]


def made(suite: str, packages: Sequence[str], variant: str = "minbase") -> Path:
    """The directory of a root of `suite` with `packages` (`NAME`, or `NAME/SUITE` for one of
    another suite); made if it is not in the cache, where it takes the place of earlier months'
    roots.

    `variant="extract"`: only the files of the packages, with nothing set up. Raises
    `CalledProcessError` with mmdebstrap's or apt's own words in `stderr`.
    """
    key = hashlib.sha256(" ".join((variant, *sorted(packages))).encode()).hexdigest()[:8]
    month = datetime.now(UTC).strftime("%Y%m")
    folder = CACHE / "roots" / f"{suite}-{month}-{key}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / f"{suite}-{key}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            _make(suite, packages, variant, folder)
            for earlier in folder.parent.glob(f"{suite}-*-{key}"):
                if earlier != folder:
                    shutil.rmtree(earlier, ignore_errors=True)
    return folder


def _make(suite: str, packages: Sequence[str], variant: str, folder: Path) -> None:
    unfinished = folder.with_name(f"{folder.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    others = sorted({package.partition("/")[2] for package in packages} - {"", suite})
    lines = [line for name in (suite, *others) for line in sources(name)]
    if variant == "minbase" and packages:
        # Four fifths of the work are the same for every list of packages.
        subprocess.run(["cp", "-a", made(suite, ()), unfinished], check=True)
        _install(packages, lines, unfinished)
    else:
        _bootstrap(suite, packages, variant, lines, unfinished)
    unfinished.rename(folder)


def _bootstrap(
    suite: str, packages: Sequence[str], variant: str, lines: Sequence[str], root: Path
) -> None:
    include = [f"--include={','.join(packages)}"] if packages else []
    subprocess.run(
        [
            "mmdebstrap", "--mode=root", f"--variant={variant}", "--quiet",
            "--aptopt=APT::Install-Recommends \"false\"",
            "--dpkgopt=force-unsafe-io", *include, suite, str(root), *lines,
        ],
        check=True, timeout=600, stdin=subprocess.DEVNULL, capture_output=True,
    )  # fmt: skip
    for path in ("/etc/ssl/certs/ca-certificates.crt", "/etc/resolv.conf", "/etc/hosts"):
        if Path(path).exists():
            (root / path[1:]).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, root / path[1:])
    # Told of this itself, mmdebstrap starts a program of its own for each package that it unpacks.
    excluded = "".join(f"path-exclude=/usr/share/{name}/*\n" for name in ("doc", "man"))
    (root / "etc/dpkg/dpkg.cfg.d/small").write_text(excluded)


_INSTALL = """set -e
mount --make-rprivate /
cd "$ROOT"
mount -t proc proc proc
mount --rbind /dev dev
printf '#!/bin/sh\nexit 101\n' >usr/sbin/policy-rc.d
chmod 755 usr/sbin/policy-rc.d
chroot . apt-get update -qq
chroot . apt-get install -qq --yes $PACKAGES
chroot . apt-get clean
rm -rf usr/sbin/policy-rc.d var/lib/apt/lists
"""
"""Nothing is started: there is no init."""


def _install(packages: Sequence[str], lines: Sequence[str], root: Path) -> None:
    """What apt does in a root, with no process left and nothing mounted there."""
    (root / "etc/apt/sources.list").write_text("".join(f"{line}\n" for line in lines))
    certificates = root / "etc/ssl/certs/ca-certificates.crt"
    given = certificates.read_bytes() if certificates.exists() else None
    subprocess.run(
        ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", _INSTALL],
        env={
            **environment("root"),
            "DEBIAN_FRONTEND": "noninteractive",
            "PACKAGES": " ".join(packages),
            "ROOT": str(root),
        },
        check=True, timeout=600, stdin=subprocess.DEVNULL, capture_output=True,
    )  # fmt: skip
    if given is not None:
        # The package that holds them wrote its own over it.
        certificates.write_bytes(given)


def checkout(place: Path) -> Path:
    """A bare clone of this checkout, as a machine clones it from its forge; gives `place`."""
    place.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(
        ["git", "clone", "--quiet", "--bare", "--no-hardlinks", str(ROOT), str(place)],
        check=True,
        env={
            **os.environ,
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": "safe.directory",
            "GIT_CONFIG_VALUE_0": "*",
        },
        timeout=300,
    )
    return place


def environment(user: str) -> dict[str, str]:
    """What `user` of a root finds set: a login's variables, and how the package registries are
    reached."""
    given = {name: value for name, value in os.environ.items() if name.startswith(_SETTINGS)}
    return {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": "/root" if user == "root" else f"/home/{user}",
        "USER": user,
        "LANG": "C.UTF-8",
        "TERM": "dumb",
        **given,
    }


@dataclass(frozen=True)
class Copy:
    """A throw-away copy of a root."""

    folder: Path
    """Where it is laid: `lower` is the root, `upper` what was changed."""
    root: Path

    def run(
        self,
        script: str,
        *,
        user: str = "root",
        timeout: float = 300,
        environ: Mapping[str, str] | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run a shell script in the copy as `user`; output and errors together in `stdout`."""
        variables = {**environment(user), **(environ or {})}
        outer = f"""set -e
mount --make-rprivate /
mkdir -p {self.folder}/upper {self.folder}/work {self.folder}/merged
cd {self.folder}
mount -t overlay overlay -o lowerdir={self.root},upperdir=upper,workdir=work merged
cd merged
mount -t proc proc proc
mount --rbind /dev dev
mount -t tmpfs tmpfs tmp
exec chroot . setpriv --reuid={user} --regid={user} --init-groups sh -c "$SCRIPT"
"""
        return subprocess.run(
            ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", outer],
            env={**variables, "SCRIPT": script},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            timeout=timeout,
            check=False,
        )


@contextmanager
def copied(root: Path, folder: Path) -> Iterator[Copy]:
    """A copy of `root` below `folder`, taken away in the end."""
    try:
        yield Copy(folder, root)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
