"""What is read of a real Podman through its Docker-compatible socket."""

from __future__ import annotations

import time

import pytest

from cloudsync.model.ports import Complete, LabelScope
from cloudsync.sources.docker.engine import read_engine
from tests.engine.podman import Podman
from tests.engines.kinds import Kind
from tests.engines.report import Differs

pytestmark = pytest.mark.engine
SCOPE = LabelScope({}, frozenset())
CRASHES = ("sh", "-c", "while [ ! -e /told/crash ]; do sleep 0.1; done; exit 1")


def read(podman: Podman) -> Complete:
    found = read_engine("web-1", f"unix://{podman.socket}", SCOPE, timeout=20, concurrency=4)
    assert isinstance(found, Complete), found
    return found


def required(found: Complete) -> set[tuple[str, str, int, int]]:
    return {(port.protocol, str(port.address), port.first, port.last) for port in found.required}


def test_an_entry_without_an_address_is_bound_as_this_podman_binds_and_a_range_is_whole(
    podman: Podman, differs: Differs
) -> None:
    podman.run("web", "-p", "8080:80", "-p", "9000-9003:9000-9003/udp")
    podman.run("local", "-p", "127.0.0.1:8081:80", "-p", "8082:80")
    podman.run("exposed", "--expose", "3306")
    found = read(podman)
    addresses = ("0.0.0.0", "::") if podman.rootless else ("0.0.0.0",)
    differs(f"a port without an address is on {' and '.join(addresses)}")
    assert required(found) == {
        (protocol, address, first, last)
        for protocol, first, last in (("tcp", 8080, 8080), ("udp", 9000, 9003), ("tcp", 8082, 8082))
        for address in addresses
    }
    assert [port.first for port in found.local] == [8081]


def test_ports_of_containers_that_do_not_run_are_not_required(podman: Podman) -> None:
    podman.podman("create", "--name", "created", "-p", "8083:80", "bb:1")
    podman.run("exited", "-p", "8084:80")
    podman.podman("stop", "-t", "0", "exited")
    podman.run("paused", "-p", "8085:80")
    podman.podman("pause", "paused")
    assert {first for _, _, first, _ in required(read(podman))} == {8085}


def test_a_crash_loop_keeps_its_port(podman: Podman, podman_kind: Kind, differs: Differs) -> None:
    """5.8 and up call the moments between two starts `exited` in their Docker answers."""
    told = podman.folder / "told"
    told.mkdir()
    shared = ("-v", f"{told}:/told")
    podman.run("loop", "--restart", "always", "-p", "8086:80", *shared, command=CRASHES)
    assert {first for _, _, first, _ in required(read(podman))} == {8086}
    (told / "crash").touch()
    if podman_kind.name == "podman-trixie-rootless":
        differs(
            "gives a crash loop up: the port is still held by its own pasta; nothing is required"
        )
        until = time.monotonic() + 30
        while not is_given_up(podman, "loop"):
            assert time.monotonic() < until, "it never gave up"
            time.sleep(0.05)
        assert required(read(podman)) == set()
        return
    seen = set()
    until = time.monotonic() + 60
    while seen <= {"running"} or restarts(podman, "loop") < 2:
        assert time.monotonic() < until, f"only ever {seen}"
        before = state(podman, "loop")
        assert {first for _, _, first, _ in required(read(podman))} == {8086}, before
        seen |= {before}
    (told / "crash").unlink()
    while state(podman, "loop") != "running":
        assert time.monotonic() < until, "it did not recover"
    assert {first for _, _, first, _ in required(read(podman))} == {8086}


def is_given_up(podman: Podman, name: str) -> bool:
    """It ended after a restart, and no process is left that could start it again."""
    ended = state(podman, name) == "exited" and restarts(podman, name) > 0
    return ended and not any(
        "conmon" in words or "container cleanup" in words for words in podman.processes()
    )


def restarts(podman: Podman, name: str) -> int:
    return int(podman.podman("inspect", "-f", "{{.RestartCount}}", name))


def state(podman: Podman, name: str) -> str:
    return podman.podman("inspect", "-f", "{{.State.Status}}", name)


def test_a_container_that_was_stopped_by_hand_needs_nothing_whatever_its_restart_policy(
    podman: Podman,
) -> None:
    """It looks like a crash loop between two starts, but for Podman's own state."""
    for number, policy in enumerate(("always", "unless-stopped", "on-failure")):
        podman.run(policy, "--restart", policy, "-p", f"{8086 + number}:80")
        podman.podman("stop", "-t", "0", policy)
    podman.run("finished", "--restart", "on-failure", "-p", "8089:80", command=("true",))
    until = time.monotonic() + 30
    while state(podman, "finished") != "exited":
        assert time.monotonic() < until
    assert required(read(podman)) == set()


def test_networks_that_publish_nothing(podman: Podman, differs: Differs) -> None:
    podman.podman("network", "create", "--internal", "inside")
    try:
        podman.run("internal", "--network", "inside", "-p", "8087:80")
        podman.run("none", "--network", "none", "-p", "8088:80")
        podman.run("host", "--network", "host", "-p", "8089:80")
        podman.run("owner", "-p", "8090:80")
        podman.run("joined", "--network", "container:owner")
        found = read(podman)
        owners = {port.origin.container: port.first for port in found.required}
        if podman.rootless:
            differs("publishes on internal networks too")
            assert owners == {"owner": 8090, "internal": 8087}
        else:
            assert owners == {"owner": 8090}
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


def test_an_ipv6_address_is_required_if_something_carries_the_family(
    podman: Podman, differs: Differs
) -> None:
    """Root's Podman forwards packets, and a network without IPv6 has no use for them; a user's
    listens on the machine's address itself."""
    podman.run("six", "-p", "[::]:8092:80")
    found = read(podman)
    if podman.rootless:
        differs("an IPv6 publish works on a network without IPv6")
        assert required(found) == {("tcp", "::", 8092, 8092)}
        return
    assert found.required == ()
    assert [(one.ports, one.code) for one in found.unopened] == [("8092", "no-address")]


def test_labels_of_an_image_open_nothing(podman: Podman) -> None:
    podman.image("born:1", **{"cloudsync.expose": "true", "cloudsync.ports": "8096"})
    podman.run("born", "-p", "8095:80", "-p", "8096:80", image="born:1")
    podman.run("own", "-p", "8097:80", "-l", "cloudsync.ports=8097", image="born:1")
    assert {port.first for port in read(podman).required if port.asked} == {8097}


def test_a_label_narrows_the_ports_of_its_container(podman: Podman) -> None:
    podman.run("own", "-p", "8093:80", "-p", "8094:80", "--label", "cloudsync.ports=8093")
    assert {first for _, _, first, _ in required(read(podman))} == {8093}


def test_podman_makes_its_id_up_each_time_so_its_hosts_name_and_storage_stand_for_it(
    podman: Podman,
) -> None:
    assert read(podman).engines == read(podman).engines != ()
