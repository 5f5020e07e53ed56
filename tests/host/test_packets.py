"""What really gets through, seen from outside: the open ports are those of the plan."""

from __future__ import annotations

import fcntl
import json
import socket
import struct
import subprocess
import termios
import threading
import time
from collections import Counter
from dataclasses import replace
from typing import Self

import pytest

from cloudsync.provider.marker import Marker
from cloudsync.rules import Rule
from cloudsync.rules.networks import ANY
from cloudsync_host.elements import elements_of
from cloudsync_host.transaction import Goal, change, install, start_trial
from cloudsync_host.trial import keep
from tests.host.lab import HOST4, HOST6, OTHER4, PEER4, Lab, in_namespace
from tests.host.scanner import Flood
from tests.host.site import NAME, Site
from tests.host.transactions import DROPPING, carry_out, kernel, table_of

pytestmark = pytest.mark.engine
SOME = (*range(1, 1025), 8080, 8443, 30000, 65535)


def test_what_is_open_from_outside_is_what_the_plan_opens(site: Site, lab: Lab) -> None:
    site.ports = ["22/tcp", "443/tcp", "53/udp"]
    assert lab.scan(SOME) == set(SOME)
    site.apply()
    for address in (HOST4, HOST6):
        assert lab.scan(SOME, address) == {22, 443}
        assert lab.udp(53, address) == "open"
    assert site.plan()["firewalls"][0]["changes"] == []


def test_observing_drops_nothing_and_names_what_it_would_drop(site: Site, lab: Lab) -> None:
    site.keys["enforce"] = "observe"
    site.ports = ["22/tcp", "443/tcp"]
    done = site.run("apply", "--auto-approve")
    assert done.returncode == 0, done.stderr
    assert lab.scan((22, 443, 8080, 9999)) == {22, 443, 8080, 9999}
    assert lab.tcp(8443, HOST6) == "open"
    observed = json.loads(site.run("observe", "--output", "json").stdout)["firewalls"][0]
    assert observed["enforced"] is False
    assert {(cut["protocol"], cut["port"], cut["source"]) for cut in observed["cut"]} == {
        ("tcp", 8080, PEER4),
        ("tcp", 9999, PEER4),
        ("tcp", 8443, "2001:db8:1::2"),
    }
    shown = site.run("observe").stdout
    assert "observes: nothing is dropped" in shown
    assert "8080/tcp" in shown


def test_an_opening_that_somebody_used_is_not_called_unused(site: Site, lab: Lab) -> None:
    site.ports = ["22/tcp", "443/tcp", "8080/tcp"]
    site.apply()
    assert lab.tcp(443) == lab.tcp(443, HOST6) == "open"
    observed = json.loads(site.run("observe", "--output", "json").stdout)["firewalls"][0]
    assert [unused["ports"] for unused in observed["unused"]] == ["22", "8080"]


def test_law1_to_start_dropping_needs_the_word_of_the_user(site: Site, lab: Lab) -> None:
    site.keys["enforce"] = "observe"
    assert site.run("apply", "--auto-approve").returncode == 0
    assert lab.tcp(8080) == lab.tcp(8080, source=OTHER4) == "open"
    site.keys["enforce"] = "enforce"
    assert site.actions() == ["attach machine web-1"]
    shown = " ".join(site.run("plan").stdout.split())
    assert "what came and would be cut: 8080/tcp (2 sources, 2 packets)" in shown
    assert site.run("apply", "--auto-approve").returncode == 3
    assert lab.tcp(8080) == "open"
    site.apply()
    assert lab.tcp(8080) == "closed"
    assert lab.tcp(22) == "open"


def test_law1_creating_one_that_drops_needs_the_word_of_the_user(site: Site, lab: Lab) -> None:
    assert site.run("apply", "--auto-approve").returncode == 3
    assert lab.listing() == ""
    assert lab.tcp(8080) == "open"


def test_law1_nothing_starts_to_drop_while_the_host_is_not_read_completely(
    site: Site, lab: Lab
) -> None:
    site.host = {"docker": f"unix://{site.folder}/no-engine.sock"}
    done = site.run("apply", "--auto-approve", "--allow-attach", NAME)
    assert done.returncode == 75
    assert lab.tcp(8080) == "open"


