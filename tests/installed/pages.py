"""Shell blocks of documentation pages, and a shell on a terminal to paste them into."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

ROOT = Path(__file__).parents[2]
_BLOCK = re.compile(
    r"(?:<!-- pasted in: (?P<where>[^>]*?) -->\n)?^```sh\n(?P<text>.*?)^```$",
    re.DOTALL | re.MULTILINE,
)


_QUIET = 0.5
"""Seconds without output before the shell is asked whether it is done."""


@dataclass(frozen=True)
class Block:
    """One shell block of a page."""

    page: str
    text: str
    places: tuple[str, ...]
    """Where the page says that a test pastes it."""
    typed: str = ""
    """What is typed after it: an answer, a token."""
    ends_with: int = 0
    """The exit code that a command of it may end with."""


def blocks(page: str) -> tuple[Block, ...]:
    """Every shell block of a page, in order."""
    found = []
    for match in _BLOCK.finditer((ROOT / "docs" / page).read_text()):
        where, *more = (match["where"] or "").split(", ")
        said = dict(_pair(word) for word in more)
        found.append(
            Block(
                page,
                match["text"],
                tuple(where.split()),
                said.get("typed", ""),
                int(said.get("exit", 0)),
            )
        )
    return tuple(found)


def _pair(words: str) -> tuple[str, str]:
    name, _, value = words.removeprefix("and ").partition(" ")
    return name.rstrip(":"), value


class Paster:
    """A bash on a terminal: what is pasted arrives as keys, so a command that reads its input eats
    the lines behind it."""

    def __init__(self, command: Sequence[str], environ: Mapping[str, str], folder: Path) -> None:
        self._ours, theirs = pty.openpty()
        self._is_bash = command[0] == "bash"
        self.process = subprocess.Popen(
            command,
            cwd=folder,
            env=dict(environ),
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)
        self._number = 0
        self.run(
            "stty -echo; PS1=; PS2=; trap 'echo \"[$?] $BASH_COMMAND\"' ERR; set -o errtrace",
            timeout=60,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        # A bash at a terminal ends at SIGHUP and not at SIGTERM; so does what it waits for.
        if self._is_bash:
            os.killpg(self.process.pid, signal.SIGHUP)
        else:
            self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        os.close(self._ours)

    def run(self, text: str, *, typed: str = "", timeout: float = 300) -> str:
        """Paste lines, type an answer after them, and give what the terminal showed until all of
        it was done."""
        self._number += 1
        lines = text.rstrip("\n") + "\n" + (f"{typed}\n" if typed else "")
        os.write(self._ours, lines.encode())
        return self._until(f"=== {self._number} ===", timeout)

    def paste(self, block: Block, *, typed: str | None = None, timeout: float = 400) -> str:
        """Paste a block of a page. Raises `AssertionError` if a command of it failed otherwise than
        the page says."""
        answer = block.typed if typed is None else typed
        shown = self.run(block.text, typed=answer, timeout=timeout)
        failed = [line for line in shown.splitlines() if re.match(r"\[\d+\] ", line)]
        failed = [line for line in failed if not line.startswith(f"[{block.ends_with}] ")]
        assert not failed, f"{block.page}:\n{block.text}\nended with {failed}\n{shown[-3000:]}"
        return shown

    def _until(self, end: str, timeout: float) -> str:
        """Asks the shell for a line that says the end, again and again: apt, say, takes what is
        typed while it runs."""
        shown, stop = "", time.monotonic() + timeout
        asks = f"echo '{end[:4]}''{end[4:]}'\n".encode()
        while not re.search(rf"^{re.escape(end)}\r?$", shown, re.MULTILINE):
            assert time.monotonic() < stop, f"not done after {timeout} s: {shown[-3000:]}"
            if select.select([self._ours], [], [], _QUIET)[0]:
                shown += os.read(self._ours, 65536).decode(errors="replace")
            else:
                os.write(self._ours, asks)
        # A terminal shows no escapes: pipx hides the cursor, and shows it in front of what follows.
        return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown.replace("\r\n", "\n"))
