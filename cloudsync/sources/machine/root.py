"""Where an audit reads a machine's files: this machine, or a directory that is a copy of one."""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
import zlib
from collections.abc import Sequence
from pathlib import Path

from cloudsync.rules.frozen import dataclass

MAX_BYTES = 8 * 1024 * 1024
COMMAND_SECONDS = 10.0


class Unreadable(Exception):
    """An input cannot be read; the message is one line."""


def lines_of(content: str, pattern: str) -> dict[str, int]:
    """The number of the last line where each word stands that the group of `pattern` matches."""
    expression = re.compile(pattern)
    return {
        match[1]: number
        for number, line in enumerate(content.splitlines(), 1)
        for match in expression.finditer(line)
    }


@dataclass(frozen=True, slots=True)
class Root:
    """`path`: `/` for this machine; commands are run there only, in a copy their output is looked
    for in `dumps/`."""

    path: Path

    @property
    def is_live(self) -> bool:
        return self.path == Path("/")

    def text(self, name: str) -> str | None:
        """A file by its absolute name; None if it does not exist. Raises `Unreadable`."""
        content = self._content(name)
        return None if content is None else content.decode(errors="replace")

    def unpacked(self, name: str) -> str | None:
        """A gzip file, its first 8 MiB at most; None if it does not exist. Raises `Unreadable`."""
        content = self._content(name)
        if content is None:
            return None
        try:
            return (
                zlib.decompressobj(wbits=31).decompress(content, MAX_BYTES).decode(errors="replace")
            )
        except zlib.error:
            raise Unreadable(f"{name} is not a gzip file") from None

    def _content(self, name: str) -> bytes | None:
        path = self.path / name.lstrip("/")
        try:
            mode = path.stat().st_mode
            if not stat.S_ISREG(mode):
                raise Unreadable(f"{name} is not a regular file")
            if not self.is_live and not path.resolve().is_relative_to(self.path.resolve()):
                raise Unreadable(f"{name} leads out of {self.path}")
            with path.open("rb") as file:
                content = file.read(MAX_BYTES + 1)
        except FileNotFoundError:
            return None
        except NotADirectoryError:
            return None
        except OSError as error:
            raise Unreadable(f"{name}: {error.strerror}") from None
        if len(content) > MAX_BYTES:
            raise Unreadable(f"{name} is larger than {MAX_BYTES // 1024 // 1024} MiB")
        return content

    def names(self, directory: str, pattern: str) -> tuple[str, ...]:
        """The absolute names of files in a directory, sorted; none if it does not exist. Raises
        `Unreadable`."""
        folder = self.path / directory.lstrip("/")
        try:
            return tuple(
                f"{directory.rstrip('/')}/{path.name}" for path in sorted(folder.glob(pattern))
            )
        except OSError as error:
            raise Unreadable(f"{directory}: {error.strerror}") from None

    def exists(self, name: str) -> bool:
        """Whether there is something of that name, a dangling link included."""
        return os.path.lexists(self.path / name.lstrip("/"))

    def dump(self, *names: str) -> str | None:
        """The first of the files `dumps/NAME*` of a copy; None on this machine or without one."""
        if self.is_live:
            return None
        for name in names:
            for file in self.names("/dumps", f"{name}*"):
                return self.text(file)
        return None

    def output(self, command: Sequence[str]) -> str | None:
        """What a command that only reads prints on this machine; None if it is not installed or
        this is a copy. Raises `Unreadable`."""
        if not self.is_live:
            return None
        program = shutil.which(command[0], path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
        if program is None:
            return None
        try:
            done = subprocess.run(  # noqa: S603 - words of this package, no shell
                [program, *command[1:]],
                capture_output=True,
                text=True,
                errors="replace",
                timeout=COMMAND_SECONDS,
                check=False,
                stdin=subprocess.DEVNULL,
                env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"},
            )
        except subprocess.TimeoutExpired:
            raise Unreadable(f"{command[0]} did not end within {COMMAND_SECONDS:.0f} s") from None
        except OSError as error:
            raise Unreadable(f"{command[0]}: {error.strerror}") from None
        if done.returncode != 0:
            lines = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
            raise Unreadable(f"{' '.join(command)}: {lines[0][:160]}")
        return done.stdout
