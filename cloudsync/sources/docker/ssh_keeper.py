"""Keeps one ssh running for exactly as long as the process that started this one lives.

A program of its own, with the standard library only: `python ssh_keeper.py FOLDER PROGRAM
ARGUMENTS…`. Its standard input is a pipe whose other end only cloudsync holds, so it ends however
cloudsync ends, also by SIGKILL. Then ssh is ended and FOLDER, where the forwarded socket lies, is
removed.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading

_GRACE_SECONDS = 2.0


def main(folder: str, command: list[str]) -> int:
    """Run `command` until it ends or standard input does; its exit status."""
    try:
        child = subprocess.Popen(  # noqa: S603 - the user's own ssh, no shell
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, close_fds=True
        )
        signal.signal(signal.SIGTERM, lambda *_: child.terminate())
        threading.Thread(target=_end_with_input, args=(child,), daemon=True).start()
        return child.wait()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _end_with_input(child: subprocess.Popen[bytes]) -> None:
    while os.read(0, 4096):
        pass
    child.terminate()
    try:
        child.wait(_GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        child.kill()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
