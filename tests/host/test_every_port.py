"""65,535 ports of TCP and UDP over IPv4 and IPv6, from outside, at every moment of a machine's
life: what is open is what its cloud and its own table let in, no more and no less.

With CLOUDSYNC_LONG (`make walls`) also on newer engines, with ufw and firewalld, and over 1,000
changes.
"""

from __future__ import annotations

import os
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cloudsync.testing import meant
from tests.host.engine import engine_of
from tests.host.lab import HOST4, HOST6, Lab, in_namespace
from tests.host.scanner import ALL, EVERYTHING, Passed, Scanner, everywhere
from tests.host.site import NAME
from tests.host.table import drops, lets_in
from tests.host.test_beside_others import firewalld, ufw
from tests.host.test_packets import REFEREE, Knocking, referee_counts, replace_extra_port
from tests.host.test_persistence import flush, lines, wait_for, watching
from tests.host.test_trial import ended, wait_for_the_end_of_the_trial
from tests.host.world import RoutedCloud, World, passed

__all__ = ["firewalld", "ufw"]
pytestmark = [pytest.mark.engine, pytest.mark.timeout(900)]
LONG = bool(os.environ.get("CLOUDSYNC_LONG"))
long = pytest.mark.skipif(not LONG, reason="takes minutes: CLOUDSYNC_LONG=1, or make walls")
STRANGER = {
    "direction": "in",
    "protocol": "tcp",
    "port": "3389",
    "source_ips": ["0.0.0.0/0", "::/0"],
}


@pytest.fixture
def world(lab: Lab, tmp_path: Path) -> Iterator[World]:
    with RoutedCloud(lab) as cloud:
        yield World(lab, cloud, tmp_path)


@pytest.fixture
def scanner(lab: Lab) -> Iterator[Scanner]:
    with Scanner(lab) as scanner:
        yield scanner


def both_let_in(world: World) -> Passed:
    """What the state of the cloud's double and the kernel's own table let in together."""
    listing = world.lab.listing()
    kernel = lets_in(listing) if drops(listing) else None
    cloud = world.cloud.lets_in()
    if kernel is None or cloud is None:
        return passed(kernel if cloud is None else cloud)
    return passed(cloud & kernel)


@contextmanager
def scanning(world: World, scanner: Scanner) -> Iterator[list[Passed]]:
    """Scans one after another while the block runs, and judges each: at least what is open before
    and after it, at most what is open before or after."""
    before, scans, stop = both_let_in(world), [], threading.Event()
    troubles: list[BaseException] = []

    def loop() -> None:
        try:
            while not (stop.is_set() and scans):
                scans.append(scanner.scan())
        except BaseException as error:  # noqa: BLE001 - raised again below
            troubles.append(error)

    thread = threading.Thread(target=loop)
    thread.start()
    try:
        yield scans
    finally:
        stop.set()
        thread.join()
    if troubles:
        raise troubles[0]
    after = both_let_in(world)
    for scan in scans:
        assert before & after <= scan, (str(before & after), str(scan))
        assert scan <= before | after, (str(scan), str(before | after))


def test_a_firewall_that_is_being_attached_filters_nothing_yet(world: World) -> None:
    """The judge of this file: at Hetzner it is pending until its action has succeeded."""
    cloud = world.cloud
    firewall = cloud.add_firewall("office", [STRANGER], servers=[cloud.server_id])
    lets_in = []
    for status in ("pending", "applied", "pending"):
        cloud.in_force[firewall, cloud.server_id] = status
        cloud.route()
        lets_in.append(cloud.lets_in())
    assert lets_in == [None, meant("tcp/3389"), meant("tcp/3389")]


def test_law3_every_port_is_open_as_cloud_and_table_say_before_during_and_after_applies(
    world: World, scanner: Scanner, lab: Lab
) -> None:
    assert scanner.scan() == EVERYTHING
    world.ports = ["22/tcp", "443/tcp", "8000-8009/tcp", "53/udp"]
    with scanning(world, scanner):
        world.apply()
    wanted = everywhere({22, 443, *range(8000, 8010)}, {53})
    assert scanner.scan() == both_let_in(world) == wanted

    # What only one of the two lets in is closed.
    world.cloud.add_firewall("office", [STRANGER], servers=[world.cloud.server_id])
    world.cloud.route()
    lab.nft("add element inet cloudsync open4 { tcp . 8080 . 0.0.0.0/0 }")
    assert scanner.scan() == both_let_in(world) == wanted

    world.ports = ["22/tcp", "443/tcp", "9000/tcp", "53/udp"]
    with scanning(world, scanner) as scans:
        world.apply()
    assert scans
    assert scanner.scan() == both_let_in(world) == everywhere({22, 443, 9000}, {53})


def test_law3_every_port_while_a_trial_runs_and_after_it_ran_out(
    world: World, scanner: Scanner, lab: Lab
) -> None:
    world.ports = ["22/tcp", "443/tcp", "9000/tcp"]
    world.apply()
    old = both_let_in(world)
    assert old == everywhere({22, 443, 9000})
    # The cloud keeps both: what comes and goes is the table's.
    world.ports, world.keys["confirm"] = ["22/tcp", "443/tcp"], "12s"
    process = world.start("apply", "--auto-approve", "--firewall", NAME)
    try:
        wait_for(lambda: "set trial" in lab.listing())
        # A probe of 22 would be the new connection that confirms it.
        assert scanner.scan([port for port in ALL if port != 22]) == everywhere({443})
        assert "expires" in lab.listing(), "the scan took longer than the trial"
        ended(process, 6)
    finally:
        process.kill()
        process.wait()
    wait_for_the_end_of_the_trial(lab)
    assert scanner.scan() == old


