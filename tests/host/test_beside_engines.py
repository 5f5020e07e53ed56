"""In front of every kind of engine that can be started: what it publishes, in both families, is
what the list says, whichever way its packets take, and its containers still reach the Internet.

With CLOUDSYNC_LONG (`make walls`) or CLOUDSYNC_ENGINES=all every kind of `tests.engines`; else
those that `make test` has. Docker 29, which no archive has, is replayed in `test_beside_recorded`.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator

import pytest

from tests.engines.kinds import ALL, KINDS, Engine, Kind, started
from tests.host.lab import HOST4, HOST6, PEER4, Lab, in_namespace
from tests.host.site import Site
from tests.namespaces import in_network

pytestmark = [pytest.mark.engine, pytest.mark.timeout(900)]
LONG = bool(os.environ.get("CLOUDSYNC_LONG"))
SCANNED = (22, 8090, 8091, 9090, 9999)
"""SSH, what is published and asked for, what is only published, a container on the host's network,
and a port that nobody serves."""
READY_SECONDS = 30.0


@pytest.fixture(
    params=[pytest.param(kind, id=kind.name) for kind in KINDS if LONG or ALL or kind.always]
)
def kind(request: pytest.FixtureRequest) -> Kind:
    assert isinstance(request.param, Kind)
    return request.param


@pytest.fixture
def engine(kind: Kind, lab: Lab) -> Iterator[Engine]:
    engine = kind.engine(namespace=lab.host)
    started(engine)
    try:
        yield engine
    finally:
        engine.close()


def serve(engine: Engine, name: str, port: int, *options: str) -> None:
    command = ("/bin/busybox", "httpd", "-f", "-p", str(port), "-h", "/")
    engine.run(name, *options, command=command)


def answers(lab: Lab, port: int) -> bool:
    """Whether a server answers there; a new network's first packets may be lost."""

    def attempt() -> bool:
        try:
            with socket.create_connection((HOST4, port), 1) as connection:
                connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
                return connection.recv(4) == b"HTTP"
        except OSError:
            return False

    until = time.monotonic() + READY_SECONDS
    while not (answered := in_namespace(lab.inet, attempt)) and time.monotonic() < until:
        time.sleep(0.1)
    return answered


def reaches_out(engine: Engine, container: str) -> bool:
    def attempt() -> bool:
        try:
            socket.create_connection((PEER4, 8000), 3).close()
        except OSError:
            return False
        return True

    return in_network(engine.network_of(container), attempt)


def disturb(engine: Engine, kind: Kind) -> None:
    """All that makes an engine write its rules again."""
    if kind.family == "docker":
        engine.cli("restart", "-t", "0", "web", "db")
        engine.stop()
        engine.start()
        engine.cli("start", "web", "db", "nohost")
        return
    engine.cli("rm", "-f", "-t", "0", "db")
    serve(engine, "db", 80, "-p", "8091:80")
    if not kind.rootless:
        engine.cli("restart", "-t", "0", "web")
        engine.cli("network", "reload", "--all")


def test_law3_what_an_engine_publishes_is_what_the_list_says(
    engine: Engine, kind: Kind, lab: Lab, site: Site
) -> None:
    serve(engine, "web", 80, "-p", "8090:80", "--label", "cloudsync.expose=true")
    serve(engine, "db", 80, "-p", "8091:80")
    serve(engine, "nohost", 9090, "--network", "host")
    for port in (8090, 8091):
        assert answers(lab, port), port
    assert lab.scan(SCANNED) == lab.scan(SCANNED, HOST6) == set(SCANNED)

    # What root's Podman publishes without an address is IPv4.
    wanted = {22, 8090}
    wanted6 = {22} if kind.family == "podman" and not kind.rootless else wanted
    site.ports, site.policy["expose"] = ["22/tcp"], "labelled"
    site.host = {"docker": f"unix://{engine.socket}"}
    site.apply()
    assert answers(lab, 8090)
    assert (lab.scan(SCANNED), lab.scan(SCANNED, HOST6)) == (wanted, wanted6)
    lab.listen_outside(8000)
    assert reaches_out(engine, "web")

    disturb(engine, kind)
    assert answers(lab, 8090)
    assert (lab.scan(SCANNED), lab.scan(SCANNED, HOST6)) == (wanted, wanted6)
    assert reaches_out(engine, "web")
    assert site.actions() == []
