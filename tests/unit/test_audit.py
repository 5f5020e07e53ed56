"""Every finding of an audit once, with its severity."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from datetime import date

import pytest

from cloudsync.audit.catalogue import BY_ID, KINDS, fix_of
from cloudsync.audit.findings import Finding
from cloudsync.audit.report import Audit, Ignore, audit, of_machine
from cloudsync.model.machine_facts import (
    Blind,
    Cloud,
    Daemon,
    Engine,
    Facts,
    Firewalld,
    HostFirewall,
    Listener,
    Network,
    NftablesFile,
    Policy,
    SavedRules,
    Sshd,
    Ufw,
)
from cloudsync.render.audit import document, text
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
    TRAEFIK,
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
    (
        "CS010",
        "high",
        machine(docker(WEB), ip4=chain(), other4=chain("-j DROP", forward="")),
    ),
    (
        "CS011",
        "high",
        machine(
            ip4=parse("*filter\n:INPUT DROP [0:0]\nCOMMIT"),
            ip6=parse("*filter\n:INPUT ACCEPT [0:0]\nCOMMIT"),
            listeners=(replace(LISTENING, address="*"),),
            ufw=Ufw(True, ipv6=False),
        ),
    ),
    (
        "CS011",
        "high",
        machine(
            docker(
                container("web", publish(8080, 80, "::"), networks=("six",)),
                networks=(Network("six", ipv6=True),),
            ),
            ufw=Ufw(True, after_rules=("# BEGIN UFW AND DOCKER", "-A DOCKER-USER -j DROP")),
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
    ("CS021", "high", machine(policy=Policy(host_firewall=HostFirewall("web", exists=False)))),
    (
        "CS021",
        "high",
        machine(policy=Policy(host_firewall=HostFirewall("web", differs=("the trial ran out",)))),
    ),
    (
        "CS021",
        "high",
        machine(policy=Policy(host_firewall=HostFirewall("web", strangers=("the set x",)))),
    ),
    (
        "CS021",
        "high",
        machine(policy=Policy(host_firewall=HostFirewall("web")), host_unit="disabled"),
    ),
    (
        "CS021",
        "high",
        machine(policy=Policy(host_firewall=HostFirewall("web")), host_unit="late"),
    ),
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
    (
        "CS025",
        "high",
        machine(
            docker(
                networks=(
                    Network(
                        "r",
                        subnets=("2600:9::/64",),
                        options={"com.docker.network.bridge.gateway_mode_ipv6": "routed"},
                    ),
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
    ("CS030", "medium", machine(docker(container()), cloud=replace(SHUT, metadata=IMDS))),
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


@pytest.mark.parametrize(
    ("id_", "severity", "facts"), FINDINGS, ids=[f"{f[0]}-{f[1]}" for f in FINDINGS]
)
def test_each_mistake_is_found_once_with_its_severity(
    id_: str, severity: str, facts: Facts
) -> None:
    (finding,) = [finding for finding in of_machine(facts) if finding.id == id_]
    assert finding.severity == severity
    assert finding.reason


def test_every_kind_of_the_catalogue_is_tried() -> None:
    assert {id_ for id_, _, _ in FINDINGS} == set(BY_ID)
    assert [kind.id for kind in KINDS] == [f"CS{number:03}" for number in range(1, 47)]


def test_one_cause_is_one_finding() -> None:
    facts = machine(
        docker(container("db", publish(5432), publish(5432, address="::"), image="postgres"))
    )
    assert ids(facts).count("CS002") == 1


def test_the_same_mistake_on_several_containers_stands_under_one_title() -> None:
    facts = machine(
        docker(
            container("shop", publish(5432), publish(5433), publish(5434), image="postgres"),
            container("blog", publish(6379), image="redis"),
        )
    )
    printed = text(audit((facts,), (), TODAY), width=120)
    (title,) = re.findall(r"CS002 .*", printed)
    under = printed.partition(title)[2].partition("fix:")[0]
    assert [line.split(":")[0].strip() for line in under.strip().splitlines()] == ["blog", "shop"]
    assert printed.count(BY_ID["CS002"].title) == 1


def test_ports_that_one_sentence_is_about_end_it() -> None:
    found = [
        Finding("CS032", "high", "web-1", "ftp", "it is published", protocol="tcp", ports=port)
        for port in ("21", "8000-8004")
    ]
    printed = text(Audit(tuple(found), ()), width=120)
    assert printed.count("CS032") == 1
    assert "           ftp: it is published: 21/tcp, 8000-8004/tcp\n" in printed


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


@pytest.mark.parametrize(("object_", "ignored"), [("d*", True), ("*b", True), ("shop/*", False)])
def test_an_accepted_object_may_be_a_glob(object_: str, ignored: bool) -> None:
    assert ("CS002" not in ignoring(Ignore("CS002", object_, "meant"))) is ignored


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


@pytest.mark.parametrize(
    ("firewall", "unit", "fix"),
    [
        (HostFirewall("web", exists=False), "ready", "cloudsync apply"),
        (HostFirewall("web", differs=("an apply would open 80/tcp",)), "ready", "cloudsync apply"),
        (
            HostFirewall("web", strangers=("a rule in the chain judge (handle 7)",)),
            "ready",
            "nft delete rule inet cloudsync CHAIN handle N",
        ),
        (HostFirewall("web"), "disabled", "systemctl enable cloudsync-host.service"),
        (HostFirewall("web"), "missing", "systemctl enable cloudsync-host.service"),
        (HostFirewall("web"), "late", "Before=network-pre.target"),
    ],
)
def test_the_fix_of_the_host_table_is_what_helps(
    firewall: HostFirewall, unit: str, fix: str
) -> None:
    (finding,) = of_machine(machine(policy=Policy(host_firewall=firewall), host_unit=unit))
    assert fix in fix_of(finding)


def test_an_apply_is_not_offered_for_what_it_leaves_there() -> None:
    firewall = HostFirewall("web", strangers=("the set x, which cloudsync did not make",))
    (finding,) = of_machine(machine(policy=Policy(host_firewall=firewall)))
    assert "cloudsync apply" not in fix_of(finding)
    assert "the set x" in finding.reason