def test_going_back_to_observing_opens_everything_and_the_plan_says_so(
    site: Site, lab: Lab
) -> None:
    site.apply()
    site.keys["enforce"] = "observe"
    (change,) = site.plan()["firewalls"][0]["changes"]
    assert (change["action"], change["opens_now"]) == ("reapply", True)
    assert site.run("apply", "--auto-approve").returncode == 0
    assert lab.tcp(8080) == "open"


def test_sources_are_held_apart(site: Site, lab: Lab) -> None:
    site.ssh = {"ports": [22], "sources": [f"{PEER4}/32"]}
    site.ports = ["443/tcp"]
    site.apply()
    assert lab.tcp(22, source=PEER4) == "open"
    assert lab.tcp(22, source=OTHER4) == "closed"
    assert lab.tcp(443, source=OTHER4) == "open"


def test_a_peer_may_do_everything_and_others_may_not(site: Site, lab: Lab) -> None:
    site.keys["peers"] = [f"{OTHER4}/32"]
    site.apply()
    assert lab.tcp(8443, source=OTHER4) == lab.udp(53, source=OTHER4) == "open"
    assert lab.tcp(8443, source=PEER4) == "closed"


def test_echo_is_a_rule_and_errors_pass_always(site: Site, lab: Lab) -> None:
    site.apply()
    assert lab.ping() == lab.ping(HOST6) == "closed"
    site.policy["icmp"] = "echo"
    site.apply()
    assert lab.ping() == lab.ping(HOST6) == "open"


def test_neighbour_discovery_goes_on_under_the_firewall(site: Site, lab: Lab) -> None:
    site.apply()
    for namespace in (lab.host, lab.cloud):
        words = ["ip", "-n", namespace, "-6", "neigh", "flush", "all"]
        subprocess.run(words, check=True, capture_output=True)
    assert lab.tcp(22, HOST6) == "open"


@pytest.mark.parametrize(
    ("source", "from_port", "target", "to_port"),
    [("198.51.100.1", 67, HOST4, 68), ("link-local", 547, HOST6, 546)],
    ids=["ipv4", "ipv6"],
)
def test_an_address_is_leased_under_the_firewall_and_by_nobody_else(
    site: Site, lab: Lab, source: str, from_port: int, target: str, to_port: int
) -> None:
    """What a DHCP server sends comes to the client's port; the same from another port does not."""
    site.apply()
    if source == "link-local":
        source = link_local(lab.cloud, "out0")
    family = socket.AF_INET6 if ":" in target else socket.AF_INET
    client = in_namespace(lab.host, lambda: socket.socket(family, socket.SOCK_DGRAM))
    with client:
        client.bind(("::" if family == socket.AF_INET6 else "0.0.0.0", to_port))
        client.settimeout(1)
        for port, answer in ((from_port + 1000, b""), (from_port, b"lease")):
            send_from(lab, source, port, target, to_port)
            assert received(client) == answer


def link_local(namespace: str, link: str) -> str:
    """The address of an interface that its neighbours know it by."""
    words = ["ip", "-n", namespace, "-j", "-6", "addr", "show", "dev", link, "scope", "link"]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    return next(
        str(address["local"])
        for shown in json.loads(done.stdout)
        for address in shown.get("addr_info", ())
        if address
    )


def send_from(lab: Lab, source: str, port: int, target: str, to_port: int) -> None:
    """A datagram from the router."""
    family = socket.AF_INET6 if ":" in target else socket.AF_INET

    def send() -> None:
        with socket.socket(family, socket.SOCK_DGRAM) as server:
            scope = socket.if_nametoindex("out0")
            server.bind((source, port, 0, scope) if ":" in source else (source, port))
            server.sendto(b"lease", (target, to_port))

    in_namespace(lab.cloud, send)


def received(client: socket.socket) -> bytes:
    try:
        return client.recv(100)
    except TimeoutError:
        return b""


def test_the_machine_reaches_the_internet_and_itself(site: Site, lab: Lab) -> None:
    site.apply()
    for address in (HOST4, "127.0.0.1", "::1"):
        words = [
            *lab.inside,
            "python3",
            "-c",
            f"import socket; socket.create_connection(('{address}', 8443), 2)",
        ]
        assert subprocess.run(words, check=False).returncode == 0, address
    words = [*lab.inside, "busybox", "ping", "-c1", "-W1", "203.0.113.1"]
    assert subprocess.run(words, check=False, capture_output=True).returncode == 0


