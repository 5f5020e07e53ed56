"""A real sshd on loopback with a host key, a configuration and a port of its own, and the `ssh` of
a user who may enter.

The user is the one who runs the tests (with a key made here); the user's ssh gets its own
configuration through a program `ssh` that comes first in PATH: `cloudsync` must find everything by
that, as by any user's.
"""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Self

from tests.free_ports import free_port

READY_SECONDS = 20.0


def missing() -> str | None:
    """Why no sshd can be started here; None where one can."""
    if os.geteuid() != 0:
        return "needs root to start an sshd that lets somebody in"
    lacking = [name for name in ("ssh", "ssh-keygen") if shutil.which(name) is None]
    lacking += [] if _sshd() else ["sshd"]
    return f"needs {', '.join(lacking)} to enter by ssh" if lacking else None


def _sshd() -> str | None:
    return shutil.which("sshd") or shutil.which("sshd", path="/usr/sbin:/sbin")


class Sshd:
    """`with Sshd() as sshd:` lets `sshd.user` in at `127.0.0.1:sshd.port`; `sshd.path` is a PATH
    whose ssh knows key and host."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="cs-ssh-"))
        self.user = pwd.getpwuid(os.geteuid()).pw_name
        self.port = 0
        self._daemon: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        try:
            for name in ("host", "client", "stranger"):
                subprocess.run(
                    ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self.folder / name)],
                    check=True,
                )
            (self.folder / "authorized").write_text((self.folder / "client.pub").read_text())
            self.start()
            self.known()
            self.configure()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self, *options: str) -> None:
        """Start it on a free port; back when it listens."""
        self.stop()
        Path("/run/sshd").mkdir(exist_ok=True)
        self.port = self.port or free_port()
        words = [
            str(_sshd()),
            "-D",
            "-e",
            "-f",
            "/dev/null",
            "-p",
            str(self.port),
            "-h",
            str(self.folder / "host"),
        ]
        settings = [
            "ListenAddress=127.0.0.1",
            "StrictModes=no",
            "UsePAM=no",
            "PasswordAuthentication=no",
            "PermitRootLogin=yes",
            "KbdInteractiveAuthentication=no",
            f"AuthorizedKeysFile={self.folder}/authorized",
            "PidFile=none",
            *options,
        ]
        words += [word for setting in settings for word in ("-o", setting)]
        with (self.folder / "sshd.log").open("ab") as log:
            self._daemon = subprocess.Popen(
                words, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True
            )
        until = time.monotonic() + READY_SECONDS
        while not _listens(self.port):
            if self._daemon.poll() is not None or time.monotonic() > until:
                raise RuntimeError(
                    "sshd did not start: " + (self.folder / "sshd.log").read_text()[-2000:]
                )
            time.sleep(0.02)

    def stop(self) -> None:
        """End it; the connections it has end with their clients."""
        daemon, self._daemon = self._daemon, None
        if daemon is not None:
            daemon.terminate()
            daemon.wait(30)

    def known(self, key: str = "host") -> None:
        """Put a host key into the user's known hosts; "" for none."""
        line = f"[127.0.0.1]:{self.port} {(self.folder / f'{key}.pub').read_text()}" if key else ""
        (self.folder / "known_hosts").write_text(line)

    def configure(self, key: str = "client", more: str = "") -> None:
        """The user's ssh configuration, with an alias `engine-host`."""
        config = self.folder / "config"
        config.write_text(
            f"Host engine-host\n  HostName 127.0.0.1\n  Port {self.port}\n  User"
            f" {self.user}\n{more}\nHost *\n  IdentityFile {self.folder}/{key}\n  IdentitiesOnly"
            f" yes\n  IdentityAgent none\n  UserKnownHostsFile {self.folder}/known_hosts\n "
            " GlobalKnownHostsFile /dev/null\n"
        )
        program = self.folder / "bin" / "ssh"
        program.parent.mkdir(exist_ok=True)
        program.write_text(
            f"#!/bin/sh\nexec {shutil.which('ssh', path='/usr/bin:/bin:/usr/local/bin')} -F"
            f' {config} "$@"\n'
        )
        program.chmod(0o755)

    @property
    def path(self) -> str:
        return f"{self.folder}/bin:{os.environ['PATH']}"

    def url(self, socket_path: Path | str, host: str | None = None) -> str:
        return f"ssh://{host or f'{self.user}@127.0.0.1:{self.port}'}{socket_path}"

    def close(self) -> None:
        """Leave nothing behind."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