@long
@pytest.mark.parametrize("suite", ["this-machine", "trixie", "sid"])
def test_law3_every_port_over_a_day_of_an_engine(
    world: World, scanner: Scanner, lab: Lab, suite: str
) -> None:
    """Containers come, change and go; the engine restarts, and is killed."""
    with engine_of(suite, lab) as engine:
        engine.serve("web", 80, "-p", "8090:80", "--label", "cloudsync.expose=true")
        engine.serve("db", 80, "-p", "8091:80")
        engine.serve("nohost", 9090, "--network", "host")
        world.host = {"docker": f"unix://{engine.socket}"}
        world.policy["expose"] = "labelled"
        assert scanner.scan() == EVERYTHING
        with scanning(world, scanner):
            world.apply()
        wanted = everywhere({22, 8090})
        assert scanner.scan() == both_let_in(world) == wanted
        assert lab.scan((22, 8090, 8091, 9090)) == {22, 8090}

        with scanning(world, scanner):
            engine.stop()
            engine.start()
            engine.docker("start", "web", "db", "nohost")
        assert scanner.scan() == wanted
        assert lab.scan((22, 8090, 8091, 9090)) == {22, 8090}
        with scanning(world, scanner):
            engine.docker("network", "create", "other")
            engine.serve("api", 80, "-p", "8094:80", "--label", "cloudsync.expose=true")
            world.apply()
        assert scanner.scan() == both_let_in(world) == everywhere({22, 8090, 8094})
        with scanning(world, scanner):
            engine.docker("rm", "-f", "api")
            world.apply("--now")
        assert scanner.scan() == both_let_in(world) == wanted


@long
def test_law3_every_port_over_ufw_and_firewalld(
    world: World, scanner: Scanner, request: pytest.FixtureRequest
) -> None:
    """What they drop besides is theirs; what they accept opens nothing."""
    world.ports = ["22/tcp", "443/tcp"]
    world.apply()
    wanted = both_let_in(world)
    box = request.getfixturevalue("ufw")
    for words in (("allow", "1:65535/tcp"), ("--force", "enable"), ("reload",), ("disable",)):
        with scanning(world, scanner):
            box.run("ufw", *words)
        assert scanner.scan() == wanted, words
    box = request.getfixturevalue("firewalld")
    for option in ("--add-port=1-65535/tcp", "--reload", "--complete-reload"):
        with scanning(world, scanner):
            box.run("firewall-cmd", option)
        assert scanner.scan() == wanted, option


@long
def test_every_port_after_the_rule_set_was_flushed(
    world: World, scanner: Scanner, lab: Lab
) -> None:
    """With `watch` on the machine the table is back at once; without it the cloud alone filters
    until the next apply."""
    world.ports = ["22/tcp", "443/tcp"]
    world.apply()
    world.cloud.add_firewall("office", [STRANGER], servers=[world.cloud.server_id])
    world.cloud.route()
    wanted = both_let_in(world)
    assert scanner.scan() == wanted == everywhere({22, 443})
    with watching(world) as log:
        for number in range(1, 4):
            flush(lab)
            wait_for(lambda number=number: len(lines(log, "put-back")) == number)
            assert scanner.scan() == both_let_in(world) == wanted
    flush(lab)
    assert scanner.scan() == both_let_in(world) == everywhere({22, 443, 3389})
    with scanning(world, scanner):
        world.apply()
    assert scanner.scan() == both_let_in(world) == wanted


@long
def test_law3_a_client_loses_nothing_over_a_thousand_changes(world: World, lab: Lab) -> None:
    """Counted by the kernel before and behind the table, over IPv4 and IPv6."""
    world.ports = ["22/tcp", "443/tcp"]
    world.apply()
    lab.nft(REFEREE)
    with Knocking(lab, 443, HOST4) as over_ipv4, Knocking(lab, 443, HOST6) as over_ipv6:
        for number in range(1000):
            replace_extra_port(lab, 9000 + number)
    before, behind = referee_counts(lab)
    print(f"{before} connections counted over 1,000 changes, {before - behind} lost")
    assert before >= over_ipv4.tries + over_ipv6.tries > 1000
    assert behind == before


def spells_of_openness(lab: Lab, port: int, stop: threading.Event) -> list[float]:
    """The moments at which a datagram to a forbidden port arrived at the machine, sent every half
    millisecond until `stop`."""
    server = in_namespace(lab.host, lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    server.bind(("0.0.0.0", port))
    server.setblocking(False)
    client = in_namespace(lab.inet, lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    moments = []
    with server, client:
        while not stop.is_set():
            client.sendto(b"?", (HOST4, port))
            time.sleep(0.0005)
            try:
                server.recv(16)
                moments.append(time.monotonic())
            except BlockingIOError:
                pass
    return moments


@long
def test_after_a_flush_a_forbidden_port_is_open_for_milliseconds_only(
    world: World, lab: Lab
) -> None:
    world.apply("--firewall", NAME)
    spells = []
    with watching(world) as log:
        for number in range(1, 11):
            stop, moments = threading.Event(), []
            thread = threading.Thread(
                target=lambda s=stop, m=moments: m.extend(spells_of_openness(lab, 5300, s))
            )
            thread.start()
            time.sleep(0.3)
            flush(lab)
            wait_for(lambda number=number: len(lines(log, "put-back")) == number)
            time.sleep(0.2)
            stop.set()
            thread.join()
            spells.append((moments[-1] - moments[0]) * 1000 if moments else 0.0)
    print("open after a flush, ms:", ", ".join(f"{spell:.0f}" for spell in sorted(spells)))
    assert sorted(spells)[len(spells) // 2] < 500
    assert subprocess.run([*lab.inside, "nft", "list", "table", "inet", "cloudsync"],
                          check=False, capture_output=True).returncode == 0  # fmt: skip
