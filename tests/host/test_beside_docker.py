"""In front of a real Docker: what it publishes is filtered, whatever it does to its own rules."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.host.engine import Engine, missing
from tests.host.lab import HOST4, HOST6, PEER4, Lab
from tests.host.site import NAME, Site

pytestmark = pytest.mark.engine
SCANNED = (22, 80, 443, 8080, 8090, 8091, 8092, 9090, 9999)
"""What the host serves itself, what containers publish (8092 on loopback only), a container on the
host's network, and a port that nobody serves."""


@pytest.fixture
def engine(lab: Lab, site: Site) -> Iterator[Engine]:
    """Three published ports and one container on the host's network; only 8080 is asked for."""
    if (reason := missing()) is not None:
        pytest.skip(reason)
    with Engine(lab) as engine:
        engine.serve("web", 80, "-p", "8090:80", "--label", "cloudsync.expose=true")
        engine.serve("db", 80, "-p", "8091:80")
        engine.serve("local", 80, "-p", "127.0.0.1:8092:80")
        engine.serve("nohost", 9090, "--network", "host")
        site.ports = ["22/tcp"]
        site.host = {"docker": f"unix://{engine.socket}"}
        site.policy["expose"] = "labelled"
        yield engine


def test_published_ports_are_those_of_the_plan_before_and_after_everything_docker_does(
    site: Site, lab: Lab, engine: Engine
) -> None:
    assert {8090, 8091, 9090} <= lab.scan(SCANNED)
    site.apply()
    assert lab.scan(SCANNED) == {22, 8090}
    assert lab.scan(SCANNED, HOST6) == {22, 8090}

    engine.serve("more", 80, "-p", "8093:80")
    engine.docker("network", "create", "other")
    engine.docker("restart", "-t", "0", "db")
    assert lab.scan((*SCANNED, 8093)) == {22, 8090}

    engine.stop()
    engine.start()
    engine.docker("start", "web", "db")
    assert lab.scan(SCANNED) == {22, 8090}

    # Docker's own forwarding breaks by this until its restart; ours opens nothing for it.
    subprocess.run([*lab.inside, "iptables", "-F"], check=True)
    assert {22} <= lab.scan(SCANNED) <= {22, 8090}


def test_a_container_reaches_the_internet_other_containers_and_itself_by_the_host(
    site: Site, lab: Lab, engine: Engine
) -> None:
    site.apply()
    lab.listen_outside(8000)
    address = engine.docker("inspect", "-f", "{{.NetworkSettings.IPAddress}}", "db")
    process = engine.docker("inspect", "-f", "{{.State.Pid}}", "web")
    for target, port in ((address, 80), (HOST4, 8091), (PEER4, 8000)):
        script = f"import socket; socket.create_connection(('{target}', {port}), 3)"
        words = ["nsenter", f"--net=/proc/{process}/ns/net", "--", sys.executable, "-c", script]
        assert subprocess.run(words, check=False).returncode == 0, (target, port)


def test_a_neighbour_does_not_reach_a_container_by_its_own_address(
    site: Site, lab: Lab, engine: Engine
) -> None:
    address = engine.docker("inspect", "-f", "{{.NetworkSettings.IPAddress}}", "web")
    network = address.rpartition(".")[0] + ".0/24"
    for namespace, via in ((lab.inet, "203.0.113.1"), (lab.cloud, HOST4)):
        subprocess.run(["ip", "-n", namespace, "route", "add", network, "via", via], check=True)
    assert lab.tcp(80, address) == "open"
    site.ports = ["22/tcp", "80/tcp"]
    site.apply()
    assert lab.tcp(80, address) == "closed"


def test_a_port_that_a_container_publishes_later_opens_at_the_next_apply_and_closes_again(
    site: Site, lab: Lab, engine: Engine
) -> None:
    site.apply()
    engine.serve("api", 80, "-p", "8094:80", "--label", "cloudsync.expose=true")
    assert lab.tcp(8094) == "closed"
    site.apply()
    assert lab.tcp(8094) == "open"
    engine.docker("rm", "-f", "api")
    site.apply("--now")
    assert lab.scan((8094, *SCANNED)) == {22, 8090}
    assert site.run("plan", "--firewall", NAME).returncode == 0


def test_docker_on_the_older_iptables_is_filtered_alike(lab: Lab, site: Site) -> None:
    """The legacy interface has tables of its own in the kernel; a packet passes both."""
    if (reason := missing("iptables-legacy")) is not None:
        pytest.skip(reason)
    with Engine(lab, legacy=True) as engine:
        engine.serve("web", 80, "-p", "8090:80", "--label", "cloudsync.expose=true")
        engine.serve("db", 80, "-p", "8091:80")
        words = [*lab.inside, "iptables-legacy", "-t", "nat", "-S", "DOCKER"]
        legacy = subprocess.run(words, capture_output=True, text=True, check=True).stdout
        assert "--dport 8091" in legacy
        site.ports = ["22/tcp"]
        site.host = {"docker": f"unix://{engine.socket}"}
        site.policy["expose"] = "labelled"
        assert lab.scan((22, 8090, 8091)) == {22, 8090, 8091}
        site.apply()
        assert lab.scan((22, 8090, 8091)) == lab.scan((22, 8090, 8091), HOST6) == {22, 8090}
        engine.stop()
        engine.start()
        engine.docker("start", "web", "db")
        assert lab.scan((22, 8090, 8091)) == {22, 8090}
        lab.listen_outside(8000)
        process = engine.docker("inspect", "-f", "{{.State.Pid}}", "web")
        script = f"import socket; socket.create_connection(('{PEER4}', 8000), 3)"
        words = ["nsenter", f"--net=/proc/{process}/ns/net", "--", sys.executable, "-c", script]
        assert subprocess.run(words, check=False).returncode == 0
