"""What widely copied guides recommend for Docker and firewalls, set up as they say on a real
machine: the audit says what is wrong with it. The table in `docs/audit.md` has the same rows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from cloudsync.audit.report import of_machine
from cloudsync.reconcile.machine_facts import of_files
from tests.audit.world import Found, Site
from tests.host.engine import missing
from tests.host.namespace import needs

pytestmark = [pytest.mark.engine, pytest.mark.timeout(300)]
PROXY = """\
services:
  traefik:
    image: traefik:v2.10
    command:
      - --api.dashboard=true
      - --api.authentication.basic.users=admin:$$apr1$$x
      - --providers.docker=true
      - --certificatesresolvers.myresolver.acme.tlschallenge=true
      - --certificatesresolvers.myresolver.acme.email=[email protected]
    ports:
      - "127.0.0.1:80:80"
    volumes:
      - /var/run/docker.sock:/var/run/docker.sock:ro
    labels:
      - traefik.http.routers.dashboard.middlewares=auth@file
      - traefik.http.middlewares.ratelimit.ratelimit.average=100
  app:
    image: nginx
    labels:
      - traefik.http.routers.app.rule=Host(`app.example.com`)
"""
AFTER_RULES = """\
*filter
:DOCKER-USER - [0:0]
-A DOCKER-USER -j RETURN -s 10.0.0.0/8
-A DOCKER-USER -j RETURN -s 172.16.0.0/12
-A DOCKER-USER -j RETURN -s 192.168.0.0/16
-A DOCKER-USER -j DROP
COMMIT
*nat
:POSTROUTING ACCEPT [0:0]
-A POSTROUTING -s 172.17.0.0/16 -o eth0 -j MASQUERADE
COMMIT
"""


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A machine whose web server is published, and open in the cloud."""
    needs("busybox", "ufw", "firewalld")
    if (reason := missing()) is not None:
        pytest.skip(reason)
    with Site(tmp_path) as machine:
        machine.serve("web", "8080:80", 80)
        machine.lets_in("8080")
        assert machine.found() == []
        yield machine


def of_compose(folder: Path, content: str) -> list[tuple[str, str]]:
    (folder / "compose.yaml").write_text(content)
    (facts,) = of_files([str(folder / "compose.yaml")])
    assert facts.blind == ()
    return [(found.id, found.object.rpartition("/")[2]) for found in of_machine(facts)]


def test_the_proxy_on_loopback_serves_nobody_and_its_password_does_not_exist(
    tmp_path: Path,
) -> None:
    assert of_compose(tmp_path, PROXY) == [("CS031", "traefik"), ("CS033", "traefik")]


def test_published_as_it_has_to_be_its_read_only_socket_is_one_too(tmp_path: Path) -> None:
    public = PROXY.replace("127.0.0.1:80:80", "80:80")
    assert ("CS004", "traefik") in of_compose(tmp_path, public)


def test_what_goes_round_the_proxy_is_found_if_it_is_a_database(tmp_path: Path) -> None:
    """ "All traffic is routed through Traefik": containers of one network reach each other."""
    public = PROXY.replace("127.0.0.1:80:80", "80:80")
    findings = of_compose(tmp_path, f"{public}  db:\n    image: postgres:16\n")
    assert ("CS028", "db") in findings


def test_a_port_that_ufw_allows_or_routes_is_not_why_it_is_open(site: Site) -> None:
    site.run("ufw", "--force", "enable")
    assert site.found() == [Found("CS005", "high", "ufw")]
    assert site.lab.tcp(8080) == "open"
    site.run("ufw", "deny", "8080/tcp")
    site.run("ufw", "route", "allow", "proto", "tcp", "to", "any", "port", "80")
    assert site.found() == [Found("CS005", "high", "ufw")]
    assert site.lab.tcp(8080) == "open"


def test_an_input_chain_that_drops_stops_nothing_that_is_published(site: Site) -> None:
    """ "Docker adds its own rules before your rules": INPUT never sees the packets."""
    site.serve("spare", "7000:80", 80, "-l", "cloudsync.expose=false")
    site.lets_in("8080", "7000")
    for line in ("-A INPUT -i lo -j ACCEPT", "-P INPUT DROP"):
        site.iptables(line)
    assert site.found() == [Found("CS001", "critical", "spare")]
    assert site.lab.tcp(7000) == "open"


