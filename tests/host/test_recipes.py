"""What the usual recipes for Docker behind a host firewall do, on a real engine: each claim of
docs/other-recipes.md that can be shown in seconds, and that the table does better."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.host.engine import Engine, missing
from tests.host.lab import HOST4, HOST6, OTHER4, PEER4, Lab, in_namespace
from tests.host.site import Site
from tests.host.test_beside_others import Box, firewalld, ufw

__all__ = ["firewalld", "ufw"]
pytestmark = pytest.mark.engine
ALL = (8090, 8091, 9090)
BLOCK = """
*nat
:POSTROUTING ACCEPT [0:0]
-A POSTROUTING -s 172.17.0.0/16 -j MASQUERADE
COMMIT
*filter
:ufw-user-forward - [0:0]
:DOCKER-USER - [0:0]
-A DOCKER-USER -s 10.0.0.0/8 -j RETURN
-A DOCKER-USER -s 172.16.0.0/12 -j RETURN
-A DOCKER-USER -s 192.168.0.0/16 -j RETURN
-A DOCKER-USER -j ufw-user-forward
-A DOCKER-USER -j DROP
COMMIT
"""


def serving(engine: Engine) -> None:
    """8090 is wanted, 8091 is a database's, 9090 is on the host's network."""
    engine.serve("web", 80, "-p", "8090:80", "--label", "cloudsync.expose=true")
    engine.serve("db", 80, "-p", "8091:80")
    engine.serve("nohost", 9090, "--network", "host")


@pytest.fixture
def engine(lab: Lab, site: Site) -> Iterator[Engine]:
    if (reason := missing()) is not None:
        pytest.skip(reason)
    with Engine(lab) as engine:
        serving(engine)
        configure(site, engine)
        yield engine


def configure(site: Site, engine: Engine) -> None:
    site.host = {"docker": f"unix://{engine.socket}"}
    site.policy["expose"] = "labelled"


def iptables(lab: Lab, *words: str) -> str:
    done = subprocess.run(
        [*lab.inside, "iptables", *words], capture_output=True, text=True, check=True
    )
    return done.stdout


def address(engine: Engine, name: str) -> str:
    return engine.docker("inspect", "-f", "{{.NetworkSettings.IPAddress}}", name)


def gets_out(engine: Engine, name: str) -> bool:
    """Whether a container reaches a server outside."""
    process = engine.docker("inspect", "-f", "{{.State.Pid}}", name)
    script = f"import socket; socket.create_connection(('{PEER4}', 8000), 2)"
    words = ["nsenter", f"--net=/proc/{process}/ns/net", "--", sys.executable, "-c", script]
    return subprocess.run(words, check=False, capture_output=True).returncode == 0


def answers(lab: Lab, port: int) -> bool:
    """Whether a web server is reached there, not merely a refusal of the machine's."""

    def attempt() -> bool:
        try:
            with socket.create_connection((HOST4, port), 2) as client:
                client.sendall(b"GET / HTTP/1.0\r\n\r\n")
                return client.recv(4) == b"HTTP"
        except OSError:
            return False

    return in_namespace(lab.inet, attempt)


def routed(lab: Lab, network: str) -> None:
    """Neighbours have a route to the containers by way of the machine."""
    for namespace, via in ((lab.inet, "203.0.113.1"), (lab.cloud, HOST4)):
        subprocess.run(["ip", "-n", namespace, "route", "add", network, "via", via], check=True)


# iptables -A DOCKER-USER


def test_rules_appended_to_docker_user_stand_behind_its_return(lab: Lab, engine: Engine) -> None:
    iptables(lab, "-A", "DOCKER-USER", "-i", "eth0", "-j", "DROP")
    assert lab.scan(ALL) == set(ALL)


