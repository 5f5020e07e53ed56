"""Every finding of an audit once, with its severity, and every trap that looks like it and is fine."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import date

import pytest

from cloudsync.audit.catalogue import BY_ID, KINDS
from cloudsync.audit.report import Ignore, audit, of_machine
from cloudsync.model.machine_facts import (
    Blind,
    Cloud,
    Daemon,
    Engine,
    Facts,
    Firewalld,
    HostTable,
    Listener,
    Mount,
    Network,
    Nftables,
    NftablesFile,
    Policy,
    Publish,
    SavedRules,
    Sshd,
    Tables,
    Ufw,
    Workload,
    Zone,
)
from cloudsync.render.audit import document
from cloudsync.rules import NOTHING, Rule, RuleSet
from cloudsync.rules.networks import ANY
from cloudsync.sources.machine.iptables import parse

TODAY = date(2026, 11, 28)
OPEN_TO_ALL = Cloud(protected=True, reachable=RuleSet.of((Rule.of("all", "", ANY),)))
SHUT = Cloud(protected=True)


def publish(port: int, inside: int | None = None, address: str = "0.0.0.0") -> Publish:
    return Publish("tcp", port, port, inside or port, address)


def container(name: str = "app", *published: Publish, **more: object) -> Workload:
    values: dict[str, object] = {
        "id": name.ljust(64, "0"),
        "image": "shop/app:1",
        "networks": ("bridge",),
        "published": published,
        "asked": published,
        **more,
    }
    return Workload(name, **values)  # type: ignore[arg-type]


def docker(*containers: Workload, version: str = "28.5.2", **more: object) -> Engine:
    networks = (Network("bridge", bridge="docker0"),)
    return Engine("docker", version, containers, **{"networks": networks, **more})  # type: ignore[arg-type]


def machine(engine: Engine | None = None, **more: object) -> Facts:
    return Facts("web-1", engine=engine, **more)  # type: ignore[arg-type]


def chain(*rules: str, forward: str = "-A FORWARD -j DOCKER-USER") -> Tables:
    lines = ["*filter", ":FORWARD DROP [0:0]", ":DOCKER-USER - [0:0]", forward]
    return parse("\n".join([*lines, *(f"-A DOCKER-USER {rule}" for rule in rules), "COMMIT"]))


def nat(*rules: str) -> Tables:
    lines = ["*nat", ":DOCKER - [0:0]", *(f"-A DOCKER {rule}" for rule in rules), "COMMIT"]
    return parse("\n".join(lines))


ACCEPT_REPLIES = "-m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT"
ENFORCED = Nftables((("inet", "cloudsync"),), HostTable(enforces=True, lets_in=NOTHING))
WEB = container("web", publish(8080, 80))
DATABASE = container("db", publish(5432), image="postgres:16")
SOCKET = Mount("/var/run/docker.sock", "/var/run/docker.sock", read_only=True)
INTERNAL = Network("back", internal=True, bridge="br-1")
UFW = Ufw(enabled=True)
ACCEPTING = Zone("docker", "ACCEPT", ("docker0",))
LISTENING = Listener("tcp", "0.0.0.0", 9999, "python3")
WANTS = Policy(required=RuleSet.of((Rule.of("tcp", "80", ANY),)))
TRAEFIK = container("proxy", publish(80), image="traefik:v3", command=("--api.insecure=true",))

FINDINGS: tuple[tuple[str, str, Facts], ...] = (
    ("CS001", "critical", machine(docker(WEB), policy=WANTS, cloud=OPEN_TO_ALL)),
    ("CS001", "high", machine(docker(WEB), policy=WANTS)),
    ("CS001", "medium", machine(docker(WEB), policy=WANTS, cloud=SHUT)),
    ("CS002", "critical", machine(docker(DATABASE), cloud=OPEN_TO_ALL)),
    ("CS002", "high", machine(docker(DATABASE))),
    ("CS002", "medium", machine(docker(DATABASE), cloud=SHUT)),
    ("CS002", "high", machine(docker(container("db", publish(15432, 5432))))),
    ("CS003", "critical", machine(daemon=Daemon(hosts=("tcp://0.0.0.0:2375",)))),
    ("CS003", "critical", machine(daemon=Daemon(hosts=("fd://", "tcp://[::]:2376")))),
    ("CS004", "high", machine(docker(container("agent", publish(9001), mounts=(SOCKET,))))),
    ("CS005", "high", machine(docker(WEB), ufw=UFW)),
    ("CS006", "high", machine(docker(WEB), firewalld=Firewalld(True, zones=(ACCEPTING,)))),
    (
        "CS007",
        "medium",
        machine(firewalld=Firewalld(True, zones=(replace(ACCEPTING, ports=("8080/tcp",)),))),
    ),
    ("CS008", "high", machine(docker(WEB), ip4=chain("-j RETURN", "-p tcp --dport 8080 -j DROP"))),
    ("CS009", "high", machine(docker(WEB), ip4=chain("-p tcp --dport 8080 -j DROP"))),
    ("CS010", "high", machine(docker(WEB), ip4=chain("-j DROP", forward=""))),
    (
        "CS011",
        "high",
        machine(
            docker(
                container("web", publish(8080, 80, "::"), networks=("six",)),
                networks=(Network("six", ipv6=True),),
            ),
            ip4=chain(ACCEPT_REPLIES, "-i eth0 -j DROP"),
            ip6=chain(),
        ),
    ),
    (
        "CS012",
        "high",
        machine(
            docker(container("web", publish(8080, 80, "::"))),
            ip4=chain(ACCEPT_REPLIES, "-i eth0 -j DROP"),
        ),
    ),
    ("CS013", "medium", machine(docker(WEB), ip4=chain("-i eth0 -j DROP"))),
    (
        "CS014",
        "high",
        machine(
            ufw=Ufw(True, after_rules=("-A DOCKER-USER -j DROP", "-A POSTROUTING -j MASQUERADE"))
        ),
    ),
    (
        "CS015",
        "high",
        machine(docker(version="26.1.5"), ip4=parse("*filter\n:FORWARD ACCEPT [0:0]\nCOMMIT")),
    ),
    (
        "CS015",
        "high",
        machine(docker(version="20.10.24+dfsg1"), ufw=Ufw(True, forward_policy="ACCEPT")),
    ),
    (
        "CS016",
        "medium",
        machine(docker(container("lo", publish(8081, 80, "127.0.0.1")), version="26.1.5")),
    ),
    ("CS017", "medium", machine(docker(version="28.3.2"), firewalld=Firewalld(True))),
    (
        "CS018",
        "high",
        machine(
            saved=(
                SavedRules(
                    "/etc/iptables/rules.v4",
                    4,
                    nat("-p tcp --dport 80 -j DNAT --to-destination 172.17.0.2:80"),
                    True,
                ),
            )
        ),
    ),
    ("CS018", "low", machine(saved=(SavedRules("/etc/iptables/rules.v4", 4, nat(), False),))),
    (
        "CS019",
        "critical",
        machine(
            docker(container("db", addresses=("172.17.0.2",))),
            ip4=nat(
                "! -i docker0 -p tcp -m tcp --dport 8080 -j DNAT --to-destination 172.17.0.2:80"
            ),
        ),
    ),
    (
        "CS020",
        "medium",
        machine(docker(), nft_files=(NftablesFile("/etc/nftables.conf", True, True, 3),)),
    ),
    ("CS021", "high", machine(nft=Nftables(), policy=Policy(host_firewall=True))),
    (
        "CS022",
        "high",
        machine(
            docker(container("host", network_mode="host")),
            listeners=(replace(LISTENING, container="host".ljust(64, "0")),),
        ),
    ),
    ("CS023", "medium", machine(listeners=(LISTENING,))),
    (
        "CS024",
        "medium",
        machine(
            Engine("podman", "5.4.2", (container("web", publish(8080, 80)),), rootless=True),
            listeners=(Listener("tcp", "*", 8080, "pasta"),),
        ),
    ),
    (
        "CS025",
        "medium",
        machine(
            docker(
                networks=(
                    Network("r", options={"com.docker.network.bridge.gateway_mode_ipv4": "routed"}),
                )
            )
        ),
    ),
    ("CS025", "medium", machine(daemon=Daemon(direct_routing=True))),
    ("CS026", "high", machine(docker(), daemon=Daemon(iptables=False))),
    (
        "CS027",
        "medium",
        machine(
            docker(
                container("db", asked=(publish(3306),), networks=("back",)), networks=(INTERNAL,)
            )
        ),
    ),
    ("CS028", "note", machine(docker(WEB, container("db", image="redis:7")))),
    (
        "CS029",
        "low",
        machine(
            docker(container("worker", networks=("back",)), networks=(INTERNAL,)),
            listeners=(LISTENING,),
            policy=Policy(required=RuleSet.of((Rule.of("tcp", "9999", ANY),))),
        ),
    ),
    ("CS030", "medium", machine(docker(), cloud=Cloud(protected=True, metadata_hops=2))),
    (
        "CS031",
        "low",
        machine(
            docker(
                container(
                    "proxy",
                    publish(80, 80, "127.0.0.1"),
                    image="traefik:v3",
                    command=("--certificatesresolvers.le.acme.email=a@example.org",),
                )
            )
        ),
    ),
    (
        "CS032",
        "high",
        machine(
            docker(
                container(
                    "shop",
                    publish(8080, 80),
                    labels={"traefik.http.routers.shop.rule": "Host(`a`)"},
                )
            )
        ),
    ),
    ("CS033", "high", machine(docker(replace(TRAEFIK, published=(publish(8080),))))),
    (
        "CS033",
        "high",
        machine(
            docker(
                container(
                    "proxy",
                    publish(443),
                    image="traefik:v3",
                    labels={
                        "traefik.http.routers.dash.service": "api@internal",
                        "traefik.http.routers.dash.middlewares": "auth",
                    },
                )
            )
        ),
    ),
    (
        "CS034",
        "high",
        machine(docker(container("grafana", publish(3000), image="grafana/grafana-oss:11"))),
    ),
    ("CS035", "high", machine(docker(container("app", publish(9229))))),
    (
        "CS036",
        "high",
        machine(
            docker(
                container(
                    "app",
                    labels={"cloudsync.ports": "443"},
                    image_labels=frozenset(("cloudsync.ports",)),
                )
            )
        ),
    ),
    ("CS037", "critical", machine(cloud=Cloud(protected=False))),
    ("CS037", "high", machine(cloud=replace(SHUT, beyond=(("tcp", "3389", "group old, rule 2"),)))),
    ("CS038", "medium", machine(sshd=Sshd(), cloud=OPEN_TO_ALL)),
    ("CS039", "high", machine(docker(swarm=True, swarm_nodes=3), cloud=OPEN_TO_ALL)),
    (
        "CS040",
        "low",
        machine(docker(ingress_ports=(publish(80),)), daemon=Daemon(address="127.0.0.1")),
    ),
    (
        "CS041",
        "low",
        machine(docker(container("web", publish(8080, 80), listening=frozenset((("tcp", 8000),))))),
    ),
    ("CS042", "low", machine(docker(container("web", publish(0, 80))))),
    (
        "CS043",
        "high",
        machine(docker(container("vpn", publish(8443), capabilities=("NET_ADMIN",)))),
    ),
    (
        "CS044",
        "medium",
        machine(docker(container("web", publish(8443), environment=("PATH", "DB_PASSWORD")))),
    ),
    ("CS045", "medium", machine(docker(version="27.3.1"))),
    ("CS046", "note", machine(blind=(Blind("ufw", "permission denied"),))),
)

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
    ("CS030", "a hop limit of 1", machine(docker(), cloud=Cloud(protected=True, metadata_hops=1))),
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
)


def ids(facts: Facts) -> list[str]:
    return [finding.id for finding in of_machine(facts)]


@pytest.mark.parametrize(
    ("id_", "severity", "facts"), FINDINGS, ids=[f"{f[0]}-{f[1]}" for f in FINDINGS]
)
def test_each_mistake_is_found_once_with_its_severity(
    id_: str, severity: str, facts: Facts
) -> None:
    (finding,) = [finding for finding in of_machine(facts) if finding.id == id_]
    assert finding.severity == severity
    assert finding.reason


@pytest.mark.parametrize(("id_", "why", "facts"), TRAPS, ids=[f"{t[0]}-{t[1]}" for t in TRAPS])
def test_what_looks_like_it_and_is_fine_is_not_found(id_: str, why: str, facts: Facts) -> None:
    assert id_ not in ids(facts), why


def test_every_kind_of_the_catalogue_is_tried() -> None:
    assert {id_ for id_, _, _ in FINDINGS} == set(BY_ID)
    assert [kind.id for kind in KINDS] == [f"CS{number:03}" for number in range(1, 47)]


def test_one_cause_is_one_finding() -> None:
    facts = machine(
        docker(container("db", publish(5432), publish(5432, address="::"), image="postgres"))
    )
    assert ids(facts).count("CS002") == 1


def test_law1_an_audit_that_saw_half_is_not_complete_and_never_clean() -> None:
    result = audit([machine(blind=(Blind("engine", "permission denied"),))], (), TODAY)
    assert not result.complete
    assert document(result)["complete"] is False
    assert [finding["id"] for finding in document(result)["findings"]] == ["CS046"]


def ignoring(*ignores: Ignore) -> list[str]:
    return [finding.id for finding in audit([machine(docker(DATABASE))], ignores, TODAY).findings]


def test_an_accepted_finding_is_left_out_until_its_date() -> None:
    assert "CS002" in ignoring()
    assert "CS002" not in ignoring(Ignore("CS002", "db", "meant", date(2026, 12, 31)))
    assert "CS002" in ignoring(Ignore("CS002", "other", "meant"))


def test_an_ignore_that_has_expired_is_a_finding_itself() -> None:
    found = audit(
        [machine(docker(DATABASE))], (Ignore("CS002", "*", "for a week", date(2026, 1, 1)),), TODAY
    )
    assert {"CS002", "CS046"} <= {finding.id for finding in found.findings}
    assert any("for a week" in finding.reason for finding in found.findings)


def test_fingerprints_do_not_move_with_lines() -> None:
    def fingerprints(line: int) -> Iterable[str]:
        service = replace(DATABASE, file="compose.yaml", line=line, id="")
        return [finding.fingerprint for finding in of_machine(Facts("files", services=(service,)))]

    assert fingerprints(3) == fingerprints(30)


def test_a_wall_that_stands_makes_a_publish_unreachable() -> None:
    (finding,) = [f for f in of_machine(machine(docker(DATABASE), nft=ENFORCED)) if f.id == "CS002"]
    assert finding.reachable == "none"
    assert finding.severity == "medium"