def test_closing_a_port_keeps_its_connections_unless_they_are_to_be_cut(
    site: Site, lab: Lab
) -> None:
    site.ports = ["22/tcp", "443/tcp"]
    site.apply()
    with lab.connect(443) as connection:
        site.ports = ["22/tcp"]
        site.apply()
        assert _goes_on(connection)
        site.keys["established"] = "cut"
        site.apply()
        assert not _goes_on(connection)


def _goes_on(connection: socket.socket) -> bool:
    """Whether what is sent is acknowledged: nothing of it stays in the queue."""
    connection.send(b"x")
    until = time.monotonic() + 1
    while time.monotonic() < until:
        queued = struct.unpack("i", fcntl.ioctl(connection, termios.TIOCOUTQ, b"\0" * 4))[0]
        if queued == 0:
            return True
        time.sleep(0.02)
    return False


REFEREE = """table inet referee {
    chain before { type filter hook prerouting priority -151; tcp dport 443 tcp flags syn counter; }
    chain behind { type filter hook prerouting priority -149; tcp dport 443 tcp flags syn counter; }
}
"""


def test_law3_a_port_that_stays_wanted_loses_nothing_over_many_changes(
    site: Site, lab: Lab
) -> None:
    """Counted by the kernel before and behind the table, while somebody connects in a loop."""
    site.ports = ["22/tcp", "443/tcp"]
    site.apply()
    lab.nft(REFEREE)
    with Knocking(lab, 443) as knocking:
        for number in range(60):
            replace_extra_port(lab, 9000 + number)
    before, behind = referee_counts(lab)
    assert before >= knocking.tries > 60
    assert behind == before


def test_law3_a_trial_begins_and_is_kept_without_losing_a_packet(lab: Lab) -> None:
    """Of a port that stays wanted as it begins, and of one that opened with it as it is kept: the
    kernel puts elements into effect a moment after rules, and about one packet of such a flood came
    in between each time."""

    def listing(*ports: str) -> Goal:
        rules = [Rule.of("tcp", number, ANY) for number in ports]
        elements = tuple(element for rule in rules for element in elements_of(rule))
        return Goal(elements, DROPPING, Marker("o", "f", "h"))

    old, new = listing("22", "443", "8000-8009"), listing("22", "443", "8000-8010", "9000")
    lost = Counter[int]()
    for _ in range(20):
        carry_out(lab, install(replace(old, shape=replace(DROPPING, enforced=False))))
        carry_out(lab, change(table_of(lab), old))
        with Flood(lab, 443) as flood:
            carry_out(lab, start_trial(table_of(lab), new, 60, ""))
        lost[443] += flood.lost
        with Flood(lab, 9000) as flood:
            in_namespace(lab.host, lambda: keep(kernel(), table_of(lab), new))
        lost[9000] += flood.lost
        assert not change(table_of(lab), new)
        lab.nft("delete table inet cloudsync")
    assert not +lost, lost


class Knocking:
    """Connects to a port from outside, again and again, until the end of the block. `pause`:
    seconds between two attempts, where others need the processor more."""

    def __init__(
        self, lab: Lab, port: int, address: str = HOST4, *, pause: float | None = None
    ) -> None:
        self.lab, self.port, self.address, self.tries = lab, port, address, 0
        self._pause = pause
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._knock)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _knock(self) -> None:
        while not self._stop.is_set():
            self.lab.tcp(self.port, self.address)
            self.tries += 1
            if self._pause is not None:
                self._stop.wait(self._pause)


def replace_extra_port(lab: Lab, port: int) -> None:
    """One transaction of the provider: everything but 22 and 443 goes, and `port` opens."""
    table = table_of(lab)
    staying = tuple(element for element in table.elements if element.key[1] in ("22", "443"))
    extra = tuple(elements_of(Rule.of("tcp", str(port), ANY)))
    carry_out(lab, change(table, Goal((*staying, *extra), DROPPING, table.marker)))


def referee_counts(lab: Lab) -> tuple[int, int]:
    """SYNs to 443 before and behind the table."""
    words = [*lab.inside, "nft", "-j", "list", "table", "inet", "referee"]
    listing = json.loads(subprocess.run(words, capture_output=True, text=True, check=True).stdout)
    before, behind = (
        expression["counter"]["packets"]
        for item in listing["nftables"]
        if "rule" in item
        for expression in item["rule"]["expr"]
        if "counter" in expression
    )
    return before, behind