def test_in_front_of_it_they_miss_ipv6_and_host_networking(
    lab: Lab, engine: Engine, site: Site
) -> None:
    iptables(lab, "-I", "DOCKER-USER", "-i", "eth0", "-j", "DROP")
    assert lab.scan(ALL) == {9090}
    assert lab.scan(ALL, HOST6) == set(ALL)
    iptables(lab, "-D", "DOCKER-USER", "-i", "eth0", "-j", "DROP")
    site.apply()
    assert lab.scan(ALL) == lab.scan(ALL, HOST6) == {8090}


def test_an_address_that_is_let_in_there_reaches_every_published_port(
    lab: Lab, engine: Engine
) -> None:
    iptables(lab, "-I", "DOCKER-USER", "-i", "eth0", "-j", "DROP")
    iptables(lab, "-I", "DOCKER-USER", "-i", "eth0", "-s", OTHER4, "-j", "ACCEPT")
    assert lab.tcp(8090, source=OTHER4) == lab.tcp(8091, source=OTHER4) == "open"


def test_a_port_there_is_the_containers_and_not_the_published_one(lab: Lab, engine: Engine) -> None:
    iptables(lab, "-I", "DOCKER-USER", "-i", "eth0", "-p", "tcp", "--dport", "8091", "-j", "DROP")
    assert lab.tcp(8091) == "open"
    iptables(lab, "-I", "DOCKER-USER", "-i", "eth0", "-p", "tcp", "--dport", "80", "-j", "DROP")
    assert lab.tcp(8091) == lab.tcp(8090) == "closed"


def test_without_a_rule_for_replies_containers_get_nowhere(
    lab: Lab, engine: Engine, site: Site
) -> None:
    lab.listen_outside(8000)
    assert gets_out(engine, "web")
    iptables(lab, "-I", "DOCKER-USER", "-i", "eth0", "-j", "DROP")
    assert not gets_out(engine, "web")
    iptables(lab, "-D", "DOCKER-USER", "-i", "eth0", "-j", "DROP")
    site.apply()
    assert gets_out(engine, "web")


def test_saved_rules_lead_a_port_to_whichever_container_has_the_address_now(
    lab: Lab, engine: Engine, site: Site
) -> None:
    """`netfilter-persistent save`, and its reload after web went and a database came."""
    before = address(engine, "web")
    words = [*lab.inside, "iptables-save"]
    saved = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    engine.docker("rm", "-f", "web", "db")
    engine.serve("inner", 80)
    assert address(engine, "inner") == before
    assert not answers(lab, 8090)
    subprocess.run([*lab.inside, "iptables-restore"], input=saved, text=True, check=True)
    # It publishes nothing, and answers.
    assert engine.docker("port", "inner") == ""
    assert answers(lab, 8090)
    site.apply()
    assert not answers(lab, 8090)


def test_a_publish_on_loopback_is_reached_by_neighbours_before_docker_28(
    lab: Lab, engine: Engine, site: Site
) -> None:
    engine.serve("local", 80, "-p", "127.0.0.1:8092:80")
    inner = address(engine, "local")
    routed(lab, inner.rpartition(".")[0] + ".0/24")
    assert lab.tcp(80, inner) == "open"
    site.apply()
    assert lab.tcp(80, inner) == "closed"


def test_forwarding_by_default_opens_what_nothing_publishes_to_neighbours(
    lab: Lab, engine: Engine, site: Site
) -> None:
    """What `DEFAULT_FORWARD_POLICY="ACCEPT"` does, on engines before 28."""
    engine.serve("inner", 9999)
    inner = address(engine, "inner")
    routed(lab, inner.rpartition(".")[0] + ".0/24")
    assert lab.tcp(9999, inner) == "closed"
    iptables(lab, "-P", "FORWARD", "ACCEPT")
    assert lab.tcp(9999, inner) == "open"
    site.apply()
    assert lab.tcp(9999, inner) == "closed"


