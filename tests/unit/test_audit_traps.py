"""What looks like a mistake and is fine: every trap of the catalogue finds nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cloudsync.audit.catalogue import KINDS
from cloudsync.audit.report import PASSING, audit, may_pass, of_machine
from cloudsync.model.machine_facts import (
    Cloud,
    Daemon,
    Engine,
    Facts,
    Firewalld,
    HostFirewall,
    Listener,
    Network,
    Nftables,
    NftablesFile,
    Policy,
    SavedRules,
    Sshd,
    Ufw,
)
from cloudsync.rules import Rule, RuleSet
from cloudsync.rules.networks import ANY
from cloudsync.sources.machine.iptables import parse
from tests.unit.audit_facts import (
    ACCEPT_REPLIES,
    ACCEPTING,
    DATABASE,
    ENFORCED,
    IMDS,
    INTERNAL,
    LISTENING,
    OPEN_TO_ALL,
    SHUT,
    SOCKET,
    TODAY,
    UFW,
    WANTS,
    WEB,
    chain,
    container,
    docker,
    ids,
    machine,
    nat,
    publish,
)

ROUTED = Network("r", options={"com.docker.network.bridge.gateway_mode_ipv4": "routed"})
GRAFANA = container("grafana", publish(3000), image="grafana/grafana-oss:11")
INPUT_DROPS = parse("*filter\n:INPUT DROP [0:0]\nCOMMIT")
UFW_DOCKER = ("# BEGIN UFW AND DOCKER", "-A DOCKER-USER -j DROP")


def only_the_office(port: int) -> RuleSet:
    return RuleSet.of((Rule.of("tcp", str(port), ["203.0.113.0/24"]),))


TRAPS: tuple[tuple[str, str, Facts], ...] = (
    (
        "CS001",
        "a port that the configuration asks for",
        machine(docker(container("web", publish(80))), policy=WANTS),
    ),
    (
        "CS002",
        "bound to a private address",
        machine(docker(container("db", publish(5432, address="10.0.0.2")))),
    ),
    (
        "CS002",
        "a proxy on a database's port",
        machine(docker(container("proxy", publish(5432), image="haproxy:3"))),
    ),
    (
        "CS002",
        "named by allow_sensitive",
        machine(
            docker(DATABASE),
            policy=Policy(
                required=RuleSet.of((Rule.of("tcp", "5432", ANY),)),
                allow_sensitive=RuleSet.of((Rule.of("tcp", "5432", ANY),)),
            ),
        ),
    ),
    ("CS003", "loopback only", machine(daemon=Daemon(hosts=("tcp://127.0.0.1:2375",)))),
    (
        "CS003",
        "client certificates",
        machine(daemon=Daemon(hosts=("tcp://0.0.0.0:2376",), verifies_clients=True)),
    ),
    (
        "CS004",
        "a socket proxy that publishes nothing",
        machine(docker(container("socket-proxy", mounts=(SOCKET,)))),
    ),
    ("CS005", "ufw is off", machine(docker(WEB), ufw=Ufw(False))),
    ("CS005", "a host table enforces", machine(docker(WEB), ufw=UFW, nft=ENFORCED)),
    (
        "CS005",
        "DOCKER-USER drops the rest",
        machine(docker(WEB), ufw=UFW, ip4=chain(ACCEPT_REPLIES, "-i eth0 -j DROP")),
    ),
    (
        "CS005",
        "loopback only",
        machine(docker(container("web", publish(8080, 80, "127.0.0.1"))), ufw=UFW),
    ),
    (
        "CS006",
        "StrictForwardPorts",
        machine(docker(WEB), firewalld=Firewalld(True, True, (ACCEPTING,))),
    ),
    (
        "CS007",
        "other interfaces use the zone too",
        machine(
            firewalld=Firewalld(
                True, zones=(replace(ACCEPTING, interfaces=("docker0", "eth1"), ports=("80/tcp",)),)
            )
        ),
    ),
    (
        "CS008",
        "RETURN at the end",
        machine(docker(WEB), ip4=chain("-i eth0 -s 192.0.2.0/24 -j DROP", "-j RETURN")),
    ),
    (
        "CS009",
        "host and container port are equal",
        machine(
            docker(container("web", publish(80))),
            ip4=chain(ACCEPT_REPLIES, "-p tcp --dport 80 -j DROP"),
        ),
    ),
    (
        "CS009",
        "the original port is compared",
        machine(
            docker(WEB),
            ip4=chain("-p tcp -m conntrack --ctorigdstport 8080 --ctdir ORIGINAL -j DROP"),
        ),
    ),
    ("CS010", "leftovers without an engine", machine(ip4=chain("-j DROP", forward=""))),
    (
        "CS011",
        "no global IPv6 address",
        machine(
            docker(
                container("web", publish(8080, 80, "::"), networks=("six",)),
                networks=(Network("six", ipv6=True),),
            ),
            ip4=chain(ACCEPT_REPLIES, "-j DROP"),
            global_ipv6=False,
        ),
    ),
    (
        "CS011",
        "a published port, which INPUT keeps out by neither family",
        machine(
            docker(container("web", publish(8080, 80), publish(8080, 80, "::"))),
            ip4=INPUT_DROPS,
            ip6=parse("*filter\n:INPUT ACCEPT [0:0]\nCOMMIT"),
            listeners=(Listener("tcp", "::", 8080, "docker-proxy"),),
        ),
    ),
    (
        "CS012",
        "userland-proxy is off",
        machine(
            docker(container("web", publish(8080, 80, "::"))),
            ip4=chain(ACCEPT_REPLIES, "-j DROP"),
            daemon=Daemon(userland_proxy=False),
        ),
    ),
    (
        "CS013",
        "only new connections",
        machine(docker(WEB), ip4=chain("-m conntrack --ctstate NEW -i eth0 -j DROP")),
    ),
    (
        "CS014",
        "another tool's block",
        machine(
            ufw=Ufw(
                True,
                after_rules=(
                    "# BEGIN UFW AND DOCKER",
                    "-A DOCKER-USER -j RETURN -s 10.0.0.0/8",
                    "-A DOCKER-USER -j DROP",
                ),
            )
        ),
    ),
    ("CS015", "Docker 28", machine(docker(), ip4=parse("*filter\n:FORWARD ACCEPT [0:0]\nCOMMIT"))),
    ("CS016", "Docker 28", machine(docker(container("lo", publish(8081, 80, "127.0.0.1"))))),
    (
        "CS016",
        "a host table enforces",
        machine(
            docker(container("lo", publish(8081, 80, "127.0.0.1")), version="26.1.5"), nft=ENFORCED
        ),
    ),
    ("CS017", "28.3.3", machine(docker(version="28.3.3"), firewalld=Firewalld(True))),
    (
        "CS018",
        "a file without Docker's rules",
        machine(saved=(SavedRules("/etc/iptables/rules.v4", 4, chain("-j DROP"), True),)),
    ),
    (
        "CS019",
        "it publishes the port",
        machine(
            docker(container("web", publish(8080, 80), addresses=("172.17.0.2",))),
            ip4=nat("-p tcp -m tcp --dport 8080 -j DNAT --to-destination 172.17.0.2:80"),
        ),
    ),
    (
        "CS020",
        "no unit loads it",
        machine(docker(), nft_files=(NftablesFile("/etc/nftables.conf", True, False),)),
    ),
    (
        "CS022",
        "it listens on loopback",
        machine(
            docker(container("host", network_mode="host")),
            listeners=(replace(LISTENING, address="127.0.0.1", container="host".ljust(64, "0")),),
        ),
    ),
    (
        "CS023",
        "sshd",
        machine(sshd=Sshd(password_login=False), listeners=(Listener("tcp", "*", 22, "sshd"),)),
    ),
    ("CS023", "a DHCP client", machine(listeners=(Listener("udp", "0.0.0.0", 68, "dhclient"),))),
    (
        "CS023",
        "a client's own port",
        machine(listeners=(Listener("udp", "*", 41641, "something"),)),
    ),
    ("CS026", "a rootless engine", machine(docker(rootless=True), daemon=Daemon(iptables=False))),
    (
        "CS027",
        "a crash loop",
        machine(
            docker(container("web", state="restarting", published=(), asked=(), networks=("back",)))
        ),
    ),
    (
        "CS028",
        "an internal network of their own",
        machine(
            docker(
                replace(WEB, networks=("back",)),
                container("db", image="redis:7", networks=("back",)),
                networks=(INTERNAL,),
            )
        ),
    ),
    (
        "CS029",
        "services on the uplink only",
        machine(
            docker(container("worker", networks=("back",)), networks=(INTERNAL,)),
            listeners=(replace(LISTENING, address="203.0.113.7"),),
        ),
    ),
    ("CS030", "a hop limit of 1", machine(docker(container()), cloud=SHUT)),
    (
        "CS032",
        "a second port that is meant",
        machine(
            docker(
                container(
                    "shop",
                    publish(9999, 9999),
                    labels={
                        "traefik.http.routers.shop.rule": "Host(`a`)",
                        "traefik.http.services.shop.loadbalancer.server.port": "80",
                    },
                )
            )
        ),
    ),
    (
        "CS033",
        "a middleware that exists",
        machine(
            docker(
                container(
                    "proxy",
                    publish(443),
                    image="traefik:v3",
                    labels={
                        "traefik.http.routers.dash.service": "api@internal",
                        "traefik.http.routers.dash.middlewares": "auth",
                        "traefik.http.middlewares.auth.basicauth.users": "x",
                    },
                )
            )
        ),
    ),
    ("CS038", "keys only", machine(sshd=Sshd(password_login=False), cloud=OPEN_TO_ALL)),
    (
        "CS038",
        "the cloud lets in some networks",
        machine(
            sshd=Sshd(),
            cloud=Cloud(
                protected=True, reachable=RuleSet.of((Rule.of("tcp", "22", ["203.0.113.0/24"]),))
            ),
        ),
    ),
    ("CS039", "one node", machine(docker(swarm=True), cloud=OPEN_TO_ALL)),
    (
        "CS041",
        "something listens",
        machine(docker(container("web", publish(8080, 80), listening=frozenset((("tcp", 80),))))),
    ),
    (
        "CS044",
        "handed over as a file",
        machine(docker(container("web", publish(8443), environment=("DB_PASSWORD_FILE",)))),
    ),
    ("CS045", "another version", machine(docker(version="27.4.0"))),
    ("CS009", "nothing publishes", machine(docker(), ip4=chain(ACCEPT_REPLIES))),
    (
        "CS010",
        "rules of the other backend that FORWARD jumps to",
        machine(docker(WEB), ip4=chain(), other4=chain("-i eth0 -j DROP")),
    ),
    (
        "CS011",
        "ufw's after6.rules drop too",
        machine(
            docker(
                container("web", publish(8080, 80, "::"), networks=("six",)),
                networks=(Network("six", ipv6=True),),
            ),
            ufw=replace(UFW, after_rules=UFW_DOCKER, after6_rules=UFW_DOCKER),
        ),
    ),
    (
        "CS011",
        "INPUT drops IPv6 too",
        machine(ip4=INPUT_DROPS, ip6=INPUT_DROPS, listeners=(replace(LISTENING, address="*"),)),
    ),
    (
        "CS016",
        "no neighbours",
        machine(
            docker(container("lo", publish(8081, 80, "127.0.0.1")), version="26.1.5"),
            neighbours=False,
        ),
    ),
    (
        "CS017",
        "the distribution's changelog names the fault",
        machine(
            docker(version="26.1.5"),
            firewalld=Firewalld(True),
            backports=frozenset(("CVE-2025-54388",)),
        ),
    ),
    (
        "CS018",
        "NAT to another machine",
        machine(
            saved=(
                SavedRules(
                    "/etc/iptables/rules.v4",
                    4,
                    parse("*nat\n-A PREROUTING -j DNAT --to-destination 10.0.0.9:80\nCOMMIT"),
                    True,
                ),
            )
        ),
    ),
    (
        "CS021",
        "the table is another firewall's",
        machine(policy=Policy(host_firewall=None), nft=ENFORCED),
    ),
    (
        "CS021",
        "as applied, and loaded at boot",
        machine(policy=Policy(host_firewall=HostFirewall("web")), host_unit="ready"),
    ),
    (
        "CS022",
        "its own label names the port",
        machine(
            docker(container("host", network_mode="host", labels={"cloudsync.ports": "9999"})),
            listeners=(replace(LISTENING, container="host".ljust(64, "0")),),
        ),
    ),
    (
        "CS024",
        "published on an IPv4 address",
        machine(
            Engine("podman", "5.4.2", (container("web", publish(8080, 80)),), rootless=True),
            listeners=(Listener("tcp", "0.0.0.0", 8080, "pasta"),),
        ),
    ),
    (
        "CS025",
        "a private network on a machine without neighbours",
        machine(docker(networks=(replace(ROUTED, subnets=("10.9.0.0/24",)),)), neighbours=False),
    ),
    (
        "CS028",
        "two networks of its own: an internal one, and one that leads outside",
        machine(
            docker(
                replace(WEB, networks=("back", "front")),
                container("db", image="redis:7", networks=("back", "updates")),
                networks=(INTERNAL, Network("front"), Network("updates")),
            )
        ),
    ),
    (
        "CS030",
        "a rule drops what goes there",
        machine(
            docker(container()),
            cloud=replace(SHUT, metadata=IMDS),
            nft=Nftables(drops_metadata=True),
        ),
    ),
    (
        "CS031",
        "a tunnel leads to it",
        machine(
            docker(
                container(
                    "proxy",
                    publish(80, 80, "127.0.0.1"),
                    image="traefik:v3",
                    command=("--certificatesresolvers.le.acme.email=a@example.org",),
                ),
                container("tunnel", image="cloudflare/cloudflared:2025.1"),
            )
        ),
    ),
    (
        "CS033",
        "a middleware of a file, and a file provider",
        machine(
            docker(
                container(
                    "proxy",
                    publish(443),
                    image="traefik:v3",
                    command=("--providers.file.directory=/etc/traefik",),
                    labels={
                        "traefik.http.routers.dash.service": "api@internal",
                        "traefik.http.routers.dash.middlewares": "auth@file",
                    },
                )
            )
        ),
    ),
    (
        "CS034",
        "the cloud lets in the office only",
        machine(docker(GRAFANA), cloud=replace(SHUT, reachable=only_the_office(3000))),
    ),
    (
        "CS034",
        "its own label asks for it",
        machine(docker(replace(GRAFANA, labels={"cloudsync.expose": "true"}))),
    ),
    (
        "CS035",
        "the cloud lets in the office only",
        machine(
            docker(container("app", publish(9100))),
            cloud=replace(SHUT, reachable=only_the_office(9100)),
        ),
    ),
    (
        "CS035",
        "metrics that its own label asks for",
        machine(docker(container("app", publish(9100), labels={"cloudsync.expose": "true"}))),
    ),
    (
        "CS036",
        "a label of the user's own",
        machine(docker(container("app", labels={"cloudsync.ports": "443"}))),
    ),
    (
        "CS037",
        "what only a load balancer reaches is not beyond",
        machine(cloud=Cloud(protected=True, reachable=only_the_office(80))),
    ),
    (
        "CS040",
        "the daemon binds every address",
        machine(docker(ingress_ports=(publish(80),)), daemon=Daemon()),
    ),
    (
        "CS042",
        "a random port for the machine itself",
        machine(docker(container("web", publish(0, 80, "127.0.0.1")))),
    ),
    (
        "CS043",
        "a tunnel needs NET_ADMIN",
        machine(
            docker(
                container(
                    "vpn",
                    publish(51820),
                    image="linuxserver/wireguard:1",
                    capabilities=("NET_ADMIN",),
                )
            )
        ),
    ),
    ("CS044", "nobody reaches it", machine(docker(container("job", environment=("TOKEN",))))),
    (
        "CS045",
        "an old nft without Docker's nftables backend",
        machine(docker(), nft_version="1.0.6"),
    ),
    ("CS046", "everything was read", machine()),
)


@pytest.mark.parametrize(("id_", "why", "facts"), TRAPS, ids=[f"{t[0]}-{t[1]}" for t in TRAPS])
def test_what_looks_like_it_and_is_fine_is_not_found(id_: str, why: str, facts: Facts) -> None:
    assert id_ not in ids(facts), why


def test_every_kind_has_a_trap() -> None:
    assert {kind.id for kind in KINDS} == {id_ for id_, _, _ in TRAPS}


@pytest.mark.parametrize(
    "facts",
    [
        machine(
            docker(container("db", addresses=("172.17.0.2",))),
            ip4=nat("-p tcp -m tcp --dport 8080 -j DNAT --to-destination 172.17.0.2:80"),
        ),
        machine(docker(container("web", publish(8080, 80), listening=frozenset()))),
    ],
    ids=["CS019-recreated", "CS041-starting"],
)
def test_what_passes_by_itself_counts_only_if_it_is_seen_twice(facts: Facts) -> None:
    settled = replace(facts, engine=docker(), ip4=None)
    assert may_pass([facts])
    assert not may_pass([settled])
    once = audit([facts], (), TODAY, [settled])
    twice = audit([facts], (), TODAY, [facts])
    assert [finding.id for finding in once.findings if finding.id in PASSING] == []
    assert [finding.id for finding in twice.findings if finding.id in PASSING] != []


def test_a_machine_without_neighbours_has_forwarding_that_hardly_matters() -> None:
    facts = machine(
        docker(version="26.1.5"),
        ip4=parse("*filter\n:FORWARD ACCEPT [0:0]\nCOMMIT"),
        neighbours=False,
    )
    (finding,) = of_machine(facts)
    assert (finding.id, finding.severity) == ("CS015", "low")
