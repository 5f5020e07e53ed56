"""The SSH connection of the person behind `sudo`, `su` and the like, which drop the variable that
names it: a run must not cut off the connection that it was started through."""

from __future__ import annotations

import os
import re
from collections.abc import MutableMapping
from pathlib import Path

_CHANGE_USERS = ("sudo", "doas", "su", "runuser", "run0", "pkexec")
_NAME = "SSH_CONNECTION"


def restore_login(
    environ: MutableMapping[str, str], process: int | None = None, proc: Path = Path("/proc")
) -> None:
    """Set `SSH_CONNECTION` to what it was before the user changed. It stays as it is where it is
    set, where no ancestor of the process (ours by default) changed users, and where none of those
    that did has it, or lets us see it."""
    if environ.get(_NAME):
        return
    number = process if process is not None else os.getppid()
    while number > 1:
        try:
            status = (proc / str(number) / "stat").read_text()
            match = re.fullmatch(r"\d+ \((.*)\) \S (\d+) .*", status.strip(), re.DOTALL)
            if match is None or match[1].startswith("sshd"):
                return
            if match[1] in _CHANGE_USERS and (login := _login_of(proc / str(number))):
                environ[_NAME] = login
                return
        except OSError:
            return
        number = int(match[2])


def _login_of(process: Path) -> str:
    """Of the environment that a process was started with."""
    words = (process / "environ").read_bytes().split(b"\0")
    start = f"{_NAME}=".encode()
    login = next((word for word in words if word.startswith(start)), start)
    return login.removeprefix(start).decode(errors="replace")
