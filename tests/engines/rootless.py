"""Docker of a plain user, out of the root of a Debian suite: `dockerd-rootless.sh` as Debian ships
it, by which `rootlesskit` runs `dockerd` in namespaces of the user's own.

The machine's ports are rootlesskit's: it listens at the machine's addresses and hands on what
comes. What dockerd itself listens on is inside, so a TCP address of the API is handed on as well.
"""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from pathlib import Path

from tests.engine.lab import Lab
from tests.engine.podman import CannotRun
from tests.engines import remains
from tests.engines.held import CannotHold, Held
from tests.host.lab import Lab as PacketLab
from tests.host.namespace import run

PACKAGES = ("rootlesskit", "slirp4netns", "uidmap")
SCRIPT = "/usr/share/docker.io/contrib/dockerd-rootless.sh"


class RootlessLab(Lab):
    """`with RootlessLab(root) as lab:` a user's engine. Raises `CannotRun` where this machine runs
    none. `namespace`: as of `Lab`; None for a machine on the Internet of its own."""

    def __init__(self, root: Path, *options: str, namespace: str | None = None) -> None:
        self._machine = PacketLab() if namespace is None else None
        if self._machine is not None:
            namespace = self._machine.host
            remains.register_machine(self._machine)
        super().__init__(*options, namespace=namespace)
        self.home = self.folder / "home"
        self.socket = self.home / "docker.sock"
        self._root = root
        self._held: Held | None = None

    def command(self) -> list[str]:
        """The words that run the daemon on its machine, as the user."""
        ports = [
            option.rpartition(":")[2] for option in self.options if option.startswith("tcp://")
        ]
        handed_on = " ".join(f"-p 127.0.0.1:{port}:{port}/tcp" for port in ports)
        environment = ("env", f"DOCKERD_ROOTLESS_ROOTLESSKIT_FLAGS={handed_on}")
        held = self._hold()
        words = [self._readable(word) for word in self.arguments(self.home)]
        return held.words(*environment, SCRIPT, *words, user=True)

    def _readable(self, word: str) -> str:
        """An option that names a file of this machine names a copy that the user can read."""
        name, _, value = word.partition("=")
        if not Path(value).is_file():
            return word
        copy = self.home / Path(value).name
        shutil.copy(value, copy)
        copy.chmod(0o644)
        return f"{name}={copy}"

    def stop(self) -> None:
        """Stop the daemon and with it every container."""
        daemon, self._daemon = self._daemon, None
        if daemon is None:
            return
        assert self._held is not None
        with contextlib.suppress(OSError):
            self._inside(f"kill -TERM {self._pid_file.read_text().strip()}")
        try:
            daemon.wait(30)
        except subprocess.TimeoutExpired:
            self._kill_all()
            daemon.wait()

    def kill(self) -> None:
        """The daemon, rootlesskit and all they started die at once."""
        daemon, self._daemon = self._daemon, None
        if daemon is not None:
            self._kill_all()
            daemon.wait()
            for left in (self._pid_file, self.home / "exec/containerd/containerd.pid"):
                left.unlink(missing_ok=True)

    def network_of(self, container: str) -> Path:
        """The network namespace of a running container."""
        assert self._held is not None
        return self._held.network_of(self.docker("inspect", "-f", "{{.State.Pid}}", container))

    def another(self) -> Lab:
        """A second engine of the same kind."""
        return RootlessLab(self._root, *self.options)

    def close(self) -> None:
        """Leave nothing behind."""
        held, self._held = self._held, None
        if held is not None:
            # All of it lives in the process namespace that ends here.
            held.close()
            if self._daemon is not None:
                self._daemon.wait()
                self._daemon = None
        super().close()
        if self._machine is not None:
            self._machine.close()

    @property
    def _pid_file(self) -> Path:
        return self.home / "docker.pid"

    def _hold(self) -> Held:
        """The namespaces, made at the first start."""
        if self._held is None:
            if self._machine is not None:
                self._machine.__enter__()
                # docker0 is not on the machine: this is a private address of its own.
                address = ("172.17.0.1/32", "dev", "lo")
                run("ip", "-n", self.namespace, "address", "add", *address)
            try:
                self._held = Held(self._root, self.folder, self.namespace)
            except CannotHold as error:
                raise CannotRun(str(error)) from None
            # As Docker's documentation has it: else a user publishes no port below 1024.
            assert self._inside("echo 0 > /proc/sys/net/ipv4/ip_unprivileged_port_start") == 0
        return self._held

    def _inside(self, script: str) -> int:
        """The exit status of a shell's script, as root."""
        assert self._held is not None
        words = self._held.words("sh", "-c", script)
        return subprocess.run(words, check=False, capture_output=True).returncode

    def _kill_all(self) -> None:
        """Every process of the held namespace but the one that holds it."""
        assert self._inside("kill -s KILL -- -1") == 0
