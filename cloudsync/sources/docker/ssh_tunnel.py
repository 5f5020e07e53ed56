"""An engine on another machine, through the user's own ssh: a socket in a private folder that ssh
forwards to the engine's.

Everything of the user's ssh counts: its configuration, keys, agent, jump hosts and known hosts.
Nothing is ever asked (BatchMode), and an existing ControlMaster is left alone: a forwarding handed
to it would outlive us.
"""

from __future__ import annotations

import contextlib
import math
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import IO, Self

from cloudsync.sources.docker.client import EngineError
from cloudsync.sources.docker.endpoint import SshRoute

_POLL_SECONDS = 0.02
_MAX_SAID = 16 * 1024
_KEEPER = Path(__file__).with_name("ssh_keeper.py")
_OPTIONS = (
    "BatchMode=yes",
    # The user's own forwardings may be taken by another ssh; ours lies in a fresh folder.
    "ExitOnForwardFailure=no",
    "StreamLocalBindUnlink=yes",
    "StreamLocalBindMask=0177",
    "ControlMaster=no",
    "ControlPath=none",
    "PermitLocalCommand=no",
    "LogLevel=INFO",
)

_NOT_OPENED = (
    "the engine's socket {socket} cannot be opened on {to}: does it exist, may {user} use it (group"
    " docker), and does its sshd allow forwarding to sockets (AllowStreamLocalForwarding)?"
)
# What ssh says, the reason for people, and whether trying again may fix it. The first that fits;
# `{to}` is the far end.
_WHYS = (
    (
        "host identification has changed",
        "the host key of {to} is not the known one: if that is right, fix known_hosts",
        False,
    ),
    (
        "host key verification failed",
        "the host key of {to} is not known: connect once by hand ({command}) and check it",
        False,
    ),
    (
        "administratively prohibited",
        "the sshd of {to} does not allow forwarding to a socket (AllowStreamLocalForwarding)",
        False,
    ),
    ("open failed", _NOT_OPENED, True),
    ("too many authentication failures", "{to} lets none of our keys in", False),
    (
        "permission denied",
        (
            "{to} does not let us in: it accepts none of the keys that ssh has, and no password is"
            " ever asked for"
        ),
        False,
    ),
    ("temporary failure in name resolution", "the name {host} cannot be resolved for now", True),
    ("could not resolve hostname", "the name {host} does not exist", False),
    ("bad configuration option", "the configuration of ssh is not understood by it", False),
    (
        "bad owner or permissions",
        "ssh does not accept the owner or the permissions of its configuration",
        False,
    ),
    ("connection refused", "{to} refuses ssh connections: is its sshd running?", True),
    ("no route to host", "there is no route to {to}", True),
    ("network is unreachable", "the network of {to} cannot be reached", True),
    ("timed out", "{to} does not answer to ssh", True),
)


class Tunnel:
    """`with Tunnel(route, deadline) as tunnel:` an engine at `tunnel.url`. `deadline`: a
    `time.monotonic()` moment.

    Raises `EngineError`.
    """

    def __init__(self, route: SshRoute, deadline: float) -> None:
        self._route, self._deadline = route, deadline
        self._said: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed in __exit__
        self._keeper: subprocess.Popen[bytes] | None = None
        self._folder: Path | None = None
        self.url = ""

    def __enter__(self) -> Self:
        ssh = shutil.which("ssh")
        if ssh is None:
            self._said.close()
            raise EngineError("the program ssh is not installed", temporary=False)
        try:
            self._start(ssh)
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End ssh and remove the socket; back when both are gone."""
        keeper, self._keeper = self._keeper, None
        if keeper is not None:
            if keeper.stdin is not None:
                with contextlib.suppress(OSError):
                    keeper.stdin.close()
            with contextlib.suppress(subprocess.TimeoutExpired):
                keeper.wait(5)
            if keeper.poll() is None:
                keeper.kill()
                keeper.wait()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
        self._said.close()

    def why(self) -> EngineError | None:
        """What ssh has to say about a connection that failed; None where it says nothing that is
        known."""
        output = self._heard().lower()
        route = self._route
        names = {
            "to": str(route),
            "host": route.host,
            "socket": route.socket,
            "user": route.user or "the user",
            "command": route.command,
        }
        for words, reason, temporary in _WHYS:
            if words in output:
                return EngineError(reason.format(**names), temporary=temporary)
        return None

    def _start(self, ssh: str) -> None:
        folder = tempfile.gettempdir()
        # The path of a socket may have 107 characters.
        short = folder if len(folder) < 60 else "/tmp"  # noqa: S108
        self._folder = Path(tempfile.mkdtemp(prefix="cloudsync-", dir=short))
        path = self._folder / "engine.sock"
        words = [ssh, "-N", "-T", "-a", "-x", "-L", f"{path}:{self._route.socket}"]
        options = [*_OPTIONS, f"ConnectTimeout={max(1, math.ceil(self._left()))}"]
        words += [word for option in options for word in ("-o", option)]
        words += ["-l", self._route.user] if self._route.user else []
        words += ["-p", str(self._route.port)] if self._route.port else []
        keeper = [
            sys.executable,
            "-I",
            "-S",
            str(_KEEPER),
            str(self._folder),
            *words,
            "--",
            self._route.host,
        ]
        self._keeper = subprocess.Popen(  # noqa: S603 - no shell; the words are checked by the configuration
            keeper,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=self._said,
            start_new_session=True,
        )
        while not _listens(path):
            if self._keeper.poll() is not None:
                raise self.why() or EngineError(f"ssh to {self._route} ended: {self._last_line()}")
            self._left()
            time.sleep(_POLL_SECONDS)
        self.url = f"unix://{path}"

    def _left(self) -> float:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise self.why() or EngineError(
                f"{self._route} did not let us in by ssh within host_timeout"
            )
        return left

    def _heard(self) -> str:
        if self._said.closed:
            return ""
        size = self._said.seek(0, 2)
        self._said.seek(max(0, size - _MAX_SAID))
        return self._said.read().decode(errors="replace")

    def _last_line(self) -> str:
        lines = [line.strip() for line in self._heard().splitlines() if line.strip()]
        return lines[-1][:200] if lines else "it did not say why"


def _listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            return False
        return True