def test_connecting_a_database_to_look_makes_it_public(
    lab: Lab, engine: Engine, site: Site
) -> None:
    """`docker network connect` of one with a publish that an internal network kept asleep."""
    engine.docker("network", "create", "--internal", "inner")
    engine.docker("network", "create", "outer")
    engine.serve("sleeper", 80, "--network", "inner", "-p", "8093:80")
    assert not answers(lab, 8093)
    site.apply()
    engine.docker("network", "connect", "outer", "sleeper")
    assert lab.tcp(8093) == "closed"
    subprocess.run([*lab.inside, "nft", "delete", "table", "inet", "cloudsync"], check=True)
    assert answers(lab, 8093)


# ufw


def test_ufw_denies_everything_and_published_ports_stay_open(
    lab: Lab, engine: Engine, site: Site, ufw: Box
) -> None:
    ufw.run("ufw", "allow", "22/tcp")
    ufw.run("ufw", "--force", "enable")
    assert lab.scan(ALL) == {8090, 8091}
    site.apply()
    assert lab.scan(ALL) == {8090}


def test_the_block_in_after_rules_cuts_containers_off_and_grows_with_every_reload(
    lab: Lab, engine: Engine, ufw: Box
) -> None:
    lab.listen_outside(8000)
    assert gets_out(engine, "web")
    ufw.run("sh", "-c", f"cat >> /etc/ufw/after.rules <<'E'\n{BLOCK}\nE")
    ufw.run("ufw", "allow", "22/tcp")
    ufw.run("ufw", "--force", "enable")
    assert lab.scan((8090, 8091)) == set()
    assert not gets_out(engine, "web")
    # Allowing the published port has no effect; by route it is the container's, of all of them.
    ufw.run("ufw", "allow", "8090/tcp")
    assert lab.tcp(8090) == "closed"
    ufw.run("ufw", "route", "allow", "proto", "tcp", "from", "any", "to", "any", "port", "80")
    assert lab.tcp(8090) == lab.tcp(8091) == "open"
    for _ in range(3):
        ufw.run("ufw", "reload")
    rules = iptables(lab, "-t", "nat", "-S", "POSTROUTING")
    assert len(re.findall("-s 172.17.0.0/16 -j MASQUERADE", rules)) >= 4
    # And undoing it takes only half of it away.
    ufw.run("ufw", "disable")
    assert "-j DROP" in iptables(lab, "-S", "DOCKER-USER")


# firewalld


def test_a_port_added_to_firewallds_zone_of_docker_changes_nothing(
    lab: Lab, site: Site, firewalld: Box
) -> None:
    if (reason := missing()) is not None:
        pytest.skip(reason)
    engine = Engine(lab)
    engine.inside = firewalld.words
    with engine:
        serving(engine)
        configure(site, engine)
        zone = firewalld.run("sh", "-c", "firewall-cmd --permanent --new-zone=docker 2>&1 || :")
        assert "NAME_CONFLICT" in zone
        assert "target: ACCEPT" in firewalld.run("firewall-cmd", "--zone=docker", "--list-all")
        before = lab.scan((8090, 8091))
        assert before == {8090, 8091}
        assert "success" in firewalld.run("firewall-cmd", "--zone=docker", "--add-port=8090/tcp")
        assert lab.scan((8090, 8091)) == before
        firewalld.run("firewall-cmd", "--add-port=22/tcp")
        site.apply()
        assert lab.scan((8090, 8091)) == {8090}


PAGE = Path(__file__).parents[2] / "docs" / "other-recipes.md"


def test_the_page_names_only_proofs_that_are_there() -> None:
    named = set(re.findall(r"`(test_[a-z0-9_]+)`", PAGE.read_text()))
    here = {name for name in globals() if name.startswith("test_")}
    recorded = "test_a_chain_docker_user_made_by_hand_stops_nothing_of_dockers_nftables_backend"
    assert named <= here | {recorded}
    assert here - {"test_the_page_names_only_proofs_that_are_there"} <= named
