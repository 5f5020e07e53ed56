"""A machine to audit: a real Docker engine on a host of network namespaces, its own copy of `/etc`,
real iptables, ufw and firewalld, and a cloud beside it whose API answers on the machine's loopback.

Everything is as it should be at first: one web server that the configuration wants, and a cloud
firewall that lets in that and SSH. Each scene of `test_world.py` makes a mistake in it, and fixes
it.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Self, TypeVar

from tests.command import typed
from tests.doubles.hetzner import HetznerDouble
from tests.host.engine import Engine
from tests.host.lab import Lab, in_namespace

ANYWHERE = ["0.0.0.0/0", "::/0"]
_OVERLAID = ("/etc", "/var/lib/ufw", "/lib/ufw")
_CONFIGURATION = """\
version = 1
owner = "shop"
state = "file://{folder}/state"
[ssh]
ports = [22]
sources = ["any"]
[policy]
expose = "published"
[hosts.web-1]
docker = "unix://{socket}"
{more}
"""
HETZNER = """\
[providers.hetzner]
token = {{ env = "HCLOUD_TOKEN" }}
endpoint = "{endpoint}"
[firewalls.web]
provider = "hetzner"
hosts = ["web-1"]
servers = ["web-1"]
"""

Entered = TypeVar("Entered")


class Found(NamedTuple):
    """What a test asserts of a finding."""

    id: str
    severity: str
    object: str


class Site:
    """`with Site(folder, *options) as site:` the machine. `options`: for dockerd."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder = folder
        self.lab = Lab()
        self.engine: Engine
        self._options = options
        self._holder: subprocess.Popen[str] | None = None
        self._started: list[subprocess.Popen[bytes]] = []
        self._stack = contextlib.ExitStack()
        self.environment = {
            name: value for name, value in os.environ.items() if not name.startswith("SSH_")
        }

    def __enter__(self) -> Self:
        try:
            self._stack.enter_context(self.lab)
            self.engine = self._stack.enter_context(Engine(self.lab, *self._options))
            self.cloud = self._stack.enter_context(in_namespace(self.lab.host, HetznerDouble))
            self._enter_box()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _enter_box(self) -> None:
        """A mount namespace with a private `/run`, and copies of what scenes change."""
        lines = ["mount --make-rprivate /", "mount -t tmpfs tmpfs /run"]
        for number, path in enumerate(filter(os.path.isdir, _OVERLAID)):
            upper, work = self.folder / f"upper{number}", self.folder / f"work{number}"
            upper.mkdir()
            work.mkdir()
            options = f"lowerdir={path},upperdir={upper},workdir={work}"
            lines.append(f"mount -t overlay overlay -o {options} {path}")
        script = "; ".join(["set -e", *lines, "echo ready", "exec sleep 1000"])
        self._holder = subprocess.Popen(
            [*self.lab.inside, "unshare", "-m", "sh", "-c", script],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._holder.stdout is not None
        assert self._holder.stdout.readline() == "ready\n"
        self.words = ("nsenter", "-t", str(self._holder.pid), "-m", "-n", "--")
        self.write("/etc/ssh/sshd_config", "PasswordAuthentication no\n")

    def close(self) -> None:
        """The end of all of it."""
        for process in (*reversed(self._started), self._holder):
            if process is not None:
                process.terminate()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(30)
                process.kill()
                process.wait()
                if process.stdout is not None:
                    process.stdout.close()
        self._stack.close()

    def enter(self, context: contextlib.AbstractContextManager[Entered]) -> Entered:
        """Something that ends with the machine."""
        return self._stack.enter_context(context)

    # What a person does on the machine

    def run(self, *words: str, code: int | None = 0) -> str:
        """The output of a command on the machine. `code`: what it has to end with; None:
        whatever."""
        done = subprocess.run(
            [*self.words, *words], capture_output=True, text=True, check=False, timeout=90,
            env=self.environment,
        )  # fmt: skip
        assert code in (None, done.returncode), (words, done.stdout, done.stderr)
        return done.stdout

    def start(self, *words: str) -> None:
        """A daemon on the machine."""
        quiet = subprocess.DEVNULL
        self._started.append(
            subprocess.Popen(
                [*self.words, *words], stdin=quiet, stdout=quiet, stderr=quiet, env=self.environment
            )
        )

    def stop(self) -> None:
        """Stop the daemon that was started last."""
        process = self._started.pop()
        process.terminate()
        process.wait(20)

    def write(self, path: str, content: str) -> None:
        """A file of the machine, in a place that is its own."""
        assert path.startswith(("/run/", *_OVERLAID)), f"{path} would stay on the machine below"
        script = f"mkdir -p {Path(path).parent} && cat > {path}"
        subprocess.run([*self.words, "sh", "-c", script], input=content, text=True, check=True)

    def append(self, path: str, content: str) -> None:
        """More lines at the end of a file of the machine."""
        self.write(path, self.run("cat", path) + content)

    def remove(self, *paths: str) -> None:
        """Files of the machine that go."""
        self.run("rm", "-f", *paths)

    def enable(self, unit: str) -> None:
        """What `systemctl enable` leaves."""
        wants = "/etc/systemd/system/multi-user.target.wants"
        self.run(
            "sh", "-c", f"mkdir -p {wants} && ln -sf /lib/systemd/system/{unit} {wants}/{unit}"
        )

    def iptables(self, line: str, family: int = 4) -> None:
        """`iptables …` on the machine."""
        self.run("iptables" if family == 4 else "ip6tables", *line.split())

    def serve(
        self, name: str, publish: str, port: int, *options: str, image: str = "bb:1", word: str = ""
    ) -> None:
        """A container with a web server on `port`, published as `publish`, none if it is empty.
        `word`: one more argument of its command, which does nothing."""
        self.image(image)
        published = ("-p", publish) if publish else ()
        script = f"exec /bin/busybox httpd -f -p {port} -h /"
        command = ("sh", "-c", script, *(("--", word) if word else ()))
        self.engine.run(name, *published, *options, image=image, command=command)
        container = self.engine.docker("inspect", "-f", "{{.State.Pid}}", name)
        wait_for(lambda: f":{port:04X} " in Path(f"/proc/{container}/net/tcp6").read_text())

    def image(self, tag: str, **labels: str) -> None:
        """An image of that name; nothing of the program it is named after is in it."""
        if tag != "bb:1":
            self.engine.image(tag, **labels)

    def listen(self, port: int, address: str = "::") -> None:
        """A service of the machine itself."""
        script = (
            "import socket, time; "
            f"s = socket.create_server(({address!r}, {port}), family=socket.AF_INET6, "
            "dualstack_ipv6=True); time.sleep(1000)"
        )
        self.start(sys.executable, "-c", script)
        wait_for(lambda: f":{port} " in self.run("ss", "-Hlnt"))

    def firewalld(self) -> None:
        """The real firewalld, with a bus of its own."""
        self.run("mkdir", "-p", "/run/dbus", "/run/firewalld")
        self.start("dbus-daemon", "--system", "--nofork", "--nopidfile")
        wait_for(
            lambda: "y" in self.run("sh", "-c", "[ -S /run/dbus/system_bus_socket ] && echo y || :")
        )
        self.start("firewalld", "--nofork")
        wait_for(
            lambda: "running" in self.run("sh", "-c", "firewall-cmd --state 2>&1 || :").split()
        )

    # The cloud

    def lets_in(self, *ports: str, sources: Sequence[str] = ANYWHERE) -> None:
        """The rules of the cloud's firewall: 22, and these from `sources`. A firewall is there from
        then on."""
        rules = [
            {
                "direction": "in", "protocol": "tcp", "port": port, "source_ips": list(networks),
            }
            for port, networks in (("22", ANYWHERE), *((port, sources) for port in ports))
        ]  # fmt: skip
        if not self.cloud.servers:
            self.cloud.add_server("web-1", v6=True)
        if not self.cloud.firewalls:
            self.cloudsync("apply", "--auto-approve", "--allow-attach", "web", "-q", code=None)
        (firewall,) = self.cloud.firewalls
        self.cloud.set_rules_by_hand(firewall, rules)

    # cloudsync

    def configure(self, providers: str = HETZNER, host: str = "", end: str = "") -> Path:
        """Write the configuration. `host`: more keys of the host; `end`: more tables."""
        content = _CONFIGURATION.format(
            folder=self.folder, socket=self.engine.socket, more=host
        ) + providers.format(endpoint=self.cloud.endpoint)
        path = self.folder / "cloudsync.toml"
        path.write_text(content + end)
        self.environment["HCLOUD_TOKEN"] = self.cloud.token
        return path

    def cloudsync(self, *words: str, code: int | None = 0) -> str:
        """`cloudsync …` on the machine, with its configuration."""
        path = self.folder / "cloudsync.toml"
        if not path.exists():
            self.configure()
        done = typed(
            *(words[0], "-c", str(path), *words[1:]),
            folder=Path.cwd(),
            environment=self.environment,
            sdk="host",
            inside=self.words,
        )
        assert code in (None, done.returncode), (words, done.stdout, done.stderr)
        return done.stdout

    def audit(self, *words: str) -> dict[str, Any]:
        """The audit of this machine, as JSON."""
        return dict(json.loads(self.cloudsync("audit", "--output", "json", *words, code=None)))

    def found(self) -> list[Found]:
        """Everything that an audit of the machine finds."""
        return found(self.audit())


def found(document: dict[str, Any]) -> list[Found]:
    """The findings of a document, by id."""
    findings = [Found(f["id"], f["severity"], f["object"]) for f in document["findings"]]
    return sorted(findings)


def wait_for(condition: Callable[[], bool]) -> None:
    """Until it holds; an error after 40 seconds."""
    until = time.monotonic() + 40
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.05)