def test_three_appended_lines_never_match(site: Site) -> None:
    for line in ("-s 203.0.113.1 -j ACCEPT", "-p tcp --dport 80 -j ACCEPT", "-j DROP"):
        site.iptables(f"-A DOCKER-USER {line}")
    assert site.found() == [Found("CS008", "high", "chain DOCKER-USER")]


def test_the_same_lines_where_they_match_leave_ipv6_open_and_compare_the_wrong_port(
    site: Site,
) -> None:
    site.iptables("-F DOCKER-USER")
    for line in ("-s 203.0.113.1 -j ACCEPT", "-p tcp --dport 8080 -j ACCEPT", "-j DROP"):
        site.iptables(f"-A DOCKER-USER {line}")
    assert site.found() == [
        Found("CS009", "high", "chain DOCKER-USER"),
        Found("CS012", "high", "docker-proxy"),
        Found("CS013", "medium", "chain DOCKER-USER"),
    ]


def test_saved_and_reloaded_rules_open_a_container_that_publishes_nothing(site: Site) -> None:
    site.write("/etc/iptables/rules.v4", site.run("iptables-save"))
    site.enable("netfilter-persistent.service")
    assert site.found() == [Found("CS018", "high", "/etc/iptables/rules.v4")]
    site.engine.remove_containers()
    site.serve("db", "", 80)
    site.run("iptables-restore", "/etc/iptables/rules.v4")
    assert Found("CS019", "critical", "db") in site.found()
    assert site.lab.tcp(8080) == "open"


def test_a_port_added_to_the_zone_of_docker_changes_nothing(site: Site) -> None:
    site.write(
        "/etc/firewalld/zones/docker.xml",
        '<?xml version="1.0" encoding="utf-8"?>\n<zone target="ACCEPT"><short>docker</short>'
        '<interface name="docker0"/></zone>\n',
    )
    site.firewalld()
    site.run("firewall-cmd", "--permanent", "--zone=docker", "--add-port=8080/tcp")
    assert [found.id for found in site.found()] == ["CS006", "CS007", "CS017"]


def test_a_forward_policy_and_a_block_in_after_rules(site: Site) -> None:
    defaults = site.run("cat", "/etc/default/ufw")
    site.write(
        "/etc/default/ufw",
        defaults.replace('DEFAULT_FORWARD_POLICY="DROP"', 'DEFAULT_FORWARD_POLICY="ACCEPT"'),
    )
    site.append("/etc/ufw/after.rules", AFTER_RULES)
    site.run("ufw", "--force", "enable")
    for _ in range(3):
        site.run("ufw", "reload")
    assert site.found() == [
        Found("CS012", "high", "docker-proxy"),
        Found("CS014", "high", "/etc/ufw/after.rules"),
        Found("CS015", "high", "DEFAULT_FORWARD_POLICY"),
    ]
    reasons = {finding["id"]: finding["reason"] for finding in site.audit()["findings"]}
    assert "drops replies" in reasons["CS014"]
    assert "every private neighbour" in reasons["CS014"]
    assert "MASQUERADE line once more (there are" in reasons["CS014"]
    site.run("ufw", "disable")
    assert "CS015" in [found.id for found in site.found()]


def test_an_internal_network_reaches_the_machine_and_a_connect_opens_what_waits(
    site: Site,
) -> None:
    site.listen(9998)
    site.engine.docker("network", "create", "--internal", "isolated")
    site.serve("db", "3306:3306", 3306, "--network", "isolated", image="mysql:8")
    assert [found.id for found in site.found()] == ["CS023", "CS027", "CS029"]
    site.engine.docker("network", "connect", "bridge", "db")
    assert "CS002" in [found.id for found in site.found()]


def test_the_simplest_fix_is_open_to_neighbours_before_docker_28(site: Site) -> None:
    site.serve("admin", "127.0.0.1:8081:80", 80)
    assert site.found() == [Found("CS016", "medium", "admin")]
