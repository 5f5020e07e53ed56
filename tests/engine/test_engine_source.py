"""What is read of a real Docker engine, row by row."""

from __future__ import annotations

import threading
import time
from collections import Counter
from typing import Any

import pytest

from cloudsync.model.ports import Complete, Failed, LabelScope
from cloudsync.sources.docker.client import Engine
from cloudsync.sources.docker.discovery import discovery_of
from cloudsync.sources.docker.engine import read_engine, survey
from cloudsync.sources.docker.inspected import OfEngine
from cloudsync.sources.docker.request_slots import Share
from tests.engine.lab import Lab

pytestmark = pytest.mark.engine
SCOPE = LabelScope({}, frozenset({"web"}))


def read(engine: Lab) -> Complete:
    found = read_engine("web-1", f"unix://{engine.socket}", SCOPE, timeout=30, concurrency=4)
    assert isinstance(found, Complete), found
    return found


def required(engine: Lab) -> set[int]:
    return {number for port in read(engine).required for number in range(port.first, port.last + 1)}


def test_states(engine: Lab) -> None:
    engine.run("running", "-p", "8001:80")
    engine.run("paused", "-p", "8002:80")
    engine.docker("pause", "paused")
    engine.docker("create", "--name", "created", "-p", "8003:80", "bb:1")
    engine.run("exited", "-p", "8004:80")
    engine.docker("kill", "exited")
    assert required(engine) == {8001, 8002}


def test_a_crash_loop_keeps_its_port_although_the_engine_shows_none(engine: Lab) -> None:
    engine.run("loop", "--restart", "always", "-p", "8005:80", command=("true",))
    until = time.monotonic() + 20
    while (
        engine.docker("inspect", "-f", "{{.State.Status}} {{len .NetworkSettings.Ports}}", "loop")
        != "restarting 0"
    ):
        assert time.monotonic() < until, "the container never waited for its restart"
    assert required(engine) == {8005}


def test_networks(engine: Lab) -> None:
    engine.docker("network", "create", "--internal", "inside")
    engine.docker("network", "create", "outside")
    try:
        engine.run("none", "--network", "none", "-p", "8006:80")
        engine.run("internal", "--network", "inside", "-p", "8007:80")
        engine.run("user", "--network", "outside", "-p", "8008:80")
        engine.run("host", "--network", "host", "-p", "8009:80")
        engine.run("joined", "--network", "container:user")
        assert required(engine) == {8008}
        engine.docker("network", "connect", "outside", "internal")
        assert required(engine) == {8007, 8008}
    finally:
        engine.remove_containers()
        engine.docker("network", "rm", "inside", "outside")


def test_addresses_and_families(engine: Lab) -> None:
    engine.run("loopback", "-p", "127.0.0.2:8010:80")
    engine.run("v4", "-p", "0.0.0.0:8011:80")
    engine.run("one", "-p", "127.0.0.1:8012:80", "-p", "172.17.0.1:8013:80")
    found = read(engine)
    assert {(port.first, str(port.address)) for port in found.required} == {(8011, "0.0.0.0")}
    assert {(port.ports, port.code) for port in found.unopened} == {("8013", "private-address")}


def test_random_and_picked_ports_are_refused(engine: Lab) -> None:
    engine.run("random", "-p", "80")
    engine.run("all", "-P", "--expose", "81")
    engine.run("picked", "-p", "7000-7005:80")
    found = read(engine)
    assert found.required == ()
    assert {one.origin.container for one in found.unopened} == {"random", "all", "picked"}
    assert {one.code for one in found.unopened} == {"random-port"}


def test_ranges_and_protocols(engine: Lab) -> None:
    engine.run("range", "-p", "9000-9005:9000-9005/udp", "-p", "53:53/tcp", "-p", "53:53/udp")
    found = {(port.protocol, port.first, port.last) for port in read(engine).required}
    assert found == {("udp", 9000, 9005), ("tcp", 53, 53), ("udp", 53, 53)}


def test_a_label_of_the_image_cannot_be_told_from_the_same_one_on_the_container(
    engine: Lab,
) -> None:
    engine.image("born:1", **{"cloudsync.expose": "true"})
    engine.run("born", "-p", "8014:80", image="born:1")
    engine.run("repeated", "-p", "8015:80", "-l", "cloudsync.expose=true", image="born:1")
    engine.run("own", "-p", "8016:80", "-l", "cloudsync.ports=8016", image="born:1")
    assert {port.first for port in read(engine).required if port.asked} == {8016}


def test_the_version_is_negotiated(engine: Lab) -> None:
    from cloudsync.sources.docker.client import Engine

    client = Engine(f"unix://{engine.socket}", time.monotonic() + 20)
    try:
        assert client.api_version == engine.docker("version", "-f", "{{.Server.APIVersion}}")
    finally:
        client.close()


def test_containers_are_inspected_again_only_after_something_happened_to_them(engine: Lab) -> None:
    """What the list of a real engine says of a container is enough to know."""
    known, asked = OfEngine(), Counter[str]()
    get = Engine.get

    def counted(self: Engine, path: str, **parameters: Any) -> object:
        asked["inspected"] += path.startswith("/containers/") and path != "/containers/json"
        return get(self, path, **parameters)

    def inspected() -> int:
        """By a read that says the same as one that knows nothing."""
        asked.clear()
        with Share(threading.BoundedSemaphore(4), 4) as share:
            answers = survey(f"unix://{engine.socket}", timeout=10, share=share, known=known)
        number = asked["inspected"]
        assert not isinstance(answers, Failed)
        assert discovery_of("web-1", answers, SCOPE) == read(engine)
        return number

    engine.docker("network", "create", "more")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Engine, "get", counted)
        try:
            engine.run("first", "-p", "8101:80", "-p", "127.0.0.1:8102:81", "-p", "53:53/udp")
            engine.run("second", "-p", "8103-8105:80-82", "--label", "cloudsync.expose=true")
            engine.run("host", "--network", "host")
            engine.run("over", "-p", "8106:80")
            engine.docker("kill", "over")
            assert inspected() >= 4
            assert inspected() == 0
            for happening in (
                ("restart", "-t", "0", "first"),
                ("pause", "first"),
                ("unpause", "first"),
                ("rename", "second", "third"),
                ("network", "connect", "more", "third"),
                ("network", "disconnect", "more", "third"),
                ("start", "over"),
                ("kill", "over"),
            ):
                engine.docker(*happening)
                assert inspected() == 1, happening
                assert inspected() == 0, happening
        finally:
            engine.remove_containers()
            engine.docker("network", "rm", "more")
