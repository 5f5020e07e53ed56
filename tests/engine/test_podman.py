"""What is read of a real Podman through its Docker-compatible socket."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from cloudsync.model.ports import Complete, LabelScope
from cloudsync.sources.docker.engine import read_engine
from tests.engine.podman import CannotRun, Podman, missing

pytestmark = pytest.mark.engine
SCOPE = LabelScope({}, frozenset())


@pytest.fixture(scope="module")
def running() -> Iterator[Podman]:
    if (reason := missing()) is not None:
        pytest.skip(f"no Podman to be had: {reason}")
    lab = Podman()
    try:
        lab.__enter__()
    except CannotRun as error:
        pytest.skip(f"no Podman to be had: {error}")
    yield lab
    lab.close()


@pytest.fixture
def podman(running: Podman) -> Podman:
    running.remove_containers()
    return running


def read(podman: Podman) -> Complete:
    found = read_engine("web-1", f"unix://{podman.socket}", SCOPE, timeout=20, concurrency=4)
    assert isinstance(found, Complete), found
    return found


def required(found: Complete) -> set[tuple[str, str, int, int]]:
    return {(port.protocol, str(port.address), port.first, port.last) for port in found.required}


def test_an_entry_without_an_address_is_ipv4_and_a_range_is_whole(podman: Podman) -> None:
    podman.run("web", "-p", "8080:80", "-p", "9000-9003:9000-9003/udp")
    podman.run("local", "-p", "127.0.0.1:8081:80", "-p", "8082:80")
    podman.run("exposed", "--expose", "3306")
    found = read(podman)
    v4 = "0.0.0.0"
    assert required(found) == {
        ("tcp", v4, 8080, 8080),
        ("udp", v4, 9000, 9003),
        ("tcp", v4, 8082, 8082),
    }
    assert [port.first for port in found.local] == [8081]


def test_ports_of_containers_that_do_not_run_are_not_required(podman: Podman) -> None:
    podman.podman("create", "--name", "created", "-p", "8083:80", "bb:1")
    podman.run("exited", "-p", "8084:80")
    podman.podman("stop", "-t", "0", "exited")
    podman.run("paused", "-p", "8085:80")
    podman.podman("pause", "paused")
    assert {first for _, _, first, _ in required(read(podman))} == {8085}


def test_a_crash_loop_keeps_its_port(podman: Podman) -> None:
    podman.run("loop", "--restart", "always", "-p", "8086:80", command=("true",))
    until = time.monotonic() + 10
    while int(podman.podman("inspect", "-f", "{{.RestartCount}}", "loop")) < 2:
        assert time.monotonic() < until, "the container was never restarted"
    for _ in range(5):
        assert {first for _, _, first, _ in required(read(podman))} == {8086}


def test_networks_that_publish_nothing(podman: Podman) -> None:
    podman.podman("network", "create", "--internal", "inside")
    try:
        podman.run("internal", "--network", "inside", "-p", "8087:80")
        podman.run("none", "--network", "none", "-p", "8088:80")
        podman.run("host", "--network", "host", "-p", "8089:80")
        podman.run("owner", "-p", "8090:80")
        podman.run("joined", "--network", "container:owner")
        found = read(podman)
        assert {first for _, _, first, _ in required(found)} == {8090}
        assert {port.origin.container for port in found.required} == {"owner"}
    finally:
        podman.remove_containers()
        podman.podman("network", "rm", "-f", "inside")


def test_a_network_of_the_users_own(podman: Podman) -> None:
    podman.podman("network", "create", "front")
    try:
        podman.run("user", "--network", "front", "-p", "8091:80")
        assert {first for _, _, first, _ in required(read(podman))} == {8091}
    finally:
        podman.remove_containers()
        podman.podman("network", "rm", "-f", "front")


def test_a_port_that_podman_picked_is_refused_though_it_looks_like_one_that_was_asked_for(
    podman: Podman,
) -> None:
    podman.run("picked", "-p", "80")
    podman.run("all", "-P", "--expose", "81")
    found = read(podman)
    assert found.required == ()
    assert {(one.origin.container, one.code) for one in found.unopened} == {
        ("picked", "random-port"),
        ("all", "random-port"),
    }


def test_an_ipv6_address_that_no_network_carries_is_refused_by_name(podman: Podman) -> None:
    podman.run("six", "-p", "[::]:8092:80")
    found = read(podman)
    assert found.required == ()
    assert [(one.ports, one.code) for one in found.unopened] == [("8092", "no-address")]


def test_labels_of_an_image_are_told_apart_here_too(podman: Podman) -> None:
    podman.run("own", "-p", "8093:80", "-p", "8094:80", "--label", "cloudsync.ports=8093")
    assert {first for _, _, first, _ in required(read(podman))} == {8093}


def test_podman_makes_its_id_up_each_time_so_its_hosts_name_and_storage_stand_for_it(
    podman: Podman,
) -> None:
    assert read(podman).engines == read(podman).engines != ()
