"""The ways to each engine: ssh, TLS, its events, and `cloudsync watch` on it."""

from __future__ import annotations

import errno
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cloudsync.model.ports import Complete, LabelScope
from cloudsync.sources.docker.engine import read_engine
from cloudsync.watch.events import Listener
from tests.command import typed
from tests.engine.certificates import Authority
from tests.engine.podman import Podman
from tests.engine.sshd import Sshd, missing
from tests.engines.kinds import Kind
from tests.engines.report import Differs
from tests.engines.site import Site

pytestmark = [pytest.mark.engine, pytest.mark.timeout(300)]
SCOPE = LabelScope({}, frozenset())
TLS_PORT = 2377
CONFIG = """version = 1
owner = "shop"
state = "file://{folder}/state"
[ssh]
ports = [22]
sources = ["any"]
[policy]
expose = "published"
grace = "0s"
[watch]
interval = "10m"
debounce_min = "1s"
debounce_max = "2s"
[providers.local]
[hosts.web-1]
docker = {docker}
[firewalls.web]
provider = "local"
hosts = ["web-1"]
path = "fw.json"
"""


def eventually(holds: Callable[[], bool], why: str, seconds: float = 40.0) -> None:
    until = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < until, why
        time.sleep(0.05)


@pytest.fixture
def quiet(site: Site) -> Iterator[Site]:
    """The engine runs, without containers."""
    site.engine.start()
    site.engine.remove_containers()
    yield site
    site.engine.start()
    site.engine.remove_containers()


@pytest.fixture(scope="module")
def sshd() -> Iterator[Sshd]:
    if (reason := missing()) is not None:
        pytest.skip(reason)
    with Sshd() as daemon:
        yield daemon


def test_it_is_read_over_ssh(quiet: Site, sshd: Sshd, monkeypatch: pytest.MonkeyPatch) -> None:
    quiet.engine.run("web", "-p", "8080:80")
    monkeypatch.setenv("PATH", sshd.path)
    assert required(quiet, sshd.url(quiet.engine.socket)) == {8080}


def test_it_is_read_by_tls_with_certificates_on_both_sides(
    quiet: Site, kind: Kind, differs: Differs, tmp_path: Path
) -> None:
    """Docker's own is in tests/engine/test_tls.py."""
    podman = quiet.engine
    if not isinstance(podman, Podman):
        pytest.skip("elsewhere: tests/engine/test_tls.py")
    if "--tls-client-ca" not in podman.podman("system", "service", "--help"):
        differs("its service has no TLS: ssh is the way from another machine")
        return
    podman.run("web", "-p", "8080:80")
    pki = Authority(podman.folder / "pki")
    for certificate in (*pki.issue("server", address="127.0.0.1"), *pki.issue("client")):
        certificate.chmod(0o644)
    files = {"tls-cert": "server.pem", "tls-key": "server-key.pem", "tls-client-ca": "ca.pem"}
    options = [f"--{name}={pki.folder / file}" for name, file in files.items()]
    service = podman.serve(f"tcp://127.0.0.1:{TLS_PORT}", *options)
    try:
        certificates = "".join(
            f', {name} = "{pki.folder / file}"'
            for name, file in (("ca", "ca.pem"), ("cert", "client.pem"), ("key", "client-key.pem"))
        )
        docker = f'{{ host = "tcp://127.0.0.1:{TLS_PORT}"{certificates} }}'
        (tmp_path / "cloudsync.toml").write_text(CONFIG.format(folder=tmp_path, docker=docker))

        def ports() -> set[str]:
            host = json.loads(cloudsync(quiet, tmp_path, "discover", "--output", "json"))["hosts"][
                0
            ]
            return {port["ports"] for port in host["ports"]}

        eventually(lambda: ports() == {"8080"}, (podman.folder / "log").read_text()[-500:])
    finally:
        os.killpg(service.pid, signal.SIGKILL)
        service.wait()


def cloudsync(site: Site, folder: Path, *words: str) -> str:
    """The output of the command on the engine's machine."""
    environment = {**os.environ, "HOME": str(folder), "NO_COLOR": "1"}
    return typed(*words, folder=folder, environment=environment, inside=site.engine.inside).stdout


