"""A real object store for tests: Ceph's gateway in front of one monitor and one OSD that keeps
everything in memory. The packages are Debian's `ceph-mon`, `ceph-osd` and `radosgw`; nothing of
the machine's own configuration of Ceph is read.

Hetzner's and DigitalOcean's object stores are Ceph.
"""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path

import requests

from tests.free_ports import free_port

ACCESS, SECRET = "cloudsync-tests", "not-a-secret-of-anybody"
MISSING = [name for name in ("ceph-mon", "ceph-osd", "radosgw") if shutil.which(name) is None]
_CONF = """
[global]
fsid = {fsid}
mon host = [v2:127.0.0.1:{mon}/0]
mon initial members = a
public network = 127.0.0.0/8
auth cluster required = none
auth service required = none
auth client required = none
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 1
osd pool default pgp num = 1
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
mon allow pool size one = true
mon max pg per osd = 1000
mon data avail crit = 1
run dir = {folder}/run
admin socket = {folder}/run/$name.$pid.asok
log file =
log to file = false
log to stderr = false
err to stderr = true
keyring = {folder}/keyring
ms bind ipv6 = false
ms cluster mode = crc
ms service mode = crc
ms client mode = crc
ms mon cluster mode = crc
ms mon service mode = crc
ms mon client mode = crc
[mon.a]
mon data = {folder}/mon
[osd.0]
osd data = {folder}/osd
osd objectstore = memstore
osd class dir = {classes}
[client.rgw]
rgw data = {folder}/rgw
rgw frontends = beast endpoint=127.0.0.1:{gateway}
rgw thread pool size = 32
rgw enable gc threads = false
rgw enable lc threads = false
rgw run sync thread = false
rgw dynamic resharding = false
"""


@dataclass(slots=True)
class Ceph:
    """The cluster of one test session, below `folder`."""

    folder: Path
    mon: int = field(default_factory=free_port)
    gateway: int = field(default_factory=free_port)
    _processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.gateway}"

    def start(self) -> None:
        """Bring everything up and make the user. Takes about twelve seconds."""
        for name in ("mon", "osd", "run", "rgw"):
            (self.folder / name).mkdir(parents=True)
        (self.folder / "keyring").touch()
        fsid, osd = str(uuid.uuid4()), str(uuid.uuid4())
        # Debian 13's own default is a relative path.
        (classes,) = Path("/usr/lib").glob("*/rados-classes")
        conf = _CONF.format(
            fsid=fsid,
            folder=self.folder,
            mon=self.mon,
            gateway=self.gateway,
            classes=classes,
        )
        (self.folder / "ceph.conf").write_text(conf)
        address, monmap = f"[v2:127.0.0.1:{self.mon}/0]", str(self.folder / "monmap")
        self._run("monmaptool", "--create", "--fsid", fsid, "--addv", "a", address, monmap)
        self._run("ceph-mon", "-i", "a", "--mkfs", "--monmap", monmap)
        self._begin("mon", "ceph-mon", "-i", "a", "-f")
        self._run("ceph", "--connect-timeout", "30", "osd", "new", osd)
        self._run("ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", osd, "--no-mon-config")
        self._begin("osd", "ceph-osd", "-i", "0", "-f")
        self.start_gateway()
        keys = ("--access-key", ACCESS, "--secret-key", SECRET)
        self._run(
            *("radosgw-admin", "-n", "client.rgw", "user", "create", "--uid", "tests"),
            *("--display-name", "tests", *keys),
        )

    def add_user(self, name: str, secret: str) -> None:
        """A user who owns nothing."""
        self._run(
            *("radosgw-admin", "-n", "client.rgw", "user", "create", "--uid", name),
            *("--display-name", name, "--access-key", name, "--secret-key", secret),
        )

    def start_gateway(self) -> None:
        """Start the gateway, and wait until it answers."""
        self._begin("gateway", "radosgw", "-n", "client.rgw", "-f")
        until = time.monotonic() + 90
        while time.monotonic() < until:
            with contextlib.suppress(requests.RequestException):
                requests.get(self.endpoint, timeout=5)
                return
            time.sleep(0.2)
        raise AssertionError(f"the gateway does not answer: {self._log('gateway').read_text()}")

    def kill_gateway(self) -> None:
        """As a power cut would."""
        process = self._processes.pop("gateway")
        process.kill()
        process.wait()

    def stop(self) -> None:
        """End every process of it."""
        for process in self._processes.values():
            process.kill()
        for process in self._processes.values():
            process.wait()
        self._processes.clear()

    def _log(self, name: str) -> Path:
        return self.folder / f"{name}.log"

    def _begin(self, name: str, *words: str) -> None:
        with self._log(name).open("wb") as log:
            self._processes[name] = subprocess.Popen(
                [words[0], "-c", str(self.folder / "ceph.conf"), *words[1:]],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def _run(self, *words: str) -> None:
        conf = [] if words[0] == "monmaptool" else ["-c", str(self.folder / "ceph.conf")]
        done = subprocess.run(
            [words[0], *conf, *words[1:]], capture_output=True, check=False, timeout=90
        )
        assert done.returncode == 0, (words, done.stderr.decode())
