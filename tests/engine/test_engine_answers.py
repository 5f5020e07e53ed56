"""What older and newer Docker engines really answer, and what is made of it."""

from __future__ import annotations

import http.client
import json
import socket
import time
from pathlib import Path
from typing import Any

import pytest

from cloudsync.model.ports import Complete, Discovery, LabelScope, Partial, RequiredPort
from cloudsync.rules.networks import NetworkSet
from cloudsync.sources.docker.client import Engine
from cloudsync.sources.docker.engine import read_engine
from tests.engine.lab import Lab
from tests.engines.kinds import Kind
from tests.engines.report import Differs

pytestmark = [pytest.mark.engine, pytest.mark.timeout(600)]
SCOPE = LabelScope({"office": NetworkSet.of(["203.0.113.0/24"])}, frozenset({"web"}))


def read(engine: Lab) -> Discovery:
    return read_engine("web-1", f"unix://{engine.socket}", SCOPE, timeout=20, concurrency=4)


def complete(engine: Lab) -> Complete:
    found = read(engine)
    assert isinstance(found, Complete), found
    return found


def bound(ports: tuple[RequiredPort, ...]) -> set[tuple[int, str]]:
    return {(port.first, str(port.address)) for port in ports}


def looping(engine: Lab, name: str, *options: str) -> None:
    """A container in a crash loop, waiting for its next start."""
    engine.run(name, "--restart", "always", *options, command=("sh", "-c", "exit 1"))
    until = time.monotonic() + 30
    while engine.docker("inspect", "-f", "{{.State.Status}}", name) != "restarting":
        assert time.monotonic() < until
        time.sleep(0.05)


def created(engine: Lab, body: dict[str, Any]) -> int:
    """The status of `POST /containers/create`: what the docker command would not send."""
    connection = http.client.HTTPConnection("docker")
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.connect(str(engine.socket))
    headers = {"Content-Type": "application/json"}
    connection.request("POST", "/containers/create?name=odd", json.dumps(body), headers)
    status = connection.getresponse().status
    connection.close()
    return status


def test_published_ports_are_on_both_families(engine: Lab) -> None:
    engine.run("web", "-p", "8080:80")
    engine.run("only4", "-p", "0.0.0.0:8081:80")
    assert bound(complete(engine).required) == {
        (8080, "0.0.0.0"),
        (8080, "::"),
        (8081, "0.0.0.0"),
    }


def test_a_crash_loop_is_expected_where_it_was_bound(engine: Lab) -> None:
    """What stands for bound ports is what the engine bound while it ran."""
    for name, options in (
        ("plain", ()),
        ("local", ("--opt", "com.docker.network.bridge.host_binding_ipv4=127.0.0.1")),
        ("inside", ("--internal",)),
    ):
        engine.docker("network", "create", *options, f"net-{name}")
    try:
        for number, name in enumerate(("plain", "local", "inside")):
            options = ("--network", f"net-{name}", "-p", f"{8080 + number}:80")
            engine.run(f"run-{name}", *options)
        running = complete(engine)
        engine.remove_containers()
        for number, name in enumerate(("plain", "local", "inside")):
            options = ("--network", f"net-{name}", "-p", f"{8080 + number}:80")
            looping(engine, f"loop-{name}", *options)
        waiting = complete(engine)
        assert (
            bound(waiting.required)
            == bound(running.required)
            == {
                (8080, "0.0.0.0"),
                (8080, "::"),
            }
        )
        assert bound(waiting.local) == bound(running.local) == {(8081, "127.0.0.1")}
    finally:
        engine.remove_containers()
        engine.docker("network", "rm", "net-plain", "net-local", "net-inside")


def test_the_daemons_own_address_counts_on_its_default_bridge(bound_to_loopback: Lab) -> None:
    engine = bound_to_loopback
    engine.run("running", "-p", "8080:80")
    looping(engine, "waiting", "-p", "8081:80")
    found = complete(engine)
    assert found.required == ()
    assert bound(found.local) == {(8080, "127.0.0.1"), (8081, "127.0.0.1")}