def test_its_events_are_heard_and_again_after_it_was_away(quiet: Site) -> None:
    heard = threading.Event()
    listener = Listener("web-1", f"unix://{quiet.engine.socket}", heard.set)
    try:
        assert heard.wait(20), "no stream was opened"

        def hears(action: Callable[[], object]) -> None:
            heard.clear()
            action()
            assert heard.wait(20), action

        # Without a port: a user's Podman may fail to restart a container that publishes one
        # (test_a_container_whose_port_is_taken_needs_nothing_until_it_runs_again).
        hears(lambda: quiet.engine.run("web"))
        hears(lambda: quiet.engine.cli("restart", "-t", "0", "web"))
        hears(lambda: quiet.engine.cli("rm", "-f", "web"))
        quiet.engine.kill()
        eventually(lambda: not listener.connected, "the end of the stream was not noticed")
        hears(quiet.engine.start)
        eventually(lambda: listener.connected, "the stream was not opened again")
        hears(lambda: quiet.engine.run("late"))
    finally:
        listener.stop()


def test_a_container_whose_port_is_taken_needs_nothing_until_it_runs_again(quiet: Site) -> None:
    """A user's Podman 5 takes its own port from itself: `podman restart` starts the new pasta while
    the old one, which ends by itself a moment later, still listens. The container then stays down,
    as after any other program took the port; whatever the engine says of it then, no port is
    required that nothing can answer on."""
    machine = Path("/run/netns", quiet.machine.host)
    quiet.engine.run("web", "-p", "8080:80")
    assert required(quiet) == {8080}
    quiet.engine.cli("stop", "-t", "0", "web")
    eventually(lambda: listens(quiet, machine, 8080), "the port was not given back")
    with pytest.raises(subprocess.CalledProcessError) as refused:
        quiet.engine.cli("start", "web")
    assert re.search("in use|already allocated", refused.value.stderr), refused.value.stderr
    assert required(quiet) == set()
    quiet.silence()
    quiet.engine.cli("start", "web")
    assert required(quiet) == {8080}


def listens(site: Site, network: Path, port: int) -> bool:
    """Whether something of ours listens at a port there from now on, and nothing else did."""
    try:
        site.serve(network, ("tcp", port))
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        return False
    return True


def required(site: Site, address: str | None = None) -> set[int]:
    """The ports of the engine's containers; by its socket, if no address is given."""
    address = address or f"unix://{site.engine.socket}"
    read = read_engine("web-1", address, SCOPE, timeout=30, concurrency=4)
    assert isinstance(read, Complete), read
    return {port.first for port in read.required}


def test_watch_opens_what_starts_closes_what_ends_and_nothing_while_the_engine_is_away(
    quiet: Site, tmp_path: Path
) -> None:
    """The interval is too long to help: whatever opens and closes was heard. While the engine is
    away nothing can be heard, so a run is asked for."""
    docker = f'"unix://{quiet.engine.socket}"'
    (tmp_path / "cloudsync.toml").write_text(CONFIG.format(folder=tmp_path, docker=docker))
    firewall = tmp_path / "fw.json"

    def opens(port: int) -> bool:
        return firewall.exists() and f'"{port}"' in firewall.read_text()

    quiet.engine.run("stays", "--restart", "always", "-p", "8080:80")
    with (tmp_path / "log").open("wb") as log:
        watch = subprocess.Popen(
            [sys.executable, "-m", "cloudsync", "watch"], cwd=tmp_path, stdout=log, stderr=log,
            env={**os.environ, "NO_COLOR": "1"},
        )  # fmt: skip
    try:
        eventually(lambda: opens(8080), "the first run opened nothing")
        quiet.engine.run("passing", "-p", "8081:80")
        eventually(lambda: opens(8081), "the event was not heard")
        quiet.engine.cli("rm", "-f", "passing")
        eventually(lambda: not opens(8081), "the end was not heard")
        quiet.engine.kill()
        watch.send_signal(signal.SIGHUP)
        eventually(lambda: "exit 75" in (tmp_path / "log").read_text(), "it was not missed")
        assert opens(8080)
        quiet.engine.start()
        eventually(
            lambda: "running" in quiet.engine.cli("inspect", "-f", "{{.State.Status}}", "stays"),
            "the engine did not bring its container up again",
        )
        quiet.engine.run("after", "-p", "8082:80")
        eventually(lambda: opens(8082), (tmp_path / "log").read_text()[-2000:], 90)
        assert opens(8080)
    finally:
        watch.terminate()
        assert watch.wait(60) == 0
