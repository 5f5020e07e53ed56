"""A network namespace with an nftables of its own, and an `nft` that works in it: the real program
and the real kernel, never the machine's own rules."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import socketserver
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Self

import pytest

from cloudsync.runtime.serving import ServerThread

NEEDED = ("nft", "ip", "nsenter")
NFT = shutil.which("nft") or "nft"
"""The real program, whatever a test puts first in PATH."""


def missing(*more: str) -> str | None:
    """Why there can be no namespace here; None where there can."""
    if os.geteuid() != 0:
        return "needs root to make a network namespace"
    lacking = [name for name in (*NEEDED, *more) if shutil.which(name) is None]
    return f"needs {', '.join(lacking)} to filter packets" if lacking else None


def needs(*more: str) -> None:
    """Skip the test with the reason."""
    if (reason := missing(*more)) is not None:
        pytest.skip(reason)


class Program:
    """An `nft` that works in a namespace, in the folder `bin`, for PATH. It records what it is
    asked for, and the table after each transaction."""

    def __init__(self, namespace: str) -> None:
        self.namespace = namespace
        self.folder = Path(tempfile.mkdtemp(prefix="cs-nft-"))
        self.bin = self.folder / "bin"
        self.inside = ("nsenter", f"--net=/run/netns/{namespace}", "--")
        self.trouble: Trouble | None = None
        self.bin.mkdir()
        self.listens()
        listing = f"#!/bin/sh\necho ss >> {self.folder}/reads\nexec cat {self.folder}/listening\n"
        for name, text in (("nft", self._text()), ("ss", listing)):
            program = self.bin / name
            program.write_text(text)
            program.chmod(0o755)

    def listens(self, *listeners: str) -> None:
        """What `ss -Hltnp` lists; without any, an sshd on port 22."""
        (self.folder / "listening").write_text(
            "".join(
                f"LISTEN 0 128 {listener}\n"
                for listener in listeners or ('*:22 *:* users:(("sshd",pid=7,fd=3))',)
            )
        )

    def _text(self) -> str:
        nft = f"{' '.join(self.inside)} {NFT}"
        return (
            "#!/bin/sh\n"
            f"cd {self.folder}\n"
            f'case "$*" in *-f*) echo "$*" >> writes; cat > text.$$;; *) echo "$*" >> reads;;'
            f" esac\n"
            "kind=read\n"
            'case "$*" in *-f*) kind=write;; esac\n'
            "[ -e trouble ] && { [ ! -e only ] || [ -e only.$kind ]; }"
            f' && exec {sys.executable} -I -S trouble.py $$ "$@"\n'
            f'case "$*" in *-f*)\n'
            f'  {nft} "$@" < text.$$; code=$?; rm -f text.$$\n'
            f"  [ $code = 0 ] && {nft} list table inet cloudsync > history.$(date +%s%N)"
            " 2>/dev/null\n"
            f"  exit $code;;\n"
            f'esac\nexec {nft} "$@"\n'
        )

    def nft(self, text: str) -> None:
        """One transaction, as somebody else than cloudsync. Raises `CalledProcessError`."""
        subprocess.run(
            [*self.inside, NFT, "-f", "-"], input=text, text=True, check=True, capture_output=True
        )

    def listing(self, *options: str) -> str:
        """`nft list table inet cloudsync`; empty where there is none."""
        words = [*self.inside, NFT, *options, "list", "table", "inet", "cloudsync"]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        return done.stdout if done.returncode == 0 else ""

    def calls(self) -> int:
        """How often it was started."""
        return self.writes() + self._lines("reads")

    def writes(self) -> int:
        """How many transactions were tried."""
        return self._lines("writes")

    def _lines(self, name: str) -> int:
        log = self.folder / name
        return len(log.read_text().splitlines()) if log.exists() else 0

    def history(self) -> list[str]:
        """The table after each transaction, oldest first."""
        return [path.read_text() for path in sorted(self.folder.glob("history.*"))]

    def close(self) -> None:
        """Leave nothing behind."""
        if self.trouble is not None:
            self.trouble.close()
        shutil.rmtree(self.folder, ignore_errors=True)


class Namespace(Program):
    """`with Namespace() as machine:` a machine without a link."""

    _count = itertools.count()

    def __init__(self) -> None:
        super().__init__(f"cs-h{os.getpid()}-{next(Namespace._count)}")

    def __enter__(self) -> Self:
        try:
            run("ip", "netns", "add", self.namespace)
            run("ip", "-n", self.namespace, "link", "set", "lo", "up")
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Leave nothing behind."""
        super().close()
        subprocess.run(["ip", "netns", "del", self.namespace], check=False, capture_output=True)


