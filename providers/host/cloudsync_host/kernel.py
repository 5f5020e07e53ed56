"""The kernel of one machine: `nft` as a program, here or through the user's own ssh.

A library in this process would save milliseconds, and take the process down with it: nft 1.0.6
crashes on sets that a newer nft made. Over ssh nothing is installed; `sudo -n` where the user is
not root; the text goes in on stdin.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from cloudsync.provider.errors import (
    AuthError,
    Conflict,
    NotFound,
    ProviderError,
    Transient,
    Unsupported,
)
from cloudsync.rules.frozen import dataclass
from cloudsync_host.address import Destination

READ = "nft -j -n list table inet cloudsync"
WRITE = "nft -f -"
_MAX_BYTES = 128 * 1024 * 1024
_CAP_NET_ADMIN = 12
_SSH = (
    "ssh", "-T", "-x", "-a",
    "-o", "BatchMode=yes", "-o", "ControlMaster=no", "-o", "ControlPath=none",
    "-o", "ClearAllForwardings=yes", "-o", "PermitLocalCommand=no", "-o", "ConnectTimeout=10",
    "-o", "ServerAliveInterval=5", "-o", "ServerAliveCountMax=2",
)  # fmt: skip
_PATHS = 'LC_ALL=C PATH="$PATH:/usr/sbin:/sbin"; export LC_ALL PATH; '
_BY_ID = 'as=; [ "$(id -u)" = 0 ] || as="sudo -n"; '
_CRASHED = (
    "nft crashed while it read the machine's rule set: another program, with a newer nft, made sets"
    " that nft 1.0.6 cannot read (Docker's nftables backend does). Install nftables 1.0.9 or newer"
)
_NO_JSON = (
    "its nft was built without JSON, which is how cloudsync reads the table; install the nftables "
    "package that has it (OpenWrt: nftables-json). Nothing was changed"
)
TOO_OLD = (
    "its nft or kernel does not know what the table is made of: cloudsync needs nftables 0.9.4 and "
    "Linux 5.6 or newer. Nothing was changed"
)
_NOT_ALLOWED = (
    "{where} does not let us use nftables: it needs root or CAP_NET_ADMIN, for reading too. In "
    "/etc/sudoers.d/cloudsync: {user} ALL=(root) NOPASSWD: /usr/sbin/{command}"
)
_REFUSED = (
    "operation not permitted", "permission denied", "must be root", "a password is required",
    "not in the sudoers", "is not allowed to", "no new privileges", "a terminal is required",
    "must have a tty",
)  # fmt: skip
_BUSY = (
    "resource busy", "no buffer space", "resource temporarily unavailable", "interrupted system",
    "cannot allocate memory", "connection reset",
)  # fmt: skip
_NO_SUDO = ("sudo: not found", "sudo: command not found")
_NOT_KNOWN = (
    "syntax error", "unknown datatype", "operation not supported", "protocol not supported",
)  # fmt: skip
_SSH_LASTING = (
    "host key verification failed", "permission denied", "could not resolve hostname",
    "host identification has changed", "bad configuration option", "too many authentication",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Kernel:
    """`destination`: None for this machine. `deadline`: a `time.monotonic()` moment by which a call
    must be over."""

    destination: Destination | None
    deadline: float

    @property
    def where(self) -> str:
        """For messages."""
        return "this machine" if self.destination is None else str(self.destination)

    def read(self, script: str, command: str = READ) -> str:
        """The output of a script that ends with a `command` that reads. Raises `ProviderError`."""
        done = self._run(script, "")
        if done.returncode != 0:
            raise self._failure(done, command)
        return done.stdout

    def list_table(self) -> str:
        """The output of `READ` on this machine, with no shell around it. Raises `ProviderError`."""
        program = program_of(os.environ)
        if program is None:
            raise NotFound(f"{self.where} has no nft: install nftables. Nothing was changed")
        _, *options = READ.split()
        words = [program, *options] if may_administer() else ["sudo", "-n", "nft", *options]
        if shutil.which(words[0]) is None:
            raise AuthError(self._refusal(READ))
        done = self._done(words, "")
        if done.returncode != 0:
            raise self._failure(done, READ)
        return done.stdout

    def write(self, text: str) -> None:
        """One transaction. Raises `ProviderError`: the kernel carried out all of it or none."""
        done = self._run(f"exec $as {WRITE}", text, writes=True)
        if done.returncode != 0:
            raise self._failure(done, WRITE, writes=True)

    def save(self, path: str, text: str) -> None:
        """Replace a file on the machine: after a crash or on a full disk the old one is there.
        Raises `ProviderError`."""
        file, new = shlex.quote(path), shlex.quote(f"{path}.new")
        folder = shlex.quote(path.rpartition("/")[0] or "/")
        script = (
            f"umask 022; [ -d {folder} ] || $as mkdir -p {folder} || exit 1; "
            # `cloudsync confirm` and the apply that waits for it save at the same moment.
            f"exec 9< {folder}; flock 9 2>/dev/null; $as tee {new} >/dev/null && $as sync {new} &&"
            f" $as mv -f {new} {file} && $as sync {folder}"
        )
        done = self._run(script, text)
        if done.returncode != 0:
            why = _first_line(done.stderr) or f"it ended with {done.returncode}"
            raise ProviderError(
                f"in effect on {self.where}, but {path} could not be written ({why}): after a"
                " reboot the table would be the one that was saved before. The next apply tries"
                " again"
            )

    def _run(
        self, script: str, text: str, *, writes: bool = False
    ) -> subprocess.CompletedProcess[str]:
        return self._done(self._words(script), text, writes=writes)

    def _done(
        self, words: Sequence[str], text: str, *, writes: bool = False
    ) -> subprocess.CompletedProcess[str]:
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise Transient(f"the run's deadline was reached before {self.where} was asked")
        try:
            process = subprocess.Popen(  # noqa: S603 - words of our own
                words,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                errors="replace",
                env={**os.environ, "LC_ALL": "C"},  # sudo and the shell translate their messages
                start_new_session=True,
            )
        except OSError as error:
            raise NotFound(f"{words[0]} cannot be run: {error.strerror}") from None
        try:
            out, err = process.communicate(text, timeout=left)
        except subprocess.TimeoutExpired:
            _end(process)
            raise Transient(
                f"nft on {self.where} did not end before the run's deadline", fate_unknown=writes
            ) from None
        except BaseException:
            _end(process)
            raise
        if len(out) > _MAX_BYTES:
            raise ProviderError(f"{self.where} lists more than {_MAX_BYTES // 1024**2} MiB")
        return subprocess.CompletedProcess(words, process.returncode, out, err)

    def _words(self, script: str) -> list[str]:
        if self.destination is not None:
            remote = f"sh -c {shlex.quote(_PATHS + _BY_ID + script)}"
            return [*_SSH, *self.destination.words, remote]
        prefix = "as=; " if may_administer() else 'as="sudo -n"; '
        return ["/bin/sh", "-c", _PATHS + prefix + script]

    def _failure(
        self, done: subprocess.CompletedProcess[str], command: str, *, writes: bool = False
    ) -> ProviderError:
        message = _first_line(done.stderr)
        words = done.stderr.lower()
        if done.returncode in (-signal.SIGSEGV, 128 + signal.SIGSEGV) or "segmentation" in words:
            return Unsupported(f"{self.where}: {_CRASHED}")
        if done.returncode < 0 or done.returncode in (128 + signal.SIGKILL, 128 + signal.SIGTERM):
            return Transient(f"nft on {self.where} was killed", fate_unknown=writes)
        if self.destination is not None and done.returncode == 255:
            return self._ssh_failure(message, words, writes=writes)
        if any(word in words for word in _NO_SUDO):
            return AuthError(self._refusal(command))
        if done.returncode in (126, 127) or "command not found" in words:
            return NotFound(
                f"{self.where} has no nft ({message}): install nftables. Nothing was changed"
            )
        if any(word in words for word in _REFUSED):
            return AuthError(self._refusal(command))
        if "json support not compiled" in words:
            return Unsupported(f"{self.where}: {_NO_JSON}")
        if any(word in words for word in _NOT_KNOWN):
            return Unsupported(f"{self.where}: {TOO_OLD} ({message})")
        if any(word in words for word in _BUSY):
            return Transient(f"{self.where}: {message}")
        if writes and ("file exists" in words or "no such file" in words):
            return Conflict(
                f"somebody else changed the table inet cloudsync on {self.where} meanwhile; nothing"
                " was changed"
            )
        return ProviderError(f"nft on {self.where} ended with {done.returncode}: {message}")

    def _refusal(self, command: str) -> str:
        here = self.destination is None
        user = None if self.destination is None else self.destination.user
        where = self.where[0].upper() + self.where[1:] if here else self.where
        return _NOT_ALLOWED.format(where=where, user=user or "USER", command=command)

    def _ssh_failure(self, message: str, words: str, *, writes: bool) -> ProviderError:
        if any(word in words for word in _SSH_LASTING):
            return AuthError(f"ssh to {self.where}: {message}")
        return Transient(f"ssh to {self.where}: {message or 'lost'}", fate_unknown=writes)


def is_absent(error: ProviderError) -> bool:
    """Whether a failed `READ` says that there is no such table."""
    return "No such file or directory" in error.message and "ended with 1" in error.message


def program_of(environ: Mapping[str, str]) -> str | None:
    """Where nft is on this machine; None where it is not."""
    return shutil.which("nft", path=f"{environ.get('PATH', os.defpath)}:/usr/sbin:/sbin")


def may_administer() -> bool:
    """Whether this process may use nftables itself: root with its capabilities, or
    CAP_NET_ADMIN."""
    try:
        status = Path("/proc/self/status").read_text()
        effective = next(line for line in status.splitlines() if line.startswith("CapEff:"))
        return bool(int(effective.split()[1], 16) >> _CAP_NET_ADMIN & 1)
    except (OSError, StopIteration, ValueError):
        return os.geteuid() == 0


def _first_line(message: str) -> str:
    """nft quotes the whole offending line after the first, up to hundreds of kilobytes."""
    line = next((line for line in message.splitlines() if line.strip()), "")
    return "".join(c if c.isprintable() else "?" for c in line)[:200]


def _end(process: subprocess.Popen[str]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
