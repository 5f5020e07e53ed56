"""A real Podman out of the root of a Debian suite, root's or a plain user's, with a socket served
by `podman system service`. The machine's own Podman, if it has one, is not touched.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Self

from tests.engines import remains
from tests.engines.held import CannotHold, Held
from tests.host.lab import Lab as PacketLab

PACKAGES = (
    "aardvark-dns",
    "busybox-static",
    "catatonit",
    "conmon",
    "crun",
    "iproute2",
    "iptables",
    "mount",
    "netavark",
    "nftables",
    "passt",
    "podman",
    "uidmap",
)
READY_SECONDS = 30.0
_CONFIG = """[engine]
cgroup_manager = "cgroupfs"
runtime = "RUNTIME"
events_logger = "file"
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=4096:4096"]
pids_limit = 0
[network]
network_backend = "netavark"
"""
_POLICY = '{"default": [{"type": "insecureAcceptAnything"}]}'


class CannotRun(RuntimeError):
    """Podman cannot run containers on this machine."""


class Podman:
    """`with Podman(root) as podman:` an engine at `podman.socket`. Raises `CannotRun` where it
    starts no container. `namespace`: an existing network namespace for it, by name; None for a
    machine on the Internet of its own. `inside`: the words that make a command run in it."""

    _count = itertools.count()

    def __init__(
        self, root: Path, *options: str, rootless: bool = False, namespace: str | None = None
    ) -> None:
        self.root, self.options, self.rootless = root, options, rootless
        self.folder = Path(tempfile.mkdtemp(prefix="cs-pod-"))
        self.socket = self.folder / ("home" if rootless else "run") / "podman.sock"
        self._machine = PacketLab() if namespace is None else None
        self.namespace = namespace or ""
        remains.register(self.folder)
        if self._machine is not None:
            remains.register_machine(self._machine)
        self._held: Held | None = None
        self._service: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        try:
            if self._machine is not None:
                self.namespace = self._machine.__enter__().host
            self._prepare()
            self.start()
            self.image("bb:1")
            self._try_out()
        except CannotHold as error:
            self.close()
            raise CannotRun(str(error)) from None
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def inside(self) -> tuple[str, ...]:
        return ("nsenter", f"--net=/run/netns/{self.namespace}", "--")

    def podman(self, *words: str) -> str:
        """`podman …`; its output. Raises `CalledProcessError`."""
        done = self._run(*words)
        if done.returncode != 0:
            raise subprocess.CalledProcessError(done.returncode, words, done.stdout, done.stderr)
        return done.stdout.strip()

    cli = podman

    def run(
        self, name: str, *options: str, image: str = "bb:1", command: tuple[str, ...] = ()
    ) -> str:
        """A container in the background; its id."""
        return self.podman(
            "run", "-d", "--stop-signal", "KILL", "--name", name, *options, image, *command
        )

    def image(self, tag: str, **labels: str) -> None:
        """An image of one busybox that sleeps, with these labels."""
        image = self.folder / "image"
        if not image.exists():
            (image / "bin").mkdir(parents=True)
            shutil.copy(shutil.which("busybox") or "/bin/busybox", image / "bin" / "busybox")
            for name in ("sh", "sleep", "true"):
                (image / "bin" / name).symlink_to("busybox")
        archive = self.folder / "image.tar"
        subprocess.run(["tar", "-C", str(image), "-cf", str(archive), "."], check=True)
        changes = ['CMD ["sleep", "100000"]', *(f'LABEL {k}="{v}"' for k, v in labels.items())]
        words = [word for change in changes for word in ("-c", change)]
        done = self._run("import", *words, str(archive), tag)
        if done.returncode != 0:
            raise CannotRun("Podman cannot import an image here: " + done.stderr.strip()[-300:])

    def version(self) -> str:
        """Of the engine."""
        return self.podman("version", "-f", "{{.Client.Version}}")

    def network_of(self, container: str) -> Path:
        """The network namespace of a running container."""
        assert self._held is not None
        return self._held.network_of(self.podman("inspect", "-f", "{{.State.Pid}}", container))

    def processes(self) -> list[str]:
        """The words of every process of its machine."""
        assert self._held is not None
        script = "for file in /proc/[0-9]*/cmdline; do tr '\\0' ' ' < $file; echo; done 2>/dev/null"
        done = subprocess.run(
            self._held.words("sh", "-c", script), capture_output=True, text=True, check=False
        )
        return [line for line in done.stdout.splitlines() if line.strip()]

    def remove_containers(self) -> None:
        """All of them, by force."""
        self._run("unpause", "--all")
        self._run("pod", "rm", "-a", "-f", "-t", "0")
        self._run("rm", "-a", "-f", "-t", "0")

    def start(self) -> None:
        """Serve the socket, unless it is served."""
        if self._service is not None:
            return
        self._service = self.serve(f"unix://{self.socket}", *self.options)
        until = time.monotonic() + READY_SECONDS
        while not self.socket.exists():
            if self._service.poll() is not None or time.monotonic() > until:
                log_text = (self.folder / "log").read_text()
                raise CannotRun("podman system service did not start: " + log_text[-300:])
            time.sleep(0.05)

    def serve(self, address: str, *options: str) -> subprocess.Popen[bytes]:
        """A `podman system service` there; its process, to be ended by the caller."""
        words = self._words("system", "service", "--time", "0", *options, address)
        with (self.folder / "log").open("ab") as log:
            return subprocess.Popen(words, stdout=log, stderr=log, start_new_session=True)

    def stop(self) -> None:
        """Stop serving the socket. Podman's containers go on: nothing of it has to run for them."""
        service, self._service = self._service, None
        if service is not None:
            os.killpg(service.pid, signal.SIGKILL)
            service.wait()
            self.socket.unlink(missing_ok=True)

    kill = stop

    def close(self) -> None:
        """Leave nothing behind."""
        with contextlib.suppress(ProcessLookupError):
            self.stop()
        if self._held is not None:
            self.remove_containers()
            self._held.close()
        if self._machine is not None:
            self._machine.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _prepare(self) -> None:
        """The namespaces, and Podman's configuration and folders in them."""
        self._held = Held(self.root, self.folder, self.namespace)
        storage = self.folder / "storage"
        for folder in (storage, self.folder / "run"):
            folder.mkdir()
        script = f"""mkdir -p /etc/containers /var/lib/containers
cat > /etc/containers/containers.conf; echo '{_POLICY}' > /etc/containers/policy.json
echo 'short-name-mode = "permissive"' > /etc/containers/registries.conf
mount --bind {storage} /var/lib/containers"""
        runtime = "runc" if (self.root / "usr/sbin/runc").exists() else "crun"
        subprocess.run(
            self._held.words("sh", "-ec", script), input=_CONFIG.replace("RUNTIME", runtime),
            text=True, check=True, capture_output=True,
        )  # fmt: skip

    def _try_out(self) -> None:
        probe = self._run("run", "-d", "--name", "probe", "-p", "8999:80", "bb:1")
        if probe.returncode != 0:
            reason = (probe.stderr.strip().splitlines() or ["no reason"])[-1][:300]
            raise CannotRun(f"Podman cannot run a container here: {reason}")
        self.podman("rm", "-f", "-t", "0", "probe")

    def _words(self, *words: str) -> list[str]:
        assert self._held is not None
        return self._held.words("podman", *words, user=self.rootless)

    def _run(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self._words(*words), capture_output=True, text=True, timeout=60, check=False, cwd="/"
        )