class Trouble:
    """While there is trouble each call of `nft` asks what is to happen. `decide`: from the words of
    the call to the words of the answer: `go`, or what goes wrong (see `_CLIENT`). After `report` it
    is asked once more, with `done` behind the words, when the call is over. `only`: `read` or
    `write` if calls of the other kind need not ask."""

    def __init__(
        self, machine: Program, decide: Callable[[list[str]], str], only: str = ""
    ) -> None:
        self.machine = machine
        path = machine.folder / "trouble"
        if only:
            (machine.folder / f"only.{only}").touch()
            (machine.folder / "only").touch()

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                words = json.loads(self.rfile.readline())
                self.wfile.write(json.dumps(decide(words)).encode() + b"\n")

        self._server = socketserver.ThreadingUnixStreamServer(str(path), Handler)
        nft = f"{' '.join(machine.inside)} {NFT}"
        (machine.folder / "trouble.py").write_text(_CLIENT.replace("NFT", repr(nft.split())))
        self._thread = ServerThread(self._server)
        self._thread.start()
        machine.trouble = self

    def close(self) -> None:
        """The end of it."""
        self._thread.stop()
        for name in ("trouble", "only", "only.read", "only.write"):
            (self.machine.folder / name).unlink(missing_ok=True)
        self.machine.trouble = None


_CLIENT = """
import json, os, signal, socket, subprocess, sys, time
number, words = sys.argv[1], sys.argv[2:]

def ask(*more):
    with socket.socket(socket.AF_UNIX) as ours:
        ours.connect("trouble")
        ours.sendall(json.dumps([*words, *more]).encode() + b"\\n")
        return json.loads(ours.makefile().readline())

kind, _, rest = ask().partition(" ")
writes = "-f" in words
text = open(f"text.{number}").read() if writes else ""

def nft():
    done = subprocess.run([*NFT, *words], input=text, text=True, capture_output=True)
    if writes and done.returncode == 0:
        table = subprocess.run([*NFT, "list", "table", "inet", "cloudsync"], capture_output=True)
        open(f"history.{time.time_ns()}", "wb").write(table.stdout)
    return done

def fail(message, code=1):
    sys.stderr.write(message + "\\n")
    sys.exit(code)

if kind == "lost-before":
    os.kill(os.getpid(), signal.SIGKILL)
if kind == "slow":
    time.sleep(float(rest))
if kind == "unauthorized":
    fail("Operation not permitted (you must be root)")
if kind == "forbidden":
    fail("sudo: a password is required")
if kind == "not-found":
    fail("sh: 1: nft: not found", 127)
if kind == "conflict":
    fail("/dev/stdin:1:1-2: Error: Could not process rule: File exists")
if kind == "busy":
    fail("netlink: Error: Could not process rule: Device or resource busy")
if kind == "crash":
    os.kill(os.getpid(), signal.SIGSEGV)
done = nft()
if kind == "report":
    ask("done")
if kind == "lost-after":
    os.kill(os.getpid(), signal.SIGKILL)
if kind == "cut-short" and not writes:
    print(done.stdout[: len(done.stdout) // 2], end="")
    sys.exit(0)
if kind == "nonsense" and not writes:
    print("this is not what nft prints")
    sys.exit(0)
sys.stdout.write(done.stdout)
sys.stderr.write(done.stderr)
sys.exit(done.returncode)
"""


def run(*words: str) -> str:
    """The output of a command that has to succeed."""
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout
