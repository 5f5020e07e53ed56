"""A program in the place of `python3`: what it is asked to run, a process forks that has everything
loaded (`tests/command.py`); all else runs on the real interpreter.

It loads neither the `site` module nor what others of the standard library load in turn (`socket`,
`array`, `typing`): its start is what a test waits for.
"""

from __future__ import annotations

import _socket
import marshal
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import NoReturn


def main(address: str, interpreter: str) -> NoReturn:
    """The words of this process to their end, as `interpreter` would run them; `address`: of the
    process that forks."""
    words = sys.argv[1:]
    if not _is_loaded(words):
        os.execv(interpreter, [interpreter, *words])
    handles = {number: number for number in _inherited()}
    asker = connected(address)
    ask(
        asker,
        {
            "words": words,
            "executable": sys.argv[0],
            "folder": os.getcwd(),  # noqa: PTH109 - pathlib takes long to load
            "environment": dict(os.environ),
            "namespaces": [],
        },
        handles,
    )
    answered(asker)
    code = answered(asker)
    if code < 0:
        os.kill(os.getpid(), -code)
    sys.exit(code)


def _is_loaded(words: list[str]) -> bool:
    match words:
        case ["-I", "-m", "cloudsync" | "cloudsync.action", *_]:
            return True
        case ["-I", file]:
            return file.endswith("/cloudsync/action/install.py")
        case _:
            return False


def connected(address: str) -> _socket.socket:
    """To the process that forks. Whoever closes this ends what it asked for."""
    asker = _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET)
    asker.connect(address)
    return asker


def ask(asker: _socket.socket, order: Mapping[str, object], handles: Mapping[int, int]) -> None:
    """Answered by the id of the process that was forked, then by how it ended. `handles`: what it
    has open, by its own numbers."""
    rights = b"".join(handle.to_bytes(4, sys.byteorder) for handle in handles.values())
    asker.sendmsg(
        [marshal.dumps({**order, "numbers": list(handles)})],
        [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, rights)],
    )


def answered(asker: _socket.socket) -> int:
    """Raises `TimeoutError` where the socket has a timeout."""
    answer = asker.recv(64)
    assert answer, "the process that forks died"
    return int(answer)


def _inherited() -> list[int]:
    """What whoever started this process gave it: the standard streams and whatever else."""
    numbers = []
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208 - pathlib takes long to load
        try:
            if os.get_inheritable(int(name)):
                numbers.append(int(name))
        except OSError:  # the folder itself, closed by now
            continue
    return numbers