@pytest.mark.parametrize("address", ["localhost", "fe80::1%eth0"])
def test_an_address_that_is_none_opens_what_the_engine_bound(engine: Lab, address: str) -> None:
    """20.10 takes it and binds every address; whatever an engine does, nothing else is opened."""
    table = {"80/tcp": [{"HostIp": address, "HostPort": "8080"}]}
    body = {
        "Image": "bb:1",
        "ExposedPorts": {"80/tcp": {}},
        "HostConfig": {"PortBindings": table},
    }
    if created(engine, body) != http.client.CREATED:
        assert complete(engine).required == ()
        return
    engine.docker("start", "odd")
    listed = json.loads(engine.docker("inspect", "-f", "{{json .NetworkSettings.Ports}}", "odd"))
    expected = {(8080, entry["HostIp"]) for entry in listed["80/tcp"]}
    assert bound(complete(engine).required) == expected


def test_law1_the_image_of_a_container_that_is_gone_was_not_read(engine: Lab) -> None:
    """Removed while the container was stopped; the container starts again without it."""
    engine.image("gone:1")
    engine.run("web", "-p", "8080:80", "-l", "cloudsync.expose=true", image="gone:1")
    assert all(port.asked for port in complete(engine).required)
    engine.docker("stop", "web")
    engine.docker("rmi", "-f", engine.docker("inspect", "-f", "{{.Image}}", "web"))
    engine.docker("start", "web")
    try:
        found = read(engine)
        assert isinstance(found, Partial)
        assert "404" in found.reasons[0]
        assert not any(port.asked for port in found.required)
    finally:
        engine.image("bb:1")


def test_members_of_a_network_and_the_hosts_are_named(engine: Lab) -> None:
    engine.run("owner", "-p", "8080:80")
    engine.run("member", "--network", "container:owner", "-l", "cloudsync.expose=false")
    engine.run("exporter", "--network", "host", "--expose", "9100")
    engine.run("alone", "--network", "none")
    found = complete(engine)
    assert found.required == ()
    assert {port.first for bad in found.malformed for port in bad.ports or ()} == {8080}
    assert {(one.origin.container, one.network, one.exposed) for one in found.unpublished} == {
        ("member", "container", ()),
        ("exporter", "host", ("9100/tcp",)),
        ("alone", "none", ()),
    }


def test_a_loopback_publish_of_an_engine_before_28_is_remarked_on(
    engine: Lab, docker_kind: Kind, differs: Differs
) -> None:
    engine.run("web", "-p", "127.0.0.1:8080:80")
    remarks = complete(engine).remarks
    if docker_kind.rootless:
        differs("a user's containers have no address that neighbours reach: nothing to remark on")
        assert remarks == ()
        return
    if int(engine.version().partition(".")[0]) >= 28:
        differs("neighbours do not reach loopback publishes: nothing to remark on")
        assert remarks == ()
        return
    (remark,) = remarks
    assert "8080/tcp of web" in remark
    assert engine.docker("version", "-f", "{{.Server.Version}}") in remark


def by_id(networks: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {network["Id"]: network for network in networks}


def test_docker_py_reads_the_same(
    engine: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The vendor's own client, as a second opinion on ours."""
    docker = pytest.importorskip("docker")
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    id_ = engine.run("web", "-p", "8080:80", "-l", "cloudsync.expose=true")
    theirs = docker.APIClient(f"unix://{engine.socket}")
    ours = Engine(f"unix://{engine.socket}", time.monotonic() + 20)
    try:
        assert ours.get(f"/containers/{id_}/json") == theirs.inspect_container(id_)
        assert by_id(ours.get("/networks")) == by_id(theirs.networks())
        image = theirs.inspect_container(id_)["Image"]
        assert ours.get(f"/images/{image}/json") == theirs.inspect_image(image)
    finally:
        ours.close()
        theirs.close()
